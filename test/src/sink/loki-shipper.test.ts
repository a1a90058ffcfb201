/** What the shipper says of a log that cannot be read, or committed to, for a while, or is full: the queue itself, with a fault before it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Pipeline } from '../../../processors/pipeline.ts';
import { Engine } from '../../../src/engine.ts';
import { statusOf } from '../../../src/engine-status.ts';
import { DependencyError } from '../../../src/errors.ts';
import { healthReport } from '../../../src/http/health.ts';
import { createQueueLog, type FindingLog } from '../../../src/sink/finding-log.ts';
import { LokiWriter } from '../../../src/sink/loki.ts';
import { LokiShipper } from '../../../src/sink/loki-shipper.ts';
import type { Source } from '../../../src/source/source.ts';
import { sampleFinding } from '../../contracts/sink-laws.ts';
import { batchesOf } from '../../support/events.ts';
import { shipperFrom } from '../../support/loki-shipper.ts';
import { MemorySink, MemorySource } from '../../support/memory.ts';
import { freePorts } from '../../support/port.ts';
import { ruleOf } from '../../support/rules.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** A server that stores whatever it is sent; `stored` gets each line. */
async function taking(stored: (line: string) => void = () => {}): Promise<string> {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const { streams } = JSON.parse(gunzipSync(Buffer.concat(parts)).toString());
    for (const { values } of streams) for (const [, line] of values) stored(line);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Opened over a queue that `fault` stands before. `waits`: how long it waited each time before it read again. */
async function shipping(fault: (source: Source) => Source): Promise<{ shipper: LokiShipper; waits: number[] }> {
  const queue = createQueueLog({ dir: await tempDir() });
  const log: FindingLog = {
    name: queue.name,
    open: () => queue.open(),
    keep: (findings) => queue.keep(findings),
    source: () => fault(queue.source()),
    waiting: () => queue.waiting(),
    close: () => queue.close(),
  };
  const waits: number[] = [];
  const logger = pino(
    { level: 'warn' },
    {
      write: (line: string) => {
        const { msg, waitMs } = JSON.parse(line);
        if (msg === 'findings cannot be read to be shipped') waits.push(waitMs);
      },
    },
  );
  const writer = new LokiWriter({ url: await taking(), maxAgeMs: Number.POSITIVE_INFINITY });
  const shipper = new LokiShipper({ log, writer, labels: {}, logger });
  await shipper.open();
  onTestFinished(() => shipper.close());
  return { shipper, waits };
}

/** The same source, with something of it replaced. */
function changed(source: Source, change: Partial<Source>): Source {
  return {
    name: source.name,
    run: (positions, into) => source.run(positions, into),
    commit: (positions) => source.commit(positions),
    read: (topic, partition, offset) => source.read(topic, partition, offset),
    stop: () => source.stop(),
    health: () => source.health(),
    ...change,
  };
}

const away = () => Promise.reject(new DependencyError('Kafka was away'));

test('a log that can be read again is well, though nothing new comes; the next outage is tried again soon', async () => {
  let runs = 0;
  let fail = (_: Error): void => {};
  const { shipper, waits } = await shipping((source) => {
    runs++;
    if (runs <= 2) return changed(source, { run: away });
    if (runs > 3) return source;
    // Read well, and away again later.
    const broken = new Promise<void>((_, reject) => {
      fail = reject;
    });
    return changed(source, { run: (positions, into) => Promise.race([source.run(positions, into), broken]) });
  });
  await expect.poll(() => shipper.health(), { interval: 10 }).toMatchObject({ ok: false, kept: true, reason: 'Kafka was away' });
  await expect.poll(() => shipper.health(), { timeout: 5_000, interval: 10 }).toMatchObject({ ok: true, waiting: 0 });
  expect(runs).toBe(3);
  fail(new DependencyError('away once more'));
  await expect.poll(() => shipper.health(), { interval: 10 }).toMatchObject({ ok: false, reason: 'away once more' });
  await expect.poll(() => shipper.health(), { timeout: 5_000, interval: 10 }).toMatchObject({ ok: true });
  expect(waits).toEqual([500, 1000, 500]);
}, 20_000);

test('what could not be committed is committed as soon as it can, and the health is well again', async () => {
  let commits = 0;
  const { shipper } = await shipping((source) =>
    changed(source, { commit: (positions) => (++commits === 1 ? away() : source.commit(positions)) }),
  );
  await shipper.write([sampleFinding(1)]);
  await expect.poll(() => shipper.health(), { timeout: 5_000, interval: 10 }).toMatchObject({ ok: false, kept: true, waiting: 1 });
  expect(await shipper.settled(5_000)).toBe(true);
  expect(shipper.health()).toMatchObject({ ok: true, waiting: 0 });
  expect(commits).toBe(2);
}, 20_000);

test('a full queue holds the sources up as any sink does, and ends the run; the next one goes on, and Loki has it all', async () => {
  const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }');
  const startMs = Date.parse('2026-01-05T12:00:00Z');
  const events = Array.from({ length: 200 }, (_, i) => ({ timeMs: startMs + i * 200, 'client.address': '192.0.2.1' }));
  const dir = await tempDir();
  const engineWith = (sink: LokiShipper | MemorySink) => {
    const parts = { sources: [new MemorySource(batchesOf(events, 20))], sinks: [sink], log: pino({ level: 'silent' }), clock: Date.now };
    const pipeline = new Pipeline([rule]);
    const engine = new Engine({ ...parts, pipeline }, { idleMs: Number.POSITIVE_INFINITY, maxOutageMs: 2_000 });
    return { engine, health: () => healthReport(statusOf({ engine, drains: [], ...parts })) };
  };
  const loki = (url: string, maxBytes?: number) =>
    shipperFrom(createQueueLog({ dir, maxBytes }), 'full', { url, retryForMs: 100, maxAgeMs: Number.POSITIVE_INFINITY });
  const undisturbed = new MemorySink();
  await engineWith(undisturbed).engine.run();
  const expected = undisturbed.findings.map(({ id, sequence }) => `${id}:${sequence}`);

  const [port] = await freePorts(1);
  const { engine, health } = engineWith(loki(`http://127.0.0.1:${port}`, 3_000));
  const ended = expect(engine.run()).rejects.toThrow(/^loki:.* has been away for \d+ s: .*they wait for what they are to be shipped to/);
  await expect.poll(health, { timeout: 5_000, interval: 10 }).toMatchObject({ status: 'failing', reasons: [{ reason: 'sink_failing' }] });
  await ended;

  const stored = new Set<string>();
  const url = await taking((line) => {
    const { finding_id, sequence, detector } = JSON.parse(line);
    if (detector !== 'self') stored.add(`${finding_id}:${sequence}`);
  });
  await engineWith(loki(url)).engine.run();
  expect([...stored].sort()).toEqual(expected.sort());
}, 20_000);
