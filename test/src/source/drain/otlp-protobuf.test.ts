import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { otlpRecords } from '../../../../src/source/drain/otlp-json.ts';
import { otlpProtobufAnswer, otlpProtobufRecords, otlpProtobufStatus } from '../../../../src/source/drain/otlp-protobuf.ts';
import { OtlpError } from '../../../../src/source/drain/otlp-records.ts';
import { protobufBytes as bytes, ProtobufReader, protobufVarint as varint } from '../../../../src/source/drain/protobuf.ts';

const upTo = (maxRecords: number) => ({ maxRecords, maxBytes: 1e9 });

const seed = 20260104;
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
const message = (field: number, ...fields: Buffer[]): Buffer => bytes(field, Buffer.concat(fields));
const fixed64 = (field: number, value: bigint): Buffer => {
  const out = Buffer.alloc(9);
  out[0] = field * 8 + 1;
  out.writeBigUInt64LE(value, 1);
  return out;
};
/** A negative int64, as every writer puts it: ten bytes. */
const int64 = (field: number, value: bigint): Buffer => {
  const out = [field * 8];
  let left = BigInt.asUintN(64, value);
  for (; left >= 0x80n; left >>= 7n) out.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...out, Number(left)]);
};
const attribute = (key: string, ...value: Buffer[]): Buffer => message(6, text(1, key), message(2, ...value));
const request = (...logRecords: Buffer[]): Buffer => message(1, message(2, ...logRecords.map((each) => bytes(2, each))));
const fieldsOf = (body: Buffer): unknown[] => otlpProtobufRecords(body, upTo(1000)).records.map((each) => JSON.parse(each.toString()));

