import { isIP, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileCondition } from '../../../processors/match/condition.ts';
import { formatIp, keepPrefix, parseIp, samePrefix } from '../../../processors/match/ip-address.ts';
import { parseWhere } from '../../../schemas/where.ts';
import { batchOf, FieldPlan } from './rows.ts';

const seed = 20261121;
const words = (text: string) => {
  const out = new Uint32Array(4);
  return { family: parseIp(text, out), out };
};
const v4 = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .map((bytes) => ({ text: bytes.join('.'), bits: bitsOf(bytes), family: 4 as const }));
const v6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .filter((groups) => !(groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff))
  .map((groups) => ({
    text: groups.map((group) => group.toString(16)).join(':'),
    bits: groups.map((group) => group.toString(2).padStart(16, '0')).join(''),
    family: 6 as const,
  }));

function bitsOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

function written(family: 4 | 6, out: Uint32Array): string {
  return [...(family === 4 ? out.slice(3) : out)].map((word) => word.toString(2).padStart(32, '0')).join('');
}

test(`addresses are read bit by bit, and written as they can be read again, seed ${seed}`, () => {
  const check = fc.property(fc.oneof(v4, v6), ({ text, bits, family }) => {
    const read = words(text);
    expect(read.family).toBe(family);
    expect(written(family, read.out)).toBe(bits);
    const short = formatIp(family, read.out);
    expect(words(short)).toEqual(read);
    if (family === 6) expect(short).toBe(new URL(`http://[${text}]/`).hostname.slice(1, -1));
  });
  fc.assert(check, { seed, numRuns: 2000 });
});

test(`what is an address is what Node says is one, seed ${seed}`, () => {
  const piece = fc.constantFrom(':', '::', '.', '0', '1', '255', '256', '01', 'ffff', 'abcde', 'g', '1.2.3.4', '%eth0', ' ', '/');
  const check = fc.property(fc.array(piece, { maxLength: 17 }), (pieces) => {
    const text = pieces.join('');
    const { family } = words(text);
    // Node takes a zone of any letters; the IPv4-mapped form is IPv4 here.
    if (isIP(text) === 0) expect(family, text).toBe(0);
    else expect(family === isIP(text) || (family === 4 && isIPv6(text)), text).toBe(true);
  });
  fc.assert(check, { seed, numRuns: 20_000 });
});

test('an IPv4-mapped address is the IPv4 address', () => {
  expect(words('::ffff:192.0.2.1')).toEqual(words('192.0.2.1'));
  expect(words('::FFFF:c000:0201')).toEqual(words('192.0.2.1'));
  expect(words('::192.0.2.1').family).toBe(6);
});

for (const text of [
  '',
  '1',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.',
  '01.2.3.4',
  '1.2.3.4 ',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7:8::',
  '::1.2.3',
  '1.2.3.4::',
  '12345::',
  'fe80::1%',
  '::1/64',
]) {
  test(`"${text}" is no address`, () => {
    expect(words(text).family).toBe(0);
  });
}

test(`a network holds what shares its first bits, seed ${seed}`, () => {
  const pair = fc.oneof(fc.tuple(v4, v4, fc.integer({ min: 0, max: 32 })), fc.tuple(v6, v6, fc.integer({ min: 0, max: 128 })));
  const check = fc.property(pair, fc.boolean(), ([a, b, bits], near) => {
    // Two addresses at random share next to nothing: half the time the second one takes the first one's beginning.
    const second = near ? a.bits.slice(0, bits) + b.bits.slice(bits) : b.bits;
    const text = textOf(second);
    const wanted = a.bits.slice(0, bits) === second.slice(0, bits);
    const plan = new FieldPlan();
    const condition = parseWhere({ 'a|cidr': `${a.text}/${bits}` }, (fault) => expect.fail(fault.text));
    const holds = compileCondition(condition, plan);
    expect(holds(batchOf(plan, [{ a: text }]), 0), `${text} in ${a.text}/${bits}`).toBe(wanted);
    const first = words(a.text);
    expect(samePrefix(a.family, first.out, words(text).out, bits)).toBe(wanted);
    keepPrefix(a.family, first.out, bits);
    expect(written(a.family, first.out)).toBe(a.bits.slice(0, bits).padEnd(a.bits.length, '0'));
  });
  fc.assert(check, { seed, numRuns: 2000 });
});

function textOf(bits: string): string {
  const groups = bits.match(bits.length === 32 ? /.{8}/g : /.{16}/g) ?? [];
  return bits.length === 32
    ? groups.map((group) => Number.parseInt(group, 2)).join('.')
    : groups.map((group) => Number.parseInt(group, 2).toString(16)).join(':');
}
