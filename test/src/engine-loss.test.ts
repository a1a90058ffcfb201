import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { Engine } from '../../src/engine.ts';
import type { Positions, RecordIntake, Source } from '../../src/source/source.ts';
import { batchesOf } from '../support/events.ts';
import { MemorySink } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const timing = 'window: { size: 60s, slide: 5s, lateness: 5s }';
const silent = ruleOf(`id: silent\nkey: all\nmeasure: count\n${timing}\ndetect: { silence: { after: 60s } }`);
const many = ruleOf(`id: many\nkey: all\nmeasure: count\n${timing}\ndetect: { above: 2 }`);

/** A source that does what a test says. */
function sourceOf(script: (into: RecordIntake) => Promise<void>): Source {
  return {
    name: 'scripted',
    run: (_: Positions, into) => script(into),
    commit: async () => {},
    read: async () => null,
    stop: async () => {},
    health: () => ({ ok: true }),
  };
}

function engineOf(source: Source, rules = [silent], options = {}, clock = () => baseMs) {
  const sink = new MemorySink();
  const pipeline = new Pipeline(rules);
  const parts = { sources: [source], sinks: [sink], pipeline, log: pino({ level: 'silent' }), clock };
  return { engine: new Engine(parts, { idleMs: Number.POSITIVE_INFINITY, ...options }), pipeline, sink };
}

function garbage(count: number, partition: number, first = 0): RecordBatch {
  const records = Array.from({ length: count }, (_, i) => ({ value: Buffer.from('{"x'), offset: first + i, timestampMs: Number.NaN }));
  return { topic: 'logs', partition, dataset: 'app', format: 'json', records };
}

test('what a source lost proves no silence, is a finding of its own and a reason of ill health', async () => {
  const [first, last] = batchesOf([{ timeMs: baseMs }, { timeMs: baseMs + 200_000 }], 1);
  const source = sourceOf(async (into) => {
    await into.batch(first);
    into.lost?.({ key: 'logs/0', dataset: 'app', kind: 'expired', records: 41 });
    await into.batch(last);
  });
  const { engine, pipeline, sink } = engineOf(source);
  await engine.run();
  expect(sink.findings).toMatchObject([
    {
      rule: 'streamgauge.records_lost',
      key: { source: 'scripted', partition: 'logs/0' },
      value: 41,
      summary: '41 records of logs/0 are lost: retention took them before they were read',
    },
  ]);
  expect(pipeline.counters).toMatchObject({ losses: { expired: 1 }, lostRecords: { expired: 41 } });
  expect(engine.lossLog.reasons(baseMs)).toMatchObject([
    { reason: 'records_lost', severity: 'degraded', detail: expect.stringContaining('expired 1') },
  ]);
  expect(engine.lossLog.reasons(baseMs + 301_000)).toEqual([]);
});

test('a stream of garbage says so for as long as it lasts, and the silence behind it is not told as one', async () => {
  const [first, last] = batchesOf([{ timeMs: baseMs }, { timeMs: baseMs + 200_000 }], 1);
  const source = sourceOf(async (into) => {
    await into.batch(first);
    await into.batch(garbage(100, 0, 1));
    await into.batch(last);
  });
  const { engine, sink } = engineOf(source);
  await engine.run();
  expect(sink.findings).toEqual([]);
  expect(engine.lossLog.reasons(baseMs)).toMatchObject([
    { reason: 'records_dropped', severity: 'degraded', detail: expect.stringContaining('bad_json 100') },
  ]);
});

test('a partition of nothing but garbage holds the others up no longer than a silent one', async () => {
  let nowMs = baseMs;
  let enough = false;
  const source = sourceOf(async (into) => {
    into.partitions(['logs/0', 'logs/1']);
    for (const batch of batchesOf([0, 1, 2, 30].map((second) => ({ timeMs: baseMs + second * 1000 })))) await into.batch(batch);
    for (let first = 0; !enough; first += 10) {
      await into.batch(garbage(10, 1, first));
      nowMs += 1000;
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const { engine, sink } = engineOf(source, [many], { idleMs: 20_000, tickEveryMs: 1 }, () => nowMs);
  const running = engine.run();
  // The test ends by its own time-out if garbage keeps the watermark where it is.
  while (sink.findings.length === 0) await new Promise((resolve) => setImmediate(resolve));
  enough = true;
  await running;
  expect(sink.findings[0]).toMatchObject({ rule: 'many', activity: 'open', value: 3 });
});