describe('an OTLP request in protobuf', () => {
  test("of the protocol's own example is byte for byte the record of its JSON", () => {
    const body = message(
      1,
      message(1, message(1, text(1, 'service.name'), message(2, text(1, 'my.service')))),
      message(
        2,
        message(1, text(1, 'my.library')),
        message(
          2,
          fixed64(1, 1544712660300000000n),
          fixed64(11, 1544712660300000000n),
          varint(2, 10),
          text(3, 'Information'),
          bytes(9, Buffer.from('5B8EFFF798038103D269B633813FC60C', 'hex')),
          bytes(10, Buffer.from('EEE19B7EC3C1B174', 'hex')),
          message(5, text(1, 'Example log record')),
          attribute('int.attribute', varint(3, 10)),
        ),
      ),
    );
    const json =
      '{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},"scopeLogs":[{"scope":{"name":"my.library"},"logRecords":[{"timeUnixNano":"1544712660300000000","observedTimeUnixNano":"1544712660300000000","severityNumber":10,"severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","body":{"stringValue":"Example log record"},"attributes":[{"key":"int.attribute","value":{"intValue":"10"}}]}]}]}]}';
    expect(String(otlpProtobufRecords(body, upTo(10)).records[0])).toBe(String(otlpRecords(Buffer.from(json), upTo(10)).records[0]));
  });

  test('may be written in any order, with fields nobody knows', () => {
    const logs = message(
      2,
      bytes(2, Buffer.concat([text(12, 'late'), varint(15, 2 ** 40), fixed64(14, 1n), Buffer.from([0x6d, 1, 2, 3, 4])])),
      message(1, text(1, 'scope')),
    );
    const resource = message(1, message(1, text(1, 'service.name'), message(2, text(1, 's'))));
    expect(fieldsOf(message(1, logs, resource))).toEqual([{ 'service.name': 's', 'otel.scope.name': 'scope', 'event.name': 'late' }]);
  });

  test('keeps integers past 2^53 as text, and negative ones', () => {
    const ints = [-1n, -(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 32n, -(2n ** 32n) - 5n];
    const record = Buffer.concat(ints.map((value) => attribute(String(value), int64(3, value))));
    expect(fieldsOf(request(record))).toEqual([
      Object.fromEntries(ints.map((value) => [String(value), Number.isSafeInteger(Number(value)) ? Number(value) : String(value)])),
    ]);
  });

  test('takes every kind of value, `false`, 0 and empty text among them', () => {
    const double = fixed64(4, Buffer.from(new Float64Array([-1.5]).buffer).readBigUInt64LE());
    const record = Buffer.concat([
      attribute('no', varint(2, 0)),
      attribute('zero', varint(3, 0)),
      attribute('empty', text(1, '')),
      attribute('double', double),
      attribute('list', message(5, message(1, text(1, 'a')), message(1, message(5)))),
      attribute('map', message(6, message(1, text(1, 'k'), message(2, varint(2, 1))))),
      attribute('bytes', bytes(7, Buffer.of(1, 2, 255))),
      attribute('nothing'),
    ]);
    expect(fieldsOf(request(record))).toEqual([
      { no: false, zero: 0, empty: '', double: -1.5, list: ['a', []], map: { k: true }, bytes: 'AQL/', nothing: null },
    ]);
  });

  test('refuses a log record that nests too deep, and keeps the others', () => {
    let deep: Buffer = text(1, 'x');
    for (let i = 0; i < 40; i++) deep = message(5, bytes(1, deep));
    const { records, rejected, problem } = otlpProtobufRecords(request(attribute('deep', deep), text(12, 'flat')), upTo(1000));
    expect([records.map(String), rejected, problem]).toEqual([
      ['{"event.name":"flat"}'],
      1,
      expect.stringContaining('a value nests deeper than 32'),
    ]);
    let hostile: Buffer = text(1, 'x');
    for (let i = 0; i < 20_000; i++) hostile = message(5, bytes(1, hostile));
    expect(otlpProtobufRecords(request(attribute('deep', hostile)), upTo(1000)).rejected).toBe(1);
  });

  test('of more records than may be is cut there', () => {
    const many = request(...Array.from({ length: 5 }, () => text(12, 'e')));
    expect(otlpProtobufRecords(many, upTo(2))).toMatchObject({ rejected: 3, problem: 'more than 2 log records in one request' });
    // Two bytes a record: what is past the limit must cost no more than being counted.
    const flood = message(1, bytes(2, Buffer.from('1200'.repeat(500_000), 'hex')));
    expect(otlpProtobufRecords(flood, upTo(10))).toMatchObject({ rejected: 499_990 });
  });

  test('counts the records it refuses towards as many as it reads', () => {
    let deep: Buffer = text(1, 'x');
    for (let i = 0; i < 35; i++) deep = message(5, bytes(1, deep));
    const { records, rejected, problem } = otlpProtobufRecords(request(...Array(3).fill(attribute('deep', deep)), text(12, 'e')), upTo(3));
    expect([records, rejected, problem]).toEqual([[], 4, expect.stringContaining('a value nests deeper than 32')]);
  });

  test('of millions of fields is refused: they become many times their bytes', () => {
    const attributes = Buffer.from('3200'.repeat(2_000_000), 'hex');
    expect(() => otlpProtobufRecords(request(attributes), upTo(10))).toThrow('the body has more than 2000000 fields; send fewer at once');
  });

  test('that is empty has no records', () => {
    expect(fieldsOf(Buffer.alloc(0))).toEqual([]);
    expect(fieldsOf(message(1))).toEqual([]);
  });

  test.each([
    ['a length past the end', Buffer.from([0x0a, 0x05, 0x01])],
    ['a number without an end', Buffer.from([0x08, 0xff])],
    ['a number of eleven bytes', Buffer.from([0x08, ...Array(10).fill(0xff), 0x01])],
    ['half a fixed64', Buffer.from([0x09, 1, 2, 3])],
    ['a field number 0', Buffer.from([0x02, 0x00])],
    ['a group', Buffer.from([0x0b, 0x0c])],
    ['a wire type that is none', Buffer.from([0x0f])],
    ['JSON', Buffer.from('{"resourceLogs":[]}')],
    ['a log record cut in the middle', request(Buffer.from([0x2a, 0x7f, 0x0a]))],
  ])('is refused whole for %s', (_, body) => {
    expect(() => otlpProtobufRecords(body, upTo(1000))).toThrow(OtlpError);
  });

  test(`never does anything but give records or an OtlpError (seed ${seed})`, () => {
    const whole = request(
      Buffer.concat([fixed64(1, 1n), message(5, text(1, 'x')), attribute('k', message(5, message(1, varint(3, 300))))]),
    );
    const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((changes) => {
      const body = Buffer.from(whole);
      for (const [at, byte] of changes) body.writeUInt8(byte, at);
      return body;
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each)),
          damaged,
        ),
        (body) => {
          try {
            for (const record of otlpProtobufRecords(body, upTo(100)).records) JSON.parse(record.toString());
          } catch (error) {
            expect(error).toBeInstanceOf(OtlpError);
          }
        },
      ),
      { seed, numRuns: 3000 },
    );
  });
});

test('answers are messages too', () => {
  expect(otlpProtobufAnswer(0, undefined)).toEqual(Buffer.alloc(0));
  const answer = ProtobufReader.of(otlpProtobufAnswer(70_000, 'too deep'), 10);
  expect([answer.next(), answer.tag]).toEqual([true, 10]);
  const partial = answer.message();
  expect([partial.next(), partial.tag, partial.integer()]).toEqual([true, 8, 70_000]);
  expect([partial.next(), partial.tag, partial.text(), partial.next()]).toEqual([true, 18, 'too deep', false]);
  const status = ProtobufReader.of(otlpProtobufStatus('grüße'), 10);
  expect([status.next(), status.tag, status.text(), status.next()]).toEqual([true, 18, 'grüße', false]);
});
