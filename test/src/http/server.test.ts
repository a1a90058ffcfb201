import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { Counters } from '../../../processors/counters.ts';
import { DependencyError } from '../../../src/errors.ts';
import type { HealthReason, Status } from '../../../src/http/health.ts';
import { createServer, listen, type ServerOptions } from '../../../src/http/server.ts';
import { head, RawClient } from '../../support/raw-http.ts';

const open: FastifyInstance[] = [];
const reasons: HealthReason[] = [];
const status: Status = { sources: [], sinks: [], reasons: () => reasons };
const version = { version: '1.2.3', commit: 'abc', builtAt: '2026-11-21T00:00:00Z', driver: 'kafkajs' };

async function start(options: Partial<ServerOptions> = {}): Promise<string> {
  const app = createServer({ status, metrics: { counters: () => new Counters() }, version, ...options });
  open.push(app);
  return listen(app, '127.0.0.1', 0);
}
const portOf = (url: string): number => Number(new URL(url).port);
afterEach(async () => {
  reasons.length = 0;
  for (const app of open.splice(0)) await app.close();
});

describe('the server', () => {
  test('answers /live, /healthz, /metrics and /version', async () => {
    const url = await start();
    expect(await (await fetch(`${url}/live`)).json()).toEqual({ status: 'live' });
    const health = await fetch(`${url}/healthz`);
    expect(health.status).toBe(200);
    expect(health.headers.get('cache-control')).toBe('no-store');
    expect(await health.json()).toEqual({ status: 'ok', reasons: [], sources: {}, sinks: {} });
    const metrics = await fetch(`${url}/metrics`);
    expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(await metrics.text()).toContain('streamgauge_records_total 0');
    expect(await (await fetch(`${url}/version`)).json()).toEqual({ name: 'streamgauge', ...version, node: process.version });
    expect((await fetch(`${url}/live`)).headers.get('x-powered-by')).toBeNull();
  });

  test('answers /healthz 200 when degraded, 503 when failing, and /live 200 all the while', async () => {
    const url = await start();
    reasons.push({ reason: 'budget_spent', severity: 'degraded', detail: 'x' });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    reasons.push({ reason: 'checkpoint_failing', severity: 'failing', detail: 'disk full' });
    const failing = await fetch(`${url}/healthz`);
    expect(failing.status).toBe(503);
    expect(await failing.json()).toMatchObject({
      status: 'failing',
      reasons: [{ reason: 'checkpoint_failing' }, { reason: 'budget_spent' }],
    });
    expect((await fetch(`${url}/live`)).status).toBe(200);
  });

  test('says 404 to what it does not have, and shows nothing of itself when a handler throws', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
    const url = await start({
      log,
      mounts: [
        {
          register: (app) =>
            void app.get('/broken', () => {
              throw new Error('secret detail');
            }),
        },
      ],
    });
    const missing = await fetch(`${url}/nothing/here`);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toEqual({ error: 'not_found', message: 'nothing answers GET /nothing/here' });
    const broken = await fetch(`${url}/broken`);
    expect(broken.status).toBe(500);
    expect(await broken.text()).not.toContain('secret');
    expect(lines.join('')).toContain('secret detail');
  });

  test('keeps connections open longer than Logplex does', async () => {
    await start();
    expect(open[0].server.keepAliveTimeout).toBe(170_000);
  });

  test('gives up on a client that is slow with its headers, or with its body', async () => {
    const url = await start({
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 300 },
      mounts: [{ register: (app) => void app.post('/echo', async (request) => request.body) }],
    });
    const headers = await RawClient.open(portOf(url));
    await headers.write('GET /live HTTP/1.1\r\nHost');
    expect((await headers.answer())?.status).toBe(408);
    await headers.ended();
    const silent = await RawClient.open(portOf(url));
    await silent.ended();
    const body = await RawClient.open(portOf(url));
    await body.write(head('POST /echo HTTP/1.1', { 'Content-Type': 'application/json', 'Content-Length': 100 }));
    await body.write('{');
    expect((await body.answer())?.status).toBe(408);
    await body.ended();
  });

  test('refuses large bodies and large headers', async () => {
    const url = await start({
      limits: { maxBodyBytes: 100 },
      mounts: [{ register: (app) => void app.post('/echo', async (request) => request.body) }],
    });
    const first = await RawClient.open(portOf(url));
    await first.write(head('POST /echo HTTP/1.1', { 'Content-Type': 'application/json', 'Content-Length': 101 }));
    expect((await first.answer())?.status).toBe(413);
    const second = await RawClient.open(portOf(url));
    await second.write(head('GET /live HTTP/1.1', { 'X-Large': 'x'.repeat(20_000) }));
    expect((await second.answer())?.status).toBe(431);
    await Promise.all([first.ended(), second.ended()]);
  });

  test('takes the place of the longest idle connection for a new one, but never that of a sender or of a request under way', async () => {
    let answerHeld: () => void = () => {};
    const url = await start({
      limits: { maxConnections: 3 },
      mounts: [
        {
          register: (app) => {
            app.post('/taken', async () => ({}));
            app.get('/held', () => new Promise((resolve) => (answerHeld = () => resolve({}))));
          },
        },
      ],
    });
    const sender = await RawClient.open(portOf(url));
    await sender.write(head('POST /taken HTTP/1.1', { 'Content-Length': 0 }));
    expect((await sender.answer())?.status).toBe(200);
    const [idle, newer] = [await RawClient.open(portOf(url)), await RawClient.open(portOf(url))];
    const newest = await RawClient.open(portOf(url));
    await idle.ended();
    await newer.write(head('GET /held HTTP/1.1', {}));
    await newest.write(head('POST /taken HTTP/1.1', { 'Content-Length': 0 }));
    expect((await newest.answer())?.status).toBe(200);
    await (await RawClient.open(portOf(url))).ended();
    answerHeld();
    expect((await newer.answer())?.status).toBe(200);
    const scraper = await RawClient.open(portOf(url));
    await scraper.write(head('GET /metrics HTTP/1.1', {}));
    const metrics = await scraper.answer();
    expect(metrics?.body).toContain('streamgauge_http_refusals_total{reason="crowded_out"} 2');
    expect(metrics?.body).toContain('streamgauge_http_refusals_total{reason="too_many_connections"} 1');
    for (const client of [sender, newer, newest, scraper]) client.close();
  });

  test('holds its limits on each address of a name', async () => {
    const app = createServer({
      status,
      metrics: { counters: () => new Counters() },
      version,
      limits: { maxConnections: 1, headersTimeoutMs: 300 },
    });
    open.push(app);
    const port = portOf(await listen(app, 'localhost', 0));
    for (const { address } of app.addresses() as AddressInfo[]) {
      const garbage = connect({ host: address, port });
      garbage.end('rubbish\r\n\r\n');
      expect(String(await text(garbage)), address).toMatch(/^HTTP\/1\.1 400 /);
      const idle = connect({ host: address, port });
      await once(idle, 'connect');
      const next = connect({ host: address, port });
      next.write(head('GET /metrics HTTP/1.1', { Connection: 'close' }));
      await Promise.all([once(idle.resume(), 'close'), text(next)]);
    }
    const metrics = await (await fetch(`http://localhost:${port}/metrics`)).text();
    const addresses = app.addresses().length;
    expect(metrics).toContain(`streamgauge_http_refusals_total{reason="bad_request"} ${addresses}`);
    expect(metrics).toMatch(/reason="crowded_out"} [1-9]/);
  });

  test('answers a request that was whole before it says that the bytes behind it are none', async () => {
    let answerHeld: () => void = () => {};
    const url = await start({
      mounts: [{ register: (app) => void app.get('/held', () => new Promise((resolve) => (answerHeld = () => resolve({})))) }],
    });
    const client = await RawClient.open(portOf(url));
    await client.write(`${head('GET /held HTTP/1.1', {})}rubbish\r\n\r\n`);
    const metrics = async () => (await fetch(`${url}/metrics`)).text();
    await expect.poll(metrics).toContain('streamgauge_http_refusals_total{reason="bad_request"} 1');
    answerHeld();
    expect((await client.answer())?.status).toBe(200);
    expect((await client.answer())?.status).toBe(400);
    await client.ended();
  });

  test('lets a connection wait for so many answers and no more, and answers the others', async () => {
    let reached = 0;
    const url = await start({ mounts: [{ register: (app) => void app.get('/held', () => new Promise(() => void reached++)) }] });
    const greedy = await RawClient.open(portOf(url));
    void greedy.write(head('GET /held HTTP/1.1', {}).repeat(1000));
    await greedy.ended();
    expect(reached).toBe(256);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('streamgauge_http_refusals_total{reason="pipelined"} 1');
  });

  test('takes no path that nobody has for a pattern, whatever is in it', async () => {
    const url = await start();
    for (const path of [
      '/:a(((',
      '/*',
      '/**',
      '/:a(^x$',
      '/live/:x',
      '/::',
      '*',
      '/a*b',
      '/:a(\\d',
      '/live%00',
      '//',
      `/${':x'.repeat(200)}`,
      '/constructor',
    ]) {
      for (const method of ['GET', 'POST', 'PROPFIND']) {
        const client = await RawClient.open(portOf(url));
        await client.write(head(`${method} ${path} HTTP/1.1`, { 'Content-Length': 0 }));
        expect((await client.answer())?.status, `${method} ${path}`).toBe(404);
        client.close();
      }
    }
  });

  test('does not wait for a client that never reads its answer when it is closed', async () => {
    const url = await start({
      limits: { closeMs: 200, headersTimeoutMs: 60_000, requestTimeoutMs: 60_000 },
      mounts: [{ register: (app) => void app.get('/large', async () => 'x'.repeat(100_000)) }],
    });
    const deaf = await RawClient.open(portOf(url));
    deaf.deaf();
    void deaf.write(`${head('GET /large HTTP/1.1', {}).repeat(200)}GET /large HTTP/1.1\r\nHo`);
    // By then the request before it on the loop's turn is under way too.
    expect((await fetch(`${url}/live`)).status).toBe(200);
    await open.splice(0)[0].close();
    deaf.close();
  });

  test('says 405 and what it takes to any other method, also to one that hardly anybody knows', async () => {
    const url = await start({ mounts: [{ register: (app) => void app.post('/taken', async () => ({})) }] });
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'TRACE']) {
      const client = await RawClient.open(portOf(url));
      await client.write(head(`${method} /live?x HTTP/1.1`, { 'Content-Length': 0 }));
      expect(await client.answer(), method).toMatchObject({ status: 405, headers: { allow: 'GET' } });
      if (method !== 'POST') {
        await client.write(head(`${method} /taken HTTP/1.1`, { 'Content-Length': 0 }));
        expect(await client.answer(), method).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      }
      client.close();
    }
  });

  test('says which port it could not have, and what to do', async () => {
    const url = await start();
    const second = createServer({ status, metrics: { counters: () => new Counters() }, version });
    open.push(second);
    const failed = listen(second, '127.0.0.1', portOf(url));
    await expect(failed).rejects.toThrow(DependencyError);
    await expect(failed).rejects.toThrow(/another program has the port; choose one with http\.listen/);
    expect((open[0].server.address() as AddressInfo).port).toBe(portOf(url));
  });
});
