/** The scanner against the parser: the same record behind a byte-order mark is none the scanner takes, so both say what they make of it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { numberOf } from '../../../processors/decode/json-bytes.ts';
import { Harness, type Row } from './decode-lines.ts';

const seed = 20261121;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const fields = [
  'message',
  'log.level',
  'client.address',
  'http.request.method',
  'user.email',
  'user.1',
  'url.path',
  'http.server.request.duration',
  'event.name',
  'tags',
  '__proto__',
];
const keys = [
  ...fields,
  'user',
  'email',
  'http',
  'request',
  'method',
  'msg',
  'log',
  'level',
  'severity',
  'time',
  '@timestamp',
  'dataset',
  'stream',
  'kubernetes',
  'resourceLogs',
  'attributes',
  'resource',
  'fwd',
  'duration_ms',
  '1',
  '',
  'x',
  'a longer name than any that is kept among those that were met before',
];
const texts = ['stdout', '10.0.0.1', '10.0.0.1:80', '::ffff:1.2.3.4', '/a?b', '/a', 'get', 'GET', 'Warning', '2026-01-05T12:00:00Z', ''];
const numbers = [
  '0',
  '-0',
  '7',
  '30',
  '1767614400000',
  '0.1',
  '-12.5',
  '1e3',
  '1E-7',
  '1e999',
  '123456789012345678',
  '0.30000000000000004',
];
const broken = [
  '01',
  '1.',
  '.5',
  '-',
  '+1',
  'tru',
  'nul',
  'undefined',
  '"open',
  '"\\x"',
  '"\\u12g4"',
  '"a\tb"',
  "'a'",
  '{',
  '[1,]',
  '[',
  '',
];

const { value } = fc.letrec<{ value: string; object: string; key: string }>((tie) => ({
  key: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...keys).map((key) => JSON.stringify(key)) },
    { weight: 1, arbitrary: fc.constantFrom('"us\\u0065r"', '"\\"', 'x', '"ü"') },
  ),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: fc.constantFrom(...texts).map((text) => JSON.stringify(text)) },
    { weight: 3, arbitrary: fc.constantFrom(...numbers) },
    { weight: 2, arbitrary: fc.double().map((number) => JSON.stringify(number)) },
    { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'null', '"\\u00fc\\n"', '"ü😀"', '"\\ud800"', '"a\\\\"') },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)) },
    { weight: 1, arbitrary: fc.oneof({ weight: 1, arbitrary: fc.constantFrom(...broken) }, { weight: 9, arbitrary: fc.constant('[]') }) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 3 }).map((elements) => `[${elements.join(',')}]`) },
    { weight: 3, arbitrary: tie('object') },
  ),
  object: fc
    .tuple(fc.array(fc.tuple(tie('key'), tie('value')), { maxLength: 6 }), fc.constantFrom('', '', '', ' ', '\n\t'))
    .map(([entries, blank]) => `{${entries.map(([key, each]) => `${blank}${key}${blank}:${blank}${each}`).join(`${blank},`)}${blank}}`),
}));

test(`the scanner says what the parser says, of any record (seed ${seed})`, () => {
  const scanned = new Harness({ fields });
  const parsed = new Harness({ fields });
  const record = fc.tuple(value, fc.constantFrom('', '', '', ' \r\n', 'x', '\0'), fc.constantFrom('json', 'auto', 'docker'));
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), (records) => {
      for (const [text, end, format] of records) {
        const bytes = Buffer.from(text + end);
        same(scanned, parsed, bytes, format);
      }
    }),
    { seed, numRuns: 4000 },
  );
});

test(`the scanner says what the parser says, of bytes that are no text (seed ${seed})`, () => {
  const scanned = new Harness({ fields });
  const parsed = new Harness({ fields });
  fc.assert(
    fc.property(value, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 4 }), (text, edits) => {
      const bytes = Buffer.from(text);
      for (const [at, byte] of edits) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      same(scanned, parsed, bytes, 'json');
    }),
    { seed, numRuns: 4000 },
  );
});

test('as deep as is taken, and one deeper', () => {
  for (const depth of [62, 63, 64, 65, 66]) {
    for (const name of ['x', 'user']) {
      const objects = Buffer.from(`${`{"${name}":`.repeat(depth)}1${'}'.repeat(depth)}`);
      const arrays = Buffer.from(`{"${name}":${'['.repeat(depth)}${']'.repeat(depth)}}`);
      for (const bytes of [objects, arrays]) same(new Harness({ fields }), new Harness({ fields }), bytes, 'json');
    }
  }
});

test(`a number is read as the language reads it (seed ${seed})`, () => {
  const digits = (min: number, max: number) => fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: min, maxLength: max });
  const decimal = fc.tuple(fc.constantFrom('', '-'), fc.nat(1e6), digits(0, 30)).map(([sign, whole, rest]) => `${sign}${whole}${rest}`);
  fc.assert(
    fc.property(decimal, fc.option(digits(1, 30)), fc.option(fc.integer({ min: -330, max: 330 })), (whole, fraction, exponent) => {
      const text = `${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`;
      expect(numberOf(Buffer.from(text), 0, text.length)).toBe(Number(text));
    }),
    { seed, numRuns: 5000 },
  );
});

function same(scanned: Harness, parsed: Harness, bytes: Buffer, format: string): void {
  const byScanner = outcome(scanned, bytes, format);
  const byParser = outcome(parsed, Buffer.concat([byteOrderMark, bytes]), format);
  expect(byScanner, bytes.toString()).toEqual(byParser);
}

interface Outcome {
  readonly rows: readonly Row[];
  readonly hashes: readonly number[];
  readonly reasons: readonly string[];
}

function outcome(harness: Harness, bytes: Buffer, format: string): Outcome {
  const rows = harness.decode([bytes], { format });
  const hash = new Uint32Array(2);
  const hashes: number[] = [];
  rows.forEach((_, row) => {
    fields.forEach((_, slot) => {
      harness.out.hash(slot, row, hash);
      hashes.push(hash[0], hash[1]);
    });
  });
  return { rows, hashes, reasons: [...harness.rejects.reasons] };
}
