import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import { metricsOf } from '../../src/engine-status.ts';
import type { RecordIntake } from '../../src/source/source.ts';
import { batchesOf } from '../support/events.ts';
import { MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const text = 'key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\n';
const stays = ruleOf(`id: stays\n${text}detect: { above: 4 }`);
const joins = ruleOf(`id: joins\n${text}detect: { above: 6 }`);
const events = Array.from({ length: 40 }, (_, i) => ({ timeMs: baseMs + i * 1_000, 'client.address': '192.0.2.1' }));

/** Runs the events in batches of three; before some of them, something is done to the engine, as it would be from outside. */
async function run(between: Readonly<Record<number, (engine: Engine, into: RecordIntake) => Promise<unknown>>>) {
  let whileRead = 0;
  const sink = new MemorySink();
  const source = new MemorySource([]);
  const engine = new Engine(
    { pipeline: new Pipeline([stays]), sources: [source], sinks: [sink], log: pino({ level: 'silent' }), clock: () => baseMs },
    { idleMs: Number.POSITIVE_INFINITY },
  );
  source.run = async (_, into: RecordIntake) => {
    for (const [index, batch] of batchesOf(events, 3).entries()) {
      const handed = into.batch(batch);
      // While the batch is under way: the reload waits for it.
      const done = between[index]?.(engine, into);
      await Promise.all([handed, done]);
    }
    whileRead = sink.findings.length;
  };
  await engine.run();
  return { engine, findings: sink.findings, whileRead };
}

test('a pipeline is replaced between two batches; who asks for health and metrics sees the new one, counting on', async () => {
  const undisturbed = await run({});
  const fresh: string[][] = [];
  const { engine, findings } = await run({
    1: async (running) => fresh.push(await running.reload(({ counters }) => new Pipeline([joins, stays], { counters }))),
  });
  expect(fresh).toEqual([['joins']]);
  expect(findings.filter(({ rule }) => rule === 'stays')).toEqual(undisturbed.findings);
  expect(findings.filter(({ rule }) => rule === 'joins')).not.toEqual([]);
  const metrics = metricsOf({ engine, sources: [], sinks: [], drains: [] });
  expect(metrics.counters().records).toBe(events.length);
  expect(metrics.rules?.().map(({ rule }) => rule)).toEqual(['joins', 'stays']);
});

test('one that cannot be made, or cannot take the state over, changes nothing, and the run goes on', async () => {
  const undisturbed = await run({});
  const reasons: string[] = [];
  const refused = (running: Engine, make: () => Pipeline) => running.reload(make).catch((error: Error) => reasons.push(error.message));
  const foreign = new Pipeline([stays]);
  foreign.restore = () => {
    throw new Error('none of mine');
  };
  const { engine, findings } = await run({
    2: (running) =>
      refused(running, () => {
        throw new RangeError('a window too long');
      }),
    4: (running) => refused(running, () => foreign),
  });
  expect(reasons).toEqual(['a window too long', 'none of mine']);
  expect(findings).toEqual(undisturbed.findings);
  expect(engine.pipeline).not.toBe(foreign);
});

test('a partition that is found while a reload is under way is waited for after it', async () => {
  const reload = (running: Engine) => running.reload(({ counters }) => new Pipeline([stays, joins], { counters }));
  expect((await run({ 0: reload })).whileRead).toBeGreaterThan(0);
  const { whileRead, findings } = await run({
    0: async (running, into) => {
      // Once the batch has gone through, the reload has the turn: the state is being written down, or is about to be.
      while (running.pipeline.counters.records === 0) await new Promise((resolve) => setImmediate(resolve));
      const done = reload(running);
      into.partitions(['logs/9']);
      await done;
    },
  });
  // Nothing has come of it, so nothing is decided before the end of all input.
  expect(whileRead).toBe(0);
  expect(findings).not.toEqual([]);
});
