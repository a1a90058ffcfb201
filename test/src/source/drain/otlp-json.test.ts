import { describe, expect, test } from 'vitest';
import { otlpRecords } from '../../../../src/source/drain/otlp-json.ts';
import { OtlpError } from '../../../../src/source/drain/otlp-records.ts';

const upTo = (maxRecords: number) => ({ maxRecords, maxBytes: 1e9 });

function fields(request: unknown): unknown[] {
  return otlpRecords(Buffer.from(JSON.stringify(request)), upTo(1000)).records.map((each) => JSON.parse(each.toString()));
}

function one(logRecord: unknown, resource?: unknown, scope?: unknown): unknown {
  return fields({ resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [logRecord] }] }] })[0];
}

describe('an OTLP request', () => {
  test("of the protocol's own example becomes one flat record", () => {
    const request = {
      resourceLogs: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: 'my.service' } }] },
          scopeLogs: [
            {
              scope: { name: 'my.library' },
              logRecords: [
                {
                  timeUnixNano: '1544712660300000000',
                  observedTimeUnixNano: '1544712660300000000',
                  severityNumber: 10,
                  severityText: 'Information',
                  traceId: '5B8EFFF798038103D269B633813FC60C',
                  spanId: 'EEE19B7EC3C1B174',
                  body: { stringValue: 'Example log record' },
                  attributes: [{ key: 'int.attribute', value: { intValue: '10' } }],
                },
              ],
            },
          ],
        },
      ],
    };
    expect(fields(request)).toEqual([
      {
        'service.name': 'my.service',
        'otel.scope.name': 'my.library',
        'int.attribute': 10,
        message: 'Example log record',
        time: 1544712660300,
        severity_number: 10,
        'log.level': 'Information',
        trace_id: '5b8efff798038103d269b633813fc60c',
        span_id: 'eee19b7ec3c1b174',
      },
    ]);
  });

  test('takes every kind of value', () => {
    const attributes = [
      { key: 's', value: { stringValue: '' } },
      { key: 'b', value: { boolValue: false } },
      { key: 'i', value: { intValue: -5 } },
      { key: 'big', value: { intValue: '9223372036854775807' } },
      { key: 'd', value: { doubleValue: 0.5 } },
      { key: 'nan', value: { doubleValue: 'NaN' } },
      { key: 'raw', value: { bytesValue: 'AAE=' } },
      { key: 'list', value: { arrayValue: { values: [{ intValue: 1 }, { stringValue: 'x' }] } } },
      { key: 'none', value: { arrayValue: {} } },
      { key: 'map', value: { kvlistValue: { values: [{ key: 'a', value: { boolValue: true } }] } } },
      { key: 'empty', value: {} },
      { key: '__proto__', value: { stringValue: 'harmless' } },
      { key: '', value: { stringValue: 'no name' } },
      'no pair',
    ];
    expect(JSON.stringify(one({ attributes }))).toBe(
      '{"s":"","b":false,"i":-5,"big":"9223372036854775807","d":0.5,"nan":"NaN","raw":"AAE=","list":[1,"x"],"none":[],"map":{"a":true},"empty":null,"__proto__":"harmless"}',
    );
  });

  test('takes a number that is null for no value, not for 0', () => {
    const attributes = [
      { key: 'a', value: { doubleValue: null } },
      { key: 'b', value: { intValue: null } },
    ];
    expect(one({ attributes })).toEqual({ a: null, b: null });
  });

  test('takes the observed time where there is no other, and none where there is neither', () => {
    expect(one({ timeUnixNano: '0', observedTimeUnixNano: '1700000000123999999' })).toEqual({ time: 1700000000123 });
    expect(one({ timeUnixNano: 1544712660300000000 })).toEqual({ time: 1544712660300 });
    for (const timeUnixNano of ['', '12', 'x000000000', -1, null, 0]) expect(one({ timeUnixNano })).toEqual({});
  });

  test.each([
    [0, undefined],
    [1, 'trace'],
    [4, 'trace'],
    [5, 'debug'],
    [9, 'info'],
    [13, 'warn'],
    [17, 'error'],
    [24, 'fatal'],
    [25, undefined],
  ])('names severity %d %s where the sender gave no text', (severityNumber, level) => {
    expect(one({ severityNumber })).toEqual({
      ...(severityNumber > 0 && { severity_number: severityNumber }),
      ...(level && { 'log.level': level }),
    });
  });

  test('lifts the fields of a body that is a map; other bodies are the message', () => {
    const map = {
      kvlistValue: {
        values: [
          { key: 'event', value: { stringValue: 'login' } },
          { key: 'n', value: { intValue: 2 } },
        ],
      },
    };
    expect(one({ body: map, eventName: 'user.login' })).toEqual({ event: 'login', n: 2, 'event.name': 'user.login' });
    expect(one({ body: { intValue: 5 } })).toEqual({ message: '5' });
    expect(one({ body: { arrayValue: { values: [{ intValue: 5 }] } } })).toEqual({ message: '[5]' });
    expect(one({ body: {} })).toEqual({});
  });

  test('lets a record say more than its resource', () => {
    const of = (value: string) => [{ key: 'host.name', value: { stringValue: value } }];
    expect(one({ attributes: of('record') }, { attributes: of('resource') })).toEqual({ 'host.name': 'record' });
  });

  test('that is empty has no records', () => {
    expect(fields({})).toEqual([]);
    expect(fields({ resourceLogs: [{}] })).toEqual([]);
  });

  test('keeps what can be kept and counts the rest', () => {
    let deep: unknown = { stringValue: 'x' };
    for (let i = 0; i < 100; i++) deep = { arrayValue: { values: [deep] } };
    const logRecords = [{ body: { stringValue: 'good' } }, 'bad', { attributes: [{ key: 'deep', value: deep }] }];
    const { records, rejected, problem } = otlpRecords(
      Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] })),
      upTo(1000),
    );
    expect(records.map(String)).toEqual(['{"message":"good"}']);
    expect(rejected).toBe(2);
    expect(problem).toBe('a log record is not an object');
    const many = otlpRecords(Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{}, {}, {}] }] }] })), upTo(2));
    expect([many.records.length, many.rejected]).toEqual([2, 1]);
  });

  test('counts the records it refuses towards as many as it reads', () => {
    const logRecords = [0, 0, { body: { stringValue: 'good, but past the limit' } }];
    const body = Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }));
    expect(otlpRecords(body, upTo(2))).toMatchObject({ records: [], rejected: 3, problem: 'a log record is not an object' });
  });

  test('does not copy a long resource for each record it refuses', () => {
    let deep: unknown = { stringValue: 'x' };
    for (let i = 0; i < 35; i++) deep = { arrayValue: { values: [deep] } };
    const attributes = Array.from({ length: 10_000 }, (_, i) => ({ key: `k${i}`, value: {} }));
    const logRecords = Array.from({ length: 10_000 }, () => ({ body: deep }));
    const body = Buffer.from(JSON.stringify({ resourceLogs: [{ resource: { attributes }, scopeLogs: [{ logRecords }] }] }));
    const started = performance.now();
    expect(otlpRecords(body, upTo(10_000)).rejected).toBe(10_000);
    // Some 200 ms; ten thousand copies take a minute.
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('refuses a log record of more attributes than any has', () => {
    const attributes = Array.from({ length: 10_001 }, (_, i) => ({ key: `k${i}`, value: {} }));
    const body = (count: number) =>
      Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ attributes: attributes.slice(0, count) }] }] }] }));
    expect(otlpRecords(body(10_000), upTo(10))).toMatchObject({ rejected: 0 });
    expect(otlpRecords(body(10_001), upTo(10))).toMatchObject({ rejected: 1, problem: expect.stringContaining('10000 attributes') });
  });

  test('of millions of values is refused before it is parsed: they become many times their bytes', () => {
    const request = (count: number) => Buffer.from(`{"resourceLogs":[${'{},'.repeat(count)}{}]}`);
    expect(otlpRecords(request(900_000), upTo(10))).toMatchObject({ records: [], rejected: 0 });
    expect(() => otlpRecords(request(1_000_000), upTo(10))).toThrow('the body has more than 2000000 values; send fewer at once');
    // What stands in texts is none.
    const text = Buffer.from(JSON.stringify({ resourceLogs: [], note: '{[,\\"'.repeat(1_000_000) }));
    expect(otlpRecords(text, upTo(10))).toMatchObject({ records: [], rejected: 0 });
  });

  test('whose resource would be repeated until the memory is full is cut at so many bytes', () => {
    const resource = { attributes: [{ key: 'long', value: { stringValue: 'x'.repeat(1000) } }] };
    const request = { resourceLogs: [{ resource, scopeLogs: [{ logRecords: Array.from({ length: 1000 }, () => ({})) }] }] };
    const cut = otlpRecords(Buffer.from(JSON.stringify(request)), { maxRecords: 1e6, maxBytes: 10_000 });
    expect([cut.records.length, cut.rejected, cut.problem]).toEqual([10, 990, 'more than 10000 bytes of log records in one request']);
  });

  test.each([
    '',
    'x',
    '[]',
    '5',
    '{"resourceLogs":5}',
    '{"resourceLogs":[{"scopeLogs":{}}]}',
    `{"resourceLogs":[{"resource":{"attributes":[{"key":"deep","value":${'{"arrayValue":{"values":['.repeat(40)}{}${']}}'.repeat(40)}}]}}]}`,
  ])('that is none (%s) is refused', (body) => {
    expect(() => otlpRecords(Buffer.from(body), upTo(1000))).toThrow(OtlpError);
  });
});
