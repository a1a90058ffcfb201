import type { FastifyInstance } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { Counters } from '../../../../processors/counters.ts';
import { createServer } from '../../../../src/http/server.ts';
import { DrainEndpoint } from '../../../../src/source/drain/drain-endpoint.ts';
import type { DrainKeeper } from '../../../../src/source/drain/drain-keeper.ts';

let app: FastifyInstance | undefined;
afterEach(() => app?.close());

/** Posts to the path and gives the keys under which records were kept. */
async function keysOf(path: string, requests: readonly (readonly [body: string, headers: Record<string, string>])[]) {
  const keys: (string | undefined)[] = [];
  const keeper: DrainKeeper = {
    trouble: undefined,
    keep: async (_, key, { settled }) => {
      keys.push(key);
      settled(true);
      return undefined;
    },
  };
  const endpoint = new DrainEndpoint({ path, credentials: [], dataset: 'x' }, keeper, { info: () => {}, warn: () => {} });
  app = createServer({
    status: { sources: [], sinks: [], reasons: () => [] },
    metrics: { counters: () => new Counters(), drains: () => [] },
    version: { version: '0.0.0', commit: 'unknown', builtAt: 'unknown', driver: 'none' },
    mounts: [endpoint],
  });
  for (const [payload, headers] of requests) {
    const { statusCode } = await app.inject({ method: 'POST', url: path, payload, headers });
    expect(statusCode).toBe(200);
  }
  return keys;
}

test('records of a Logplex token have it for a key, those without one their sender', async () => {
  const frame = '9 <190>1 a\n';
  expect(
    await keysOf('/drain/logplex', [
      [frame, { 'logplex-drain-token': 'd.a', 'x-forwarded-for': '10.0.0.7' }],
      [frame, {}],
    ]),
  ).toEqual(['d.a', '127.0.0.1']);
});

test('JSON records have their sender for a key, also behind a proxy: parts of a line are joined within a partition', async () => {
  const json = { 'content-type': 'application/json' };
  expect(
    await keysOf('/drain/json', [
      ['{}', json],
      ['{}', { ...json, 'x-forwarded-for': '10.0.0.7' }],
      ['{}', { ...json, 'x-forwarded-for': ' 10.0.0.8, 192.168.0.1', 'logplex-drain-token': 'd.a' }],
      ['{}', { ...json, 'x-forwarded-for': 'x'.repeat(5000) }],
    ]),
  ).toEqual(['127.0.0.1', '10.0.0.7', '10.0.0.8', 'x'.repeat(100)]);
});

test('OTLP records have no key: one collector sends those of many', async () => {
  const request = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{}] }] }] });
  expect(await keysOf('/v1/logs', [[request, { 'content-type': 'application/json' }]])).toEqual([undefined]);
});
