import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { SnapshotWriter } from '../../processors/snapshot.ts';
import { CheckpointError } from '../../src/checkpoint/checkpoint.ts';
import { Engine } from '../../src/engine.ts';
import type { EngineOptions, EngineParts } from '../../src/engine-parts.ts';
import { statusOf } from '../../src/engine-status.ts';
import { DependencyError } from '../../src/errors.ts';
import { healthReport } from '../../src/http/health.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }');
const baseMs = Date.parse('2026-01-05T12:00:00Z');
const quiet: Partial<EngineOptions> = { idleMs: Number.POSITIVE_INFINITY, checkpointEveryMs: 3_600_000 };

/** Five a second from one address: it opens in the first pane, and again after a long silence. */
function attack(startMs = baseMs, seconds = 40) {
  return Array.from({ length: seconds * 5 }, (_, i) => ({ timeMs: startMs + i * 200, 'client.address': '192.0.2.1' }));
}

function engineOf(parts: Partial<EngineParts>, options: Partial<EngineOptions> = {}) {
  const pipeline = parts.pipeline ?? new Pipeline([rule]);
  const engine = new Engine(
    { sources: [], sinks: [], log: pino({ level: 'silent' }), clock: () => baseMs, ...parts, pipeline },
    { ...quiet, ...options },
  );
  return { engine, pipeline };
}

test('findings are durable before the next batch is read, the checkpoint before the commit', async () => {
  const log: string[] = [];
  const source = new MemorySource(batchesOf(attack(), 100), log);
  const { engine } = engineOf({ sources: [source], sinks: [new MemorySink(log)], checkpoints: new MemoryCheckpoints(log) });
  await engine.run();
  // 25 and 50 in the panes the first hundred close; 100 in the second's; 200 at the end: each is news.
  expect(log).toEqual(['write 2', 'read 99', 'write 1', 'read 199', 'write 1', 'checkpoint 200', 'commit 200', 'sink closed']);
});

test('a restart from any checkpoint finds what an uninterrupted run finds, with the same ids', async () => {
  const batches = batchesOf([...attack(), ...attack(baseMs + 600_000)], 7);
  const whole = new MemorySink();
  await engineOf({ sources: [new MemorySource(batches)], sinks: [whole] }).engine.run();
  expect(whole.findings.filter(({ activity }) => activity === 'open')).toHaveLength(2);
  for (const cut of [1, 13, 28, 40]) {
    const checkpoints = new MemoryCheckpoints();
    const sink = new MemorySink();
    // The first run is told to stop when it has read so much; it checkpoints on its way out and does not finish the input.
    const first = new MemorySource(batches.slice(0, cut), [], true);
    const { engine, pipeline } = engineOf({ sources: [first], sinks: [sink], checkpoints });
    const running = engine.run();
    const wanted = batches.slice(0, cut).reduce((sum, { records }) => sum + records.length, 0);
    while (pipeline.counters.records < wanted) await new Promise((resolve) => setImmediate(resolve));
    engine.stop();
    await running;
    await engineOf({ sources: [new MemorySource(batches)], sinks: [sink], checkpoints }).engine.run();
    expect(sink.findings).toEqual(whole.findings);
  }
});

test('an opening carries the text of its samples; what is gone from the source says so', async () => {
  const sink = new MemorySink();
  const source = new MemorySource(batchesOf(attack(), 10));
  source.read = async () => null;
  await engineOf({ sources: [source], sinks: [sink] }).engine.run();
  const [{ samples }] = sink.findings;
  expect(samples).toHaveLength(5);
  for (const { text, unreadable } of samples) expect(text !== undefined || unreadable === 'the record is gone from its source').toBe(true);
});

