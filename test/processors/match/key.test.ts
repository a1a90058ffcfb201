import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Scalar } from '../../../processors/decode/event-batch.ts';
import { shapeOf } from '../../../processors/match/email.ts';
import { compileKey, joinParts, keyObject, maxKeyPartChars } from '../../../processors/match/key.ts';
import { key } from '../../../schemas/key.ts';
import { batchOf, FieldPlan, hashKey } from './rows.ts';

type Fields = Record<string, Scalar | readonly Scalar[] | undefined>;

/** The keys of some events: their hash and what they stand for; undefined where an event has none. */
function keysOf(written: string | string[], rows: Fields[]) {
  const plan = new FieldPlan();
  const parts = key.parse(written);
  const reader = compileKey(parts, plan);
  const batch = batchOf(plan, rows);
  return rows.map((_, row) => {
    if (!reader.read(batch, row, hashKey)) return undefined;
    return { hash: `${reader.low}/${reader.high}`, key: keyObject(parts, reader.text()) };
  });
}

test('a single plain field has the hash of the event itself', () => {
  const plan = new FieldPlan();
  const reader = compileKey(key.parse('a'), plan);
  const batch = batchOf(plan, [{ a: 'x' }]);
  const out = new Uint32Array(2);
  batch.hash(plan.slot('a'), 0, out);
  expect(reader.read(batch, 0, hashKey)).toBe(true);
  expect([reader.low, reader.high]).toEqual([...out]);
});

test('an event without a part of the key has no key, unless the part may be missing', () => {
  const rows: Fields[] = [{ a: 'x', b: 'y' }, { a: 'x' }, { b: 'y' }, { a: '', b: 'y' }, { a: null, b: 'y' }, { a: ['x'], b: 'y' }];
  expect(keysOf(['a', 'b?'], rows).map((found) => found?.key)).toEqual([
    { a: 'x', b: 'y' },
    { a: 'x', b: '' },
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(keysOf('b?', [{}, { b: '' }, { b: ['l'] }]).map((found) => found?.key)).toEqual([{ b: '' }, { b: '' }, { b: '' }]);
  expect(new Set(keysOf('b?', [{}, { b: '' }, { b: ['l'] }]).map((found) => found?.hash)).size).toBe(1);
});

test('all is one key with no parts', () => {
  const [first, second] = keysOf('all', [{}, { a: 1 }]);
  expect(first).toEqual(second);
  expect(first?.key).toEqual({});
});

test('numbers and booleans are keys as they are written', () => {
  expect(keysOf('a', [{ a: 404 }, { a: true }]).map((found) => found?.key)).toEqual([{ a: '404' }, { a: 'true' }]);
  expect(keysOf('a', [{ a: 404 }])[0]?.hash).toBe(keysOf('a', [{ a: '404' }])[0]?.hash);
});

test('functions read the part of a field that they name', () => {
  const rows: Fields[] = [{ e: 'John.Smith92@Example.ORG.', ip: '203.0.113.77' }];
  const one = (written: string) => keysOf(written, rows)[0]?.key;
  expect(one('domain(e)')).toEqual({ 'domain(e)': 'example.org' });
  expect(one('lower(e)')).toEqual({ 'lower(e)': 'john.smith92@example.org.' });
  expect(one('shape(e)')).toEqual({ 'shape(e)': 'a4.a5d2' });
  expect(one('subnet(ip,24)')).toEqual({ 'subnet(ip, 24)': '203.0.113.0/24' });
});

test('functions that find nothing to work on leave the event without a key', () => {
  expect(keysOf('domain(a)', [{ a: 'no at' }, { a: 'x@' }, { a: 5 }])).toEqual([undefined, undefined, undefined]);
  expect(keysOf('subnet(a, 24)', [{ a: 'host' }, { a: 5 }, {}])).toEqual([undefined, undefined, undefined]);
});

test('a subnet speaks of IPv4 up to 32 bits, takes 32 more for IPv6, and hashes the network alone', () => {
  const rows: Fields[] = [
    { a: '10.1.2.3' },
    { a: '::ffff:10.1.2.9' },
    { a: '2001:db8:0:1ff::1' },
    { a: '2001:db8:0:100::2' },
    { a: '10.1.3.3' },
  ];
  const keys = keysOf('subnet(a, 24)', rows);
  expect(keys.map((found) => found?.key['subnet(a, 24)'])).toEqual([
    '10.1.2.0/24',
    '10.1.2.0/24',
    '2001:db8:0:100::/56',
    '2001:db8:0:100::/56',
    '10.1.3.0/24',
  ]);
  expect(keys[0]?.hash).toBe(keys[1]?.hash);
  expect(keys[2]?.hash).toBe(keys[3]?.hash);
  expect(new Set(keys.map((found) => found?.hash)).size).toBe(3);
  expect(keysOf('subnet(a, 48)', rows.slice(0, 3)).map((found) => found?.key['subnet(a, 48)'])).toEqual([
    '10.1.2.3/32',
    '10.1.2.9/32',
    '2001:db8::/48',
  ]);
});

test('parts cannot flow into each other: neither hash nor text', () => {
  const part = fc.string({ unit: fc.constantFrom('a', ',', '\\', ' ', 'b'), minLength: 1, maxLength: 4 });
  const check = fc.property(fc.array(fc.tuple(part, part), { minLength: 2, maxLength: 2 }), ([[a, b], [c, d]]) => {
    const [first, second] = keysOf(
      ['x', 'y'],
      [
        { x: a, y: b },
        { x: c, y: d },
      ],
    );
    const same = a === c && b === d;
    expect(first?.hash === second?.hash).toBe(same);
    expect(joinParts([a, b]) === joinParts([c, d])).toBe(same);
    expect(first?.key).toEqual({ x: a, y: b });
  });
  fc.assert(check, { seed: 20261121, numRuns: 1000 });
});

test('the order of parts counts', () => {
  const [first, second] = keysOf(
    ['x', 'y'],
    [
      { x: 'a', y: 'b' },
      { x: 'b', y: 'a' },
    ],
  );
  expect(first?.hash).not.toBe(second?.hash);
});

test('a long text is kept cut, and told apart by its hash', () => {
  const long = 'x'.repeat(maxKeyPartChars);
  const [first, second] = keysOf('a', [{ a: `${long}1` }, { a: `${long}2` }]);
  expect(first?.key).toEqual({ a: `${long}…` });
  expect(first?.hash).not.toBe(second?.hash);
});

test('a field may be called __proto__', () => {
  const parts = key.parse('__proto__');
  expect(JSON.stringify(keyObject(parts, 'x'))).toBe('{"__proto__":"x"}');
});

for (const [text, shape] of [
  ['john.smith92', 'a4.a5d2'],
  ['John.Smith92@example.org', 'a4.a5d2'],
  ['john.smith+news@example.org', 'a4.a5'],
  ['j.o.h.n@gmail.com', 'a4'],
  ['a--b__1@x', 'a1--a1__d1'],
  ['żółw٣@x', 'a4d1'],
  ['+x@y', '+a1'],
  ['@x', ''],
]) {
  test(`the shape of ${text} is "${shape}"`, () => {
    expect(shapeOf(text)).toBe(shape);
  });
}
