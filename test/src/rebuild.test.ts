/** An engine whose source says that its partitions have changed: windows are made again, and nobody hears of it but by what was missing. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { partitionKey, type RecordBatch } from '../../processors/record.ts';
import { Engine } from '../../src/engine.ts';
import { lookbackMs } from '../../src/rebuild.ts';
import type { DeadRecord } from '../../src/sink/dead-letter.ts';
import type { RebuildIntake, RecordIntake } from '../../src/source/source.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 4 }');
const baseMs = Date.parse('2026-01-05T12:00:00Z');

/** `count` events of an address, a second apart, in one partition. */
function events(address: string, partition: number, atSecond: number, count: number) {
  return Array.from({ length: count }, (_, i) => ({ timeMs: baseMs + (atSecond + i) * 1000, partition, 'client.address': address }));
}

/** Hands in what a script says. */
class ScriptedSource extends MemorySource {
  readonly play: (into: RecordIntake, rebuild: RebuildIntake) => Promise<void>;

  constructor(play: (into: RecordIntake, rebuild: RebuildIntake) => Promise<void>) {
    super([]);
    this.play = play;
  }

  override async run(_positions: unknown, into: RecordIntake): Promise<void> {
    if (into.rebuild === undefined) throw new Error('an engine with checkpoints makes windows again');
    await this.play(into, into.rebuild);
  }
}

class RecallingSink extends MemorySink {
  readonly recalls: number[] = [];

  async recall(sinceMs: number): Promise<void> {
    this.recalls.push(sinceMs);
  }
}

interface Played {
  readonly sink: RecallingSink;
  readonly checkpoints: MemoryCheckpoints;
  readonly source: ScriptedSource;
  readonly dead: DeadRecord[];
}

async function play(script: (into: RecordIntake, rebuild: RebuildIntake, played: Played) => Promise<void>): Promise<Played> {
  const dead: DeadRecord[] = [];
  const source = new ScriptedSource((into, rebuild) => script(into, rebuild, played));
  const played = { sink: new RecallingSink(), checkpoints: new MemoryCheckpoints(), source, dead };
  const engine = new Engine(
    {
      pipeline: new Pipeline([rule]),
      sources: [source],
      sinks: [played.sink],
      checkpoints: played.checkpoints,
      deadLetter: {
        name: 'memory',
        open: async () => {},
        write: async (records) => void dead.push(...records),
        close: async () => {},
        health: () => ({ ok: true, retries: 0 }),
      },
      log: pino({ level: 'silent' }),
      clock: () => baseMs,
    },
    { idleMs: Number.POSITIVE_INFINITY, checkpointEveryMs: 3_600_000 },
  );
  await engine.run();
  return played;
}

const opened = ({ sink }: Played) => sink.findings.filter(({ activity }) => activity === 'open');

test('what was begun elsewhere is found here, by the id it would have had there', async () => {
  // Three in partition 1 were read by another process, two are new; it takes five.
  const past = batchesOf([...events('203.0.113.9', 1, 0, 3)]);
  const fresh = batchesOf([...events('203.0.113.9', 1, 3, 2), ...events('192.0.2.1', 1, 300, 1)], 100, new Map([[1, 3]]));
  const undisturbed = new Pipeline([rule]);
  const expected = [...past, ...fresh].flatMap((batch) => undisturbed.process(batch));
  const played = await play(async (into, rebuild) => {
    await into.batch(batchesOf(events('192.0.2.7', 0, -500, 1))[0]);
    await rebuild.begin({ topics: ['logs'], dataset: 'app', partitions: [{ key: 'logs/1', whole: true }], sinceMs: baseMs });
    for (const batch of past) await rebuild.batch(batch);
    await rebuild.done({ 'logs/1': 3 });
    for (const batch of fresh) await into.batch(batch);
  });
  expect(expected.some(({ activity }) => activity === 'open')).toBe(true);
  expect(opened(played).map(({ id }) => id)).toEqual(expected.filter(({ activity }) => activity === 'open').map(({ id }) => id));
  expect(played.sink.recalls).toEqual([baseMs]);
  // The partition that is gone is in no checkpoint any more.
  expect(played.checkpoints.saved?.positions).toEqual({ 'logs/1': 6 });
});