test('a sink that is away is tried again while the sources wait, and what happened is a finding', async () => {
  const log: string[] = [];
  const sink = new MemorySink(log);
  sink.failures = [new DependencyError('broker gone')];
  const { engine } = engineOf({ sources: [new MemorySource(batchesOf(attack(), 100), log)], sinks: [sink] });
  const running = engine.run();
  await expect.poll(() => engine.sinks.outages.get('memory')).toBe('broker gone');
  expect(log).toEqual([]);
  await running;
  expect(engine.sinks.outages.size).toBe(0);
  expect(sink.findings[0]).toMatchObject({ rule: 'streamgauge.sink_failed', key: { sink: 'memory' }, activity: 'open' });
  expect(sink.findings[1]).toMatchObject({ rule: 'test_rule', activity: 'open' });
});

test('a sink that stays away ends the run; nothing past it is checkpointed or committed', async () => {
  let nowMs = baseMs;
  const log: string[] = [];
  const sink = new MemorySink(log);
  sink.failures = Array.from({ length: 99 }, () => new DependencyError('broker gone'));
  const parts = { sources: [new MemorySource(batchesOf(attack(), 100), log)], sinks: [sink], checkpoints: new MemoryCheckpoints(log) };
  const { engine } = engineOf({ ...parts, clock: () => (nowMs += 60_000) }, { maxOutageMs: 30_000 });
  await expect(engine.run()).rejects.toThrow(/memory has been away for \d+ s: broker gone/);
  expect(log).toEqual(['sink closed']);
});

test('a broken invariant stops the process with nothing checkpointed after it', async () => {
  const log: string[] = [];
  const sink = new MemorySink(log);
  sink.failures = [new TypeError('a bug')];
  const checkpoints = new MemoryCheckpoints(log);
  const { engine } = engineOf({ sources: [new MemorySource(batchesOf(attack(), 100), log)], sinks: [sink], checkpoints });
  await expect(engine.run()).rejects.toThrow('a bug');
  expect(checkpoints.saved).toBeUndefined();
});

test('shutdown is bounded and names what was stuck', async () => {
  const source = new MemorySource(batchesOf(attack(), 100), [], true);
  source.stopHangs = true;
  const { engine, pipeline } = engineOf({ sources: [source], sinks: [new MemorySink()] }, { shutdownMs: 400 });
  const running = engine.run();
  await expect.poll(() => pipeline.counters.records).toBe(200);
  engine.stop();
  await expect(running).rejects.toThrow(/shutdown: source memory: not done after \d+ ms/);
});

test('the clock closes the panes of a stream that has gone quiet', async () => {
  let nowMs = baseMs;
  const sink = new MemorySink();
  const source = new MemorySource(batchesOf(attack(baseMs, 2), 100), [], true);
  const { engine, pipeline } = engineOf({ sources: [source], sinks: [sink], clock: () => nowMs }, { idleMs: 60_000, tickEveryMs: 5 });
  const running = engine.run();
  await expect.poll(() => pipeline.counters.records).toBe(10);
  expect(sink.findings).toEqual([]);
  nowMs += 60_000;
  await expect.poll(() => sink.findings.length).toBe(1);
  engine.stop();
  await running;
});

