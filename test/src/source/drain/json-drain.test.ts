import { deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import type { JournalDrainOptions } from '../../../../src/source/drain/http-drain.ts';
import { DrainHarness } from './drain-harness.ts';

let open: DrainHarness[] = [];
async function start(options: Partial<JournalDrainOptions>): Promise<DrainHarness> {
  const harness = (await DrainHarness.start(options)).run();
  open.push(harness);
  return harness;
}
afterEach(async () => {
  for (const each of open) await each.stop();
  open = [];
});

describe('a JSON drain', () => {
  const json = { 'Content-Type': 'application/json' };

  test('takes what Fluent Bit and Vector post: an array, lines, objects without anything between, gzip', async () => {
    const harness = await start({ path: '/drain/json', dataset: 'k8s' });
    const answers = [
      await harness.post('[{"a":1},{"a":2}]', { 'Content-Type': 'application/json; charset=utf-8' }),
      await harness.post('{"a":3}\n{"a":"4\n{"a":5}\n', { 'Content-Type': 'application/x-ndjson' }),
      await harness.post('{"a":6}{"a":7}', json),
      await harness.post(gzipSync('[{"a":8}]'), { ...json, 'Content-Encoding': 'gzip' }),
      await harness.post('{"a":9}', { 'Content-Type': 'application/vnd.api+json' }),
    ];
    expect((await harness.post(deflateSync('{"a":10}'), { ...json, 'Content-Encoding': 'deflate' })).status).toBe(200);
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '0' } });
    expect(await harness.handedIn(10)).toEqual([
      '{"a":1}',
      '{"a":2}',
      '{"a":3}',
      '{"a":"4',
      '{"a":5}',
      '{"a":6}',
      '{"a":7}',
      '{"a":8}',
      '{"a":9}',
      '{"a":10}',
    ]);
  });

  test('takes a body of 10 MiB and says 413 to a larger one', async () => {
    const harness = await start({ path: '/drain/json' });
    const body = `{"a":"${'x'.repeat(10 * 1024 ** 2 - 8)}"}`;
    expect(body.length).toBe(10 * 1024 ** 2);
    expect((await harness.post(body, json)).status).toBe(200);
    expect((await harness.handedIn(1))[0].length).toBe(body.length);
    expect(await harness.post(`${body} `, json)).toMatchObject({ status: 413, body: expect.stringContaining('at most 10485760') });
  });

  test('names the types it takes to a sender of another', async () => {
    const harness = await start({ path: '/drain/json' });
    for (const type of ['application/msgpack', 'application/x-www-form-urlencoded']) {
      expect(await harness.post('x', { 'Content-Type': type })).toMatchObject({
        status: 415,
        body: expect.stringContaining('application/x-ndjson'),
      });
    }
  });

  test('keeps what is no JSON for the dead letter', async () => {
    const harness = await start({ path: '/drain/json' });
    expect((await harness.post('{"a":', json)).status).toBe(200);
    expect((await harness.post('not gzip', { ...json, 'Content-Encoding': 'gzip' })).status).toBe(200);
    expect(await harness.handedIn(2)).toEqual(['{"a":', 'not gzip']);
    expect(harness.batches.every((each) => each.format === 'json')).toBe(true);
    expect(harness.records[1].headers).toEqual({ 'streamgauge-reject': 'bad_frame' });
  });
});

describe('an OTLP drain', () => {
  const json = { 'Content-Type': 'application/json' };
  const request = (...bodies: unknown[]) => JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: bodies }] }] });

  test('answers {} as JSON once each log record is a record', async () => {
    const harness = await start({ path: '/v1/logs', dataset: 'otel' });
    const answer = await harness.post(request({ body: { stringValue: 'a' } }, { body: { stringValue: 'b' } }), json);
    expect(answer).toMatchObject({ status: 200, body: '{}', headers: { 'content-type': expect.stringContaining('application/json') } });
    expect(await harness.handedIn(2)).toEqual(['{"message":"a"}', '{"message":"b"}']);
    expect(harness.batches[0]).toMatchObject({ topic: '/v1/logs', format: 'json', dataset: 'otel' });
    expect(await harness.post('{}', json)).toMatchObject({ status: 200, body: '{}' });
    expect((await harness.post(gzipSync(request({ body: { stringValue: 'c' } })), { ...json, 'Content-Encoding': 'gzip' })).status).toBe(
      200,
    );
    expect((await harness.handedIn(3))[2]).toBe('{"message":"c"}');
  });

  test('says how many log records it could not take', async () => {
    const harness = await start({ path: '/v1/logs' });
    expect(JSON.parse((await harness.post(request({ body: { stringValue: 'a' } }, 5), json)).body)).toEqual({
      partialSuccess: { rejectedLogRecords: '1', errorMessage: 'a log record is not an object' },
    });
    expect(harness.drain.counters).toMatchObject({ records: 1, rejects: 1 });
    await harness.handedIn(1);
    expect(harness.records[0].headers).toEqual({ 'streamgauge-missing': '1' });
  });

  test('tells what is wrong with a request it cannot read, protobuf included', async () => {
    const harness = await start({ path: '/v1/logs' });
    expect(await harness.post('{"resourceLogs":', json)).toMatchObject({ status: 400, body: expect.stringContaining('not JSON') });
    expect(await harness.post('x', { 'Content-Type': 'application/x-protobuf' })).toMatchObject({
      status: 400,
      headers: { 'content-type': 'application/x-protobuf' },
      body: expect.stringContaining('not an ExportLogsServiceRequest in protobuf'),
    });
    expect(await harness.post('no gzip', { ...json, 'Content-Encoding': 'gzip' })).toMatchObject({ status: 400 });
    expect(await harness.post('{}', { 'Content-Type': 'text/plain' })).toMatchObject({
      status: 415,
      body: expect.stringContaining('application/x-protobuf or application/json'),
    });
    expect(harness.drain.counters.requests).toMatchObject({ bad_content: 3, unsupported: 1 });
  });

  test('asks for a retry when the disk refuses', async () => {
    const harness = await start({ path: '/v1/logs', journal: { sync: () => Promise.reject(new Error('EIO')) } });
    expect(await harness.post(request({}), json)).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
      body: expect.stringContaining('EIO'),
    });
  });
});
