import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { toOcsf } from '../../processors/detect/ocsf.ts';
import { findingSchema } from '../../schemas/finding.ts';
import { LokiWriter } from '../../src/sink/loki.ts';
import { lokiEntry } from '../../src/sink/loki-entry.ts';
import { sampleFinding, sinkLaws } from '../contracts/sink-laws.ts';
import { anyLoki, type Loki, lokiUnavailable, startLoki } from '../support/loki.ts';
import { queuedLoki } from '../support/loki-shipper.ts';
import { makeTempDir, tempDir } from '../support/temp-dir.ts';

const unavailable = lokiUnavailable({ own: true });
if (unavailable) console.log(`skipping the Loki suite: ${unavailable}`);

const settleMs = 15_000;
/** Findings of the laws are of November 2026, whatever the day is. */
const anyAge = { maxAgeMs: Number.POSITIVE_INFINITY };
const freshApp = () => `app-${randomBytes(4).toString('hex')}`;
const entriesOf = (findings: readonly Finding[], app: string) =>
  findings.map((finding) => lokiEntry(findingSchema.parse(toOcsf(finding)), { app }));
const at = (finding: Finding, timeMs: number): Finding => ({ ...finding, timeMs });

describe.skipIf(unavailable)('Loki', () => {
  let loki: Loki;
  beforeAll(async () => {
    loki = await startLoki();
  });
  afterAll(() => loki?.stop());

  const stored = (app: string, from: Finding = sampleFinding(0), to: Finding = sampleFinding(2000)) =>
    loki.query(`{job="findings", app="${app}", detector!="self"}`, from.timeMs - 1000, to.timeMs + 1000);

  sinkLaws(
    'loki behind its queue',
    async () => {
      const dir = await makeTempDir();
      const app = freshApp();
      let last = queuedLoki(dir, app, { url: loki.url, ...anyAge });
      return {
        sink: () => {
          last = queuedLoki(dir, app, { url: loki.url, ...anyAge });
          return last;
        },
        stored: async () => {
          expect(await last.settled(settleMs)).toBe(true);
          return (await stored(app)).map(({ line }) => {
            const { finding_id: id, sequence } = JSON.parse(line);
            return { id, sequence };
          });
        },
        dispose: () => rm(dir, { recursive: true, force: true }),
      };
    },
    { keepsOne: true },
  );

  test('a finding is found by its metadata, and the labels are the five that were promised', async () => {
    const app = freshApp();
    const sink = queuedLoki(await tempDir(), app, { url: loki.url, ...anyAge });
    await sink.open();
    await sink.write([sampleFinding(1), sampleFinding(2)]);
    await sink.close();
    const { timeMs, id } = sampleFinding(1);
    const found = await loki.query(
      `{job="findings", app="${app}"} | finding_id="${id}" | key_client_address="203.0.113.9"`,
      timeMs - 1000,
      timeMs + 1000,
    );
    expect(found.length).toBe(1);
    expect(JSON.parse(found[0].line)).toMatchObject({ finding_id: id, summary: sampleFinding(1).summary });
    const window = `start=${timeMs - 60_000}000000&end=${timeMs + 60_000}000000`;
    const series = (await loki.get(`/loki/api/v1/series?match[]=${encodeURIComponent(`{app="${app}"}`)}&${window}`)) as { data: object[] };
    expect(series.data).toEqual([{ job: 'findings', app, env: 'test', severity: 'high', detector: 'above', service_name: app }]);
  });

  test('Loki away for a while holds nothing up, and all is there once when it is back, the outage told', async () => {
    const app = freshApp();
    const dir = await tempDir();
    const nowMs = Date.now();
    const hourMs = 3_600_000;
    // Of the last three hours: an outage's own finding is of now, and what was said before it is too far behind if it comes after it.
    const findings = Array.from({ length: 300 }, (_, index) => at(sampleFinding(index), nowMs - 3 * hourMs + index * 36_000));
    const said = [150, 60].map((minutes, index): Finding => {
      return { ...at(sampleFinding(1000 + index), nowMs - minutes * 60_000), rule: 'streamgauge.source_failed', detector: 'self' };
    });
    const options = { url: loki.url, retryForMs: 300 };
    const first = queuedLoki(dir, app, options);
    await first.open();
    await first.write(findings.slice(0, 100));
    expect(await first.settled(settleMs)).toBe(true);
    await loki.halt('SIGKILL');
    let isBack = false;
    try {
      // A write is the queue's, and does not know of Loki.
      for (let i = 100; i < 200; i++) await first.write([findings[i]]);
      await expect.poll(() => first.health(), { timeout: 15_000 }).toMatchObject({ ok: false, kept: true, waiting: 100 });
      expect(first.health().reason).toContain(loki.url);
      // A restart in the middle of it forgets nothing.
      await first.close();
      const second = queuedLoki(dir, app, options);
      await second.open();
      onTestFinished(() => second.close());
      await expect.poll(() => second.health(), { timeout: 15_000 }).toMatchObject({ ok: false, waiting: 100 });
      await second.write([...findings.slice(200), ...said]);
      await loki.resume();
      isBack = true;
      expect(await second.settled(60_000)).toBe(true);
      expect(second.health()).toMatchObject({ ok: true, waiting: 0, dropped: {} });
    } finally {
      if (!isBack) await loki.resume();
    }
    const lines = await loki.query(`{job="findings", app="${app}"}`, nowMs - 4 * hourMs, Date.now() + 60_000);
    const own = lines.filter(({ fields }) => fields.detector !== 'self');
    expect(own.map(({ fields }) => fields.finding_id)).toEqual(findings.map(({ id }) => id));
    const told = lines.filter(({ fields }) => fields.detector === 'self').map(({ fields }) => fields.rule);
    expect(told).toEqual(['streamgauge.source_failed', 'streamgauge.source_failed', 'streamgauge.sink_failed']);
  }, 120_000);

  test('what is too far behind its stream is dropped, counted and named, and what came with it is stored', async () => {
    const app = freshApp();
    const drops: unknown[] = [];
    const writer = new LokiWriter({ url: loki.url, ...anyAge, onDrop: (drop) => drops.push(drop) });
    onTestFinished(() => writer.close());
    const base = sampleFinding(0).timeMs;
    const send = async (findings: readonly Finding[]) => {
      for (const request of writer.prepare(entriesOf(findings, app))) await writer.send(request);
    };
    await send([at(sampleFinding(1), base + 10 * 3_600_000)]);
    await send([at(sampleFinding(2), base), at(sampleFinding(3), base + 10 * 3_600_000 + 1000)]);
    expect(writer.dropped).toEqual({ too_far_behind: 1 });
    expect(drops).toMatchObject([{ reason: 'too_far_behind', entries: 1, detail: expect.stringContaining('too far behind') }]);
    const found = await loki.query(`{app="${app}"}`, base - 1000, base + 20 * 3_600_000);
    expect(found.map(({ fields }) => fields.finding_id)).toEqual([1, 3].map((index) => sampleFinding(index).id));
  });

  test('what is older than a week is not even sent', async () => {
    const writer = new LokiWriter({ url: loki.url, now: () => sampleFinding(0).timeMs + 8 * 86_400_000 });
    onTestFinished(() => writer.close());
    expect(writer.prepare(entriesOf([sampleFinding(0)], freshApp()))).toEqual([]);
    expect(writer.dropped).toEqual({ too_old: 1 });
  });

  test('findings of several MiB go in requests near one', async () => {
    const app = freshApp();
    const writer = new LokiWriter({ url: loki.url, ...anyAge });
    onTestFinished(() => writer.close());
    const text = 'x'.repeat(100_000);
    const findings = Array.from({ length: 30 }, (_, index) => ({
      ...sampleFinding(index),
      samples: [{ topic: 'logs', partition: 0, offset: index, text }],
    }));
    const requests = writer.prepare(entriesOf(findings, app));
    expect(requests.length).toBeGreaterThanOrEqual(3);
    for (const request of requests) await writer.send(request);
    expect((await stored(app)).length).toBe(30);
    expect(writer.dropped).toEqual({});
  });

  test('a gateway before Loki gets its password or token, and what it cannot pass on at first is tried again', async () => {
    const app = freshApp();
    const seen: (string | undefined)[] = [];
    const gateway = createServer(async (request, response) => {
      seen.push(request.headers.authorization);
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      if (seen.length <= 2) {
        response.writeHead(503).end('no upstream');
        return;
      }
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      const answer = await fetch(`${loki.url}${request.url?.replace('/logs', '')}`, {
        method: 'POST',
        headers,
        body: Buffer.concat(parts),
      });
      response.writeHead(answer.status).end(await answer.text());
    });
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    const address = gateway.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/logs/`;
    const basic = new LokiWriter({ url, auth: { username: 'app', password: 'pass:word' }, ...anyAge });
    const bearer = new LokiWriter({ url, token: 'a-token', ...anyAge });
    onTestFinished(async () => {
      await basic.close();
      await bearer.close();
      gateway.close();
    });
    await basic.send(entriesOf([sampleFinding(1)], app));
    await bearer.send(entriesOf([sampleFinding(2)], app));
    expect(basic.retries).toBe(2);
    const password = `Basic ${Buffer.from('app:pass:word').toString('base64')}`;
    expect(seen).toEqual([password, password, password, 'Bearer a-token']);
    expect((await stored(app)).length).toBe(2);
  });

  test('one entry that spoils its request is found and dropped, the others are stored', async () => {
    const app = freshApp();
    const writer = new LokiWriter({ url: loki.url, ...anyAge });
    onTestFinished(() => writer.close());
    const entries = entriesOf([sampleFinding(1), sampleFinding(2), sampleFinding(3)], app);
    // A number among the metadata: Loki refuses the whole request.
    const spoiled = entries.map((entry, index) => (index === 1 ? { ...entry, metadata: { n: 1 as unknown as string } } : entry));
    for (const request of writer.prepare(spoiled)) await writer.send(request);
    expect(writer.dropped).toEqual({ malformed: 1 });
    expect((await stored(app)).map(({ fields }) => fields.finding_id)).toEqual([1, 3].map((index) => sampleFinding(index).id));
  });
});

describe.skipIf(unavailable)('Loki with tenants', () => {
  let loki: Loki;
  beforeAll(async () => {
    loki = await startLoki({ authEnabled: true });
  });
  afterAll(() => loki?.stop());

  test('a tenant is named; without one it is a mistake in the config, said as such and not tried again', async () => {
    const findings = entriesOf([sampleFinding(1)], freshApp());
    const named = new LokiWriter({ url: loki.url, tenant: 'acme', ...anyAge });
    const nameless = new LokiWriter({ url: loki.url, ...anyAge });
    onTestFinished(async () => {
      await named.close();
      await nameless.close();
    });
    await named.send(findings);
    await named.check();
    await expect(nameless.send(findings)).rejects.toThrow(/401 no org id; check `tenant`/);
    await expect(nameless.check()).rejects.toThrow(/401/);
    expect(nameless.retries).toBe(0);
  });
});

// Without it there is nothing else to see: one of our own has shown the same above.
if (process.env.LOKI_URL) {
  describe('the Loki in LOKI_URL', () => {
    test('takes findings of now, and shows each once', async () => {
      const loki = await anyLoki();
      const app = freshApp();
      const nowMs = Date.now();
      const findings = Array.from({ length: 20 }, (_, index) => at(sampleFinding(index), nowMs - index));
      const sink = queuedLoki(await tempDir(), app, { url: loki.url });
      await sink.open();
      await sink.write(findings);
      await sink.write(findings);
      await sink.close();
      const found = await loki.query(`{job="findings", app="${app}"}`, nowMs - 60_000, nowMs + 60_000);
      expect(found.map(({ fields }) => fields.finding_id).sort()).toEqual(findings.map(({ id }) => id).sort());
    });
  });
}