test('what was written while the process was down counts, however far ahead another source is', async () => {
  let nowMs = baseMs;
  const checkpoints = new MemoryCheckpoints();
  const batch = (topic: string, address: string, startMs: number) => {
    const events = Array.from({ length: 6 }, (_, i) => ({ timeMs: startMs + i, 'client.address': address }));
    return { ...batchesOf(events)[0], topic };
  };
  const before = [new MemorySource([batch('quick', 'a', baseMs)], [], true), new MemorySource([batch('slow', 'b', baseMs)], [], true)];
  const first = engineOf(
    { sources: before, sinks: [new MemorySink()], checkpoints, clock: () => nowMs },
    { idleMs: 60_000, tickEveryMs: 5 },
  );
  const running = first.engine.run();
  await expect.poll(() => first.pipeline.counters.records).toBe(12);
  nowMs += 60_000;
  await expect.poll(() => first.pipeline.watermark.lowMs).toBe(nowMs);
  first.engine.stop();
  await running;

  // Down for an hour. One source is read at once and is as far as the clock; the other brings the hour's records a little later.
  const sink = new MemorySink();
  const [quick, slow] = [batch('quick', 'c', baseMs + 3_600_000), batch('slow', 'd', baseMs + 120_000)].map(({ records, ...rest }) => ({
    ...rest,
    records: records.map((record) => ({ ...record, offset: record.offset + 6 })),
  }));
  const late = new MemorySource([slow], [], true);
  const runLate = late.run.bind(late);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  late.run = async (positions, into) => {
    await released;
    await runLate(positions, into);
  };
  nowMs += 3_600_000;
  const parts = { sources: [new MemorySource([quick], [], true), late], sinks: [sink], checkpoints, clock: () => nowMs };
  const second = engineOf(parts, { idleMs: 60_000, tickEveryMs: 5 });
  const runningAgain = second.engine.run();
  await expect.poll(() => second.pipeline.counters.records).toBe(6);
  release();
  await expect.poll(() => second.pipeline.counters.records).toBe(12);
  nowMs += 60_000;
  await expect
    .poll(() => sink.findings.filter(({ activity }) => activity === 'open').map(({ key }) => key['client.address']))
    .toContain('d');
  expect(second.pipeline.counters.afterTick).toEqual({});
  second.engine.stop();
  await runningAgain;
});

test('while a checkpoint is being saved batches go on; the commit waits for it, and is of the positions it was taken at', async () => {
  const log: string[] = [];
  const batches = batchesOf(attack(), 50);
  let saving = () => {};
  const begun = new Promise<void>((resolve) => {
    saving = resolve;
  });
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const checkpoints = new MemoryCheckpoints(log);
  const save = checkpoints.save.bind(checkpoints);
  checkpoints.save = async (checkpoint) => {
    saving();
    await released;
    await save(checkpoint);
  };
  const source = new MemorySource(batches, log);
  let nowMs = baseMs;
  const parts = { sources: [source], sinks: [new MemorySink()], checkpoints, clock: () => nowMs };
  const { engine } = engineOf(parts);
  const late = () => healthReport(statusOf({ engine, ...parts, drains: [] })).reasons.map(({ reason, detail }) => `${reason}: ${detail}`);
  source.run = async (_, into) => {
    await into.batch(batches[0]);
    const revoked = into.revoked([]);
    await begun;
    expect(late()).toEqual([]);
    nowMs += 75_000;
    expect(late()).toEqual([expect.stringMatching(/^checkpoint_late: a checkpoint has been under way for 75 s: nothing is committed/)]);
    for (const batch of batches.slice(1)) await into.batch(batch);
    log.push('read all');
    release();
    await revoked;
  };
  await engine.run();
  expect(late()).toEqual([]);
  expect(engine.checkpointer?.tookMs).toBe(0);
  expect(log).toEqual(['read all', 'checkpoint 50', 'commit 50', 'checkpoint 200', 'commit 200']);
});

test('a checkpoint that cannot be saved ends the run, with nothing committed', async () => {
  const checkpoints = new MemoryCheckpoints();
  checkpoints.save = () => Promise.reject(new DependencyError('the disk is full'));
  const source = new MemorySource(batchesOf(attack(), 100));
  const { engine } = engineOf({ sources: [source], sinks: [new MemorySink()], checkpoints });
  await expect(engine.run()).rejects.toThrow('the disk is full');
  expect(source.committed).toEqual({});
});

test('a state that another version wrote is refused by name, with what to do', async () => {
  const out = new SnapshotWriter();
  out.section('pipeline 2');
  const checkpoints = new MemoryCheckpoints();
  checkpoints.saved = { positions: { 'memory/0': 7 }, state: [out.done()] };
  const run = engineOf({ sources: [new MemorySource([])], sinks: [new MemorySink()], checkpoints }).engine.run();
  await expect(run).rejects.toThrow(CheckpointError);
  await expect(run).rejects.toThrow(
    /holds "pipeline 2" where "pipeline \d+" was expected; run the version that wrote it, or move the checkpoints away/,
  );
});