test('nothing is saved or committed before the windows are whole, and no dead letter written twice', async () => {
  const garbage: RecordBatch = {
    ...batchesOf(events('192.0.2.1', 0, 0, 1))[0],
    records: [{ value: Buffer.from('{'), offset: 1, timestampMs: baseMs }],
  };
  const committed: unknown[] = [];
  const played = await play(async (into, rebuild, { source, dead }) => {
    await into.batch(batchesOf(events('192.0.2.1', 0, 0, 1))[0]);
    await into.batch(garbage);
    await into.revoked(['logs/0']);
    committed.push({ ...source.committed });
    await rebuild.begin({ topics: ['logs'], dataset: 'app', partitions: [{ key: 'logs/0', whole: true }], sinceMs: baseMs });
    await rebuild.batch(batchesOf(events('192.0.2.1', 0, 0, 1))[0]);
    await rebuild.batch(garbage);
    await into.revoked(['logs/0']);
    committed.push({ ...source.committed });
    await rebuild.done({ 'logs/0': 2 });
    await into.revoked(['logs/0']);
    committed.push({ ...source.committed });
    expect(dead.map(({ offset }) => offset)).toEqual([1]);
  });
  expect(committed).toEqual([{ 'logs/0': 2 }, { 'logs/0': 2 }, { 'logs/0': 2 }]);
  expect(played.dead).toHaveLength(1);
});

test('a window that reaches behind what was read again is not told meanwhile, and is degraded afterwards', async () => {
  // Two bursts in what is read again, which begins in the middle of the partition; one lasts on.
  const past = batchesOf([...events('203.0.113.1', 0, 10, 6), ...events('203.0.113.2', 0, 100, 6), ...events('203.0.113.3', 0, 130, 3)]);
  const played = await play(async (into, rebuild) => {
    await rebuild.begin({ topics: ['logs'], dataset: 'app', partitions: [{ key: 'logs/0', whole: false }], sinceMs: baseMs });
    for (const batch of past) await rebuild.batch(batch);
    await rebuild.done({ 'logs/0': 15 });
    for (const batch of batchesOf([...events('203.0.113.3', 0, 133, 3), ...events('192.0.2.1', 0, 400, 1)])) await into.batch(batch);
  });
  expect(opened(played).map(({ key }) => key['client.address'])).toEqual(['203.0.113.2', '203.0.113.3']);
  expect(opened(played).map(({ degraded }) => degraded)).toEqual([false, false]);

  const short = await play(async (into, rebuild) => {
    await rebuild.begin({ topics: ['logs'], dataset: 'app', partitions: [{ key: 'logs/0', whole: false }], sinceMs: baseMs });
    await rebuild.batch(batchesOf(events('203.0.113.1', 0, 0, 3))[0]);
    await rebuild.done({ 'logs/0': 3 });
    for (const batch of batchesOf([...events('203.0.113.1', 0, 3, 3), ...events('192.0.2.1', 0, 400, 1)])) await into.batch(batch);
  });
  expect(opened(short).map(({ degraded }) => degraded)).toEqual([true]);
});

test('one that was given up begins again with the next', async () => {
  const past = batchesOf(events('203.0.113.9', 0, 0, 4))[0];
  const played = await play(async (into, rebuild) => {
    for (const key of ['logs/1', 'logs/0']) {
      await rebuild.begin({ topics: ['logs'], dataset: 'app', partitions: [{ key, whole: true }], sinceMs: baseMs });
      await rebuild.batch({ ...past, partition: Number(key.at(-1)) });
    }
    await rebuild.done({ [partitionKey('logs', 0)]: 4 });
    await into.batch(batchesOf(events('192.0.2.1', 0, 400, 1))[0]);
  });
  // Counted twice it would be eight.
  expect(opened(played)).toEqual([]);
});

test('what is read again reaches behind every window three times, and no further than is bearable', () => {
  const minuteMs = 60_000;
  const silent = ruleOf('key: all\nmeasure: count\nwindow: { size: 60s, slide: 5s }\ndetect: { silence: { after: 20m } }');
  expect(lookbackMs([rule], minuteMs)).toBe(3 * minuteMs + 2 * minuteMs);
  expect(lookbackMs([rule, silent], Number.POSITIVE_INFINITY)).toBe(60 * minuteMs);
  expect(lookbackMs([ruleOf('key: all\nmeasure: count\nwindow: { size: 20h, slide: 10m, lateness: 0s }\ndetect: { above: 1 }')], 0)).toBe(
    22 * 60 * minuteMs,
  );
  expect(lookbackMs([ruleOf('key: all\nmeasure: count\nwindow: { size: 7d, slide: 1h, lateness: 0s }\ndetect: { above: 1 }')], 0)).toBe(
    24 * 60 * minuteMs,
  );
});
