/** OpenTelemetry's own SDK and exporters, over a real socket, into a drain and through the decoder that rules read from. */
import { type AnyValueMap, type LogRecord, SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as HttpExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtoExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { BatchLogRecordProcessor, LoggerProvider, type LogRecordExporter } from '@opentelemetry/sdk-logs';
import { afterEach, describe, expect, test } from 'vitest';
import type { JournalDrainOptions } from '../../../../src/source/drain/http-drain.ts';
import { Harness } from '../../../processors/decode/decode-lines.ts';
import { basic, DrainHarness, password } from './drain-harness.ts';

let open: DrainHarness[] = [];
async function start(options: Partial<JournalDrainOptions> = {}): Promise<DrainHarness> {
  const harness = (await DrainHarness.start({ path: '/v1/logs', dataset: 'otel', ...options })).run();
  open.push(harness);
  return harness;
}
afterEach(async () => {
  for (const each of open) await each.stop();
  open = [];
});

type Compression = 'gzip' | 'none';
const exporters: [name: string, make: (url: string, compression: Compression) => LogRecordExporter][] = [
  [
    'protobuf',
    (url, compression) => new ProtoExporter({ url, headers: { Authorization: basic(password) }, compression: compression as never }),
  ],
  ['JSON', (url, compression) => new HttpExporter({ url, headers: { Authorization: basic(password) }, compression: compression as never })],
];

const timeMs = Date.parse('2026-01-05T12:00:00.123Z');

/** Sends through the SDK's own batch; resolves when the exporter is done. */
async function send(exporter: LogRecordExporter, records: readonly LogRecord[]): Promise<void> {
  const provider = new LoggerProvider({ processors: [new BatchLogRecordProcessor({ exporter })] });
  const logger = provider.getLogger('checkout', '1.2.3');
  for (const record of records) logger.emit(record);
  await provider.forceFlush();
  await provider.shutdown();
}

describe.each(exporters)('the exporter that sends %s', (name, make) => {
  const urlOf = (harness: DrainHarness) => `http://127.0.0.1:${harness.port}/v1/logs`;

  test.each<Compression>(['none', 'gzip'])('has every field taken, compression %s', async (compression) => {
    const harness = await start();
    const attributes: AnyValueMap = {
      'user.email': 'a@x.org',
      'http.response.status_code': 404,
      'http.server.request.duration': 0.25,
      negative: -7,
      big: 9_007_199_254_740_993_000,
      sampled: true,
      roles: ['admin', 'ops'],
      nested: { of: { depth: 'two' } },
      bytes: new Uint8Array([1, 2, 255]),
      'nothing here': '',
      ünïcode: 'grüße ✓',
    };
    await send(make(urlOf(harness), compression), [
      {
        timestamp: timeMs,
        severityNumber: SeverityNumber.WARN2,
        severityText: 'Warning',
        eventName: 'order.failed',
        body: 'order 17 failed',
        attributes,
      },
      { timestamp: timeMs + 1, severityNumber: SeverityNumber.ERROR, body: { 'event.name': 'passkey.begin', count: 3 } },
      { timestamp: timeMs + 2, body: '' },
    ]);
    const [first, second, third] = (await harness.handedIn(3)).map((text): Record<string, unknown> => JSON.parse(text));
    expect(first).toMatchObject({
      time: timeMs,
      'log.level': 'Warning',
      severity_number: 14,
      message: 'order 17 failed',
      'event.name': 'order.failed',
      'otel.scope.name': 'checkout',
      'user.email': 'a@x.org',
      'http.response.status_code': 404,
      'http.server.request.duration': 0.25,
      negative: -7,
      sampled: true,
      roles: ['admin', 'ops'],
      nested: { of: { depth: 'two' } },
      bytes: 'AQL/',
      'nothing here': '',
      ünïcode: 'grüße ✓',
    });
    expect(first).toHaveProperty(['telemetry.sdk.name'], 'opentelemetry');
    expect(second).toMatchObject({ time: timeMs + 1, 'log.level': 'error', 'event.name': 'passkey.begin', count: 3 });
    expect(third).toMatchObject({ time: timeMs + 2, message: '' });
    expect(harness.drain.counters).toMatchObject({ records: 3, rejects: 0, requests: { accepted: 1, bad_content: 0 } });
  });

  test('gives events that rules can read', async () => {
    const harness = await start();
    const attributes = { 'client.address': '203.0.113.9', 'user.email': 'a@x.org', 'http.response.status_code': 401 };
    await send(make(urlOf(harness), 'none'), [{ timestamp: timeMs, severityNumber: SeverityNumber.INFO, body: 'no', attributes }]);
    await harness.handedIn(1);
    const fields = ['client.address', 'user.email', 'http.response.status_code', 'log.level', 'message'];
    const rows = new Harness({ fields }).decode(harness.texts(), { dataset: 'otel', format: 'json' });
    expect(rows).toMatchObject([
      {
        dataset: 'otel',
        time: new Date(timeMs).toISOString(),
        fields: {
          'client.address': '203.0.113.9',
          'user.email': 'a@x.org',
          'http.response.status_code': 401,
          'log.level': 'info',
          message: 'no',
        },
      },
    ]);
  });

  test('comes again after a 503, with nothing lost and nothing twice', async () => {
    let failures = 1;
    const harness = await start({
      journal: { sync: (file) => (failures-- > 0 ? Promise.reject(new Error('EIO')) : file.datasync()) },
    });
    await send(make(urlOf(harness), 'none'), [{ timestamp: timeMs, body: name }]);
    expect((await harness.handedIn(1)).map((text) => JSON.parse(text).message)).toEqual([name]);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 1, unavailable: 1 });
  });
});

test('both encodings of a request give the same records', async () => {
  const harness = await start();
  const url = `http://127.0.0.1:${harness.port}/v1/logs`;
  const records: LogRecord[] = [
    { timestamp: timeMs, observedTimestamp: timeMs, severityNumber: 21, body: { a: [1, 'x', { b: null }], c: -1.5 } },
    { timestamp: timeMs, observedTimestamp: timeMs, eventName: 'e', attributes: { n: Number.MIN_VALUE, i: 2 ** 53, s: '"\n' } },
  ];
  for (const [, make] of exporters) await send(make(url, 'none'), records);
  const texts = await harness.handedIn(4);
  expect(texts.slice(2)).toEqual(texts.slice(0, 2));
});
