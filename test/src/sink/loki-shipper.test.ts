/** What the shipper says of a log that cannot be read, or committed to, for a while: the queue itself, with a fault before it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { DependencyError } from '../../../src/errors.ts';
import { createQueueLog, type FindingLog } from '../../../src/sink/finding-log.ts';
import { LokiWriter } from '../../../src/sink/loki.ts';
import { LokiShipper } from '../../../src/sink/loki-shipper.ts';
import type { Source } from '../../../src/source/source.ts';
import { sampleFinding } from '../../contracts/sink-laws.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** A server that stores whatever it is sent. */
async function taking(): Promise<string> {
  const server = createServer((request, response) => void request.resume().on('end', () => response.writeHead(204).end()));
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
