/** Bodies that are too many at once: who waits, who goes, and that nobody waits for ever. */
import { afterEach, describe, expect, test } from 'vitest';
import type { JournalDrainOptions } from '../../../../src/source/drain/http-drain.ts';
import { head, RawClient } from '../../../support/raw-http.ts';
import { DrainHarness, frame, line } from './drain-harness.ts';

let open: DrainHarness[] = [];
let clients: RawClient[] = [];
async function start(options: Partial<JournalDrainOptions>): Promise<DrainHarness> {
  const harness = await DrainHarness.start(options);
  open.push(harness);
  return harness;
}
afterEach(async () => {
  for (const client of clients) client.close();
  for (const each of open) await each.stop();
  [clients, open] = [[], []];
});

/** Says that its body has `length` bytes, and sends so many of them. */
async function begin(harness: DrainHarness, length: number, sent: number): Promise<RawClient> {
  const client = await RawClient.open(harness.port);
  clients.push(client);
  await client.write(head('POST /drain/logplex HTTP/1.1', harness.headers(length)));
  await client.write(Buffer.alloc(sent, 'x'));
  return client;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const batch = frame(line('x'.repeat(500)));

describe('more bodies at once than may be in memory', () => {
  test('wait for room, and are taken when there is some', async () => {
    const harness = await start({ maxInFlightBytes: 2000, holdMs: 15_000 });
    const first = await begin(harness, 2000, 1900);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const second = harness.post(batch);
    await until(() => harness.drain.counters.held === 1);
    await first.write(Buffer.alloc(100, '\n'));
    expect((await first.answer())?.status).toBe(200);
    expect((await second).status).toBe(200);
  });

  test('are answered 503 after the whole time they may wait, not at once: that burns one of the three sends of Logplex', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sync: NonNullable<JournalDrainOptions['journal']>['sync'] = async (file) => {
      await gate;
      await file.datasync();
    };
    const harness = await start({ maxInFlightBytes: 600, holdMs: 300, journal: { sync } });
    const first = harness.post(batch);
    await until(() => harness.drain.counters.bytes > 0);
    const startedMs = performance.now();
    expect((await harness.post(batch)).status).toBe(503);
    expect(performance.now() - startedMs).toBeGreaterThan(290);
    expect(harness.drain.counters).toMatchObject({ held: 1, requests: { unavailable: 1 } });
    release();
    expect((await first).status).toBe(200);
    expect((await harness.post(batch)).status).toBe(200);
  });

  test('have it from senders that are slow: those are told to come back after half of the time others wait', async () => {
    const harness = await start({ maxInFlightBytes: 65_999, holdMs: 2000 });
    await Promise.all(Array.from({ length: 66 }, () => begin(harness, 10_000, 1000)));
    // The last of them did not fit.
    await until(() => harness.drain.counters.held === 1);
    const answers = await Promise.all(Array.from({ length: 10 }, () => harness.post(batch)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
    expect(harness.drain.counters.requests.unavailable).toBeGreaterThan(0);
  });

  test('do not wait for each other for ever: one at a time goes on over the limit', async () => {
    const harness = await start({ maxInFlightBytes: 3000, holdMs: 15_000 });
    const started = await Promise.all([1, 2, 3, 4].map(() => begin(harness, 5000, 1000)));
    await until(() => harness.drain.counters.held > 0);
    for (const client of started) void client.write(Buffer.alloc(4000, '\n'));
    for (const client of started) expect((await client.answer())?.status).toBe(200);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 4, unavailable: 0 });
  });

  test('leave nothing behind when they go away while they wait', async () => {
    const harness = await start({ maxInFlightBytes: 2000, holdMs: 15_000 });
    const first = await begin(harness, 2000, 1900);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const waiting = await begin(harness, 1500, 1000);
    await until(() => harness.drain.counters.held === 1);
    waiting.close();
    await until(() => harness.drain.counters.requests.aborted === 1);
    await first.write(Buffer.alloc(100, '\n'));
    expect((await first.answer())?.status).toBe(200);
    // All of the room is there again: this one needs nearly all, and is not held.
    expect((await harness.post(Buffer.alloc(2000, '\n'))).status).toBe(200);
    expect(harness.drain.counters.held).toBe(1);
  });
});
