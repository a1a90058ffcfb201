import { pino } from 'pino';
import { expect, test } from 'vitest';
import { missingHeader } from '../../processors/decode/reject-header.ts';
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

const overflowLine = (count: number) =>
  `<172>1 2026-01-05T12:00:00+00:00 host heroku logplex - Error L10 (output buffer overflow): ${count} messages dropped since 2026-01-05T11:59:00+00:00.`;

/** Logplex says so many times that it lost so many messages, in one batch. */
function overflows(first: number, ...counts: number[]): RecordBatch {
  const headers = { 'logplex-drain-token': 'd.1' };
  const records = counts.map((count, i) => ({ value: Buffer.from(overflowLine(count)), offset: first + i, timestampMs: baseMs, headers }));
  return { topic: 'logs', partition: 0, dataset: 'heroku', format: 'logplex', records };
}

/** A record of a batch that held so many fewer than its sender said. */
function short(offset: number, missing: number): RecordBatch {
  const records = [{ value: Buffer.from('{}'), offset, timestampMs: baseMs, headers: { [missingHeader]: String(missing) } }];
  return { topic: '/v1/logs', partition: 0, dataset: 'app', format: 'json', records };
}

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

test('what senders say they lost is a finding at once, then one a minute with what came since, and the rest at the end', async () => {
  let nowMs = baseMs;
  const source = sourceOf(async (into) => {
    await into.batch(overflows(0, 500, 20));
    await into.batch(overflows(2, 1));
    nowMs += 59_000;
    await into.batch(overflows(3, 2));
    nowMs += 1_000;
    await into.batch(overflows(4, 3));
    await into.batch(overflows(5, 4));
  });
  const { engine, pipeline, sink } = engineOf(source, [silent], {}, () => nowMs);
  await engine.run();
  const told = sink.findings.filter(({ rule }) => rule === 'streamgauge.messages_lost_upstream');
  expect(told.map(({ value }) => value)).toEqual([520, 6, 4]);
  expect(told.map(({ windowStartMs, windowEndMs }) => [windowStartMs - baseMs, windowEndMs - baseMs])).toEqual([
    [0, 0],
    [0, 60_000],
    [60_000, 60_000],
  ]);
  expect(new Set(told.map(({ id }) => id)).size).toBe(3);
  expect(told[0]).toMatchObject({
    key: { source: 'scripted', partition: 'logs/0' },
    summary: expect.stringMatching(/^520 messages of logs\/0 were lost .*offset 0 by drain d\.1/),
  });
  expect(pipeline.counters.lostUpstream).toBe(530);
  expect(engine.lossLog.reasons(nowMs)).toMatchObject([
    { reason: 'messages_lost_upstream', severity: 'degraded', detail: expect.stringContaining('messages 530') },
  ]);
  expect(engine.lossLog.reasons(nowMs + 301_000)).toEqual([]);
});

test('what waits to be told is told by the clock where no more comes', async () => {
  let nowMs = baseMs;
  let end = () => {};
  const source = sourceOf(async (into) => {
    await into.batch(overflows(0, 1));
    await into.batch(overflows(1, 7));
    nowMs += 60_000;
    await new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  const { engine, sink } = engineOf(source, [silent], { tickEveryMs: 1 }, () => nowMs);
  const running = engine.run();
  // The test ends by its own time-out if nothing more is told.
  while (sink.findings.length < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(sink.findings.map(({ value }) => value)).toEqual([1, 7]);
  end();
  await running;
});

test('a batch that held fewer than its sender said is a finding of lost records, and each partition has its own', async () => {
  const source = sourceOf(async (into) => {
    await into.batch(short(0, 99_800));
    await into.batch({ ...short(0, 5), partition: 1 });
    await into.batch(overflows(0, 3));
  });
  const { engine, sink } = engineOf(source);
  await engine.run();
  expect(sink.findings.map(({ rule, key, value }) => [rule, key.partition, value])).toEqual([
    ['streamgauge.records_lost', '/v1/logs/0', 99_800],
    ['streamgauge.records_lost', '/v1/logs/1', 5],
    ['streamgauge.messages_lost_upstream', 'logs/0', 3],
  ]);
  expect(engine.lossLog.reasons(baseMs).map(({ reason }) => reason)).toEqual(['records_lost', 'messages_lost_upstream']);
});

test('what is read again after a kill has the id it had; a replay says nothing', async () => {
  const script = (...batches: RecordBatch[]) =>
    sourceOf(async (into) => {
      for (const batch of batches) await into.batch(batch);
    });
  const idsOf = async (source: Source, options = {}) => {
    const { engine, sink } = engineOf(source, [silent], options);
    await engine.run();
    return sink.findings.map(({ id }) => id);
  };
  const [first] = await idsOf(script(overflows(0, 500), overflows(1, 20)));
  // Cut otherwise, by a clock that says something else.
  expect((await idsOf(script(overflows(0, 500, 20))))[0]).toBe(first);
  expect((await idsOf(script(overflows(1, 20))))[0]).not.toBe(first);
  expect(await idsOf(script(overflows(0, 500), short(0, 3)), { tellsOfItself: false })).toEqual([]);
});
