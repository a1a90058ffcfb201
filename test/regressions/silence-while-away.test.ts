/** Silence counted on while a sink or a source was away: what waited to be read came too late for panes that the clock had closed. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import { batchesOf } from '../support/events.ts';
import { MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }');
const idleMs = 60_000;

/** Five a second for 40 s; the panes of the first hundred lead to findings. */
function batches() {
  return batchesOf(
    Array.from({ length: 200 }, (_, i) => ({ timeMs: baseMs + i * 200, 'client.address': '192.0.2.1' })),
    100,
  );
}

function engineOf(source: MemorySource, sink: MemorySink, clock: () => number) {
  const pipeline = new Pipeline([rule]);
  const parts = { sources: [source], sinks: [sink], pipeline, log: pino({ level: 'silent' }), clock };
  return { pipeline, engine: new Engine(parts, { idleMs, tickEveryMs: 5 }) };
}

const largest = (findings: readonly Finding[]) => Math.max(0, ...findings.map(({ value }) => value));

test('what waited while a sink was away counts', async () => {
  let nowMs = baseMs;
  let ticks = 0;
  const sink = new MemorySink();
  const write = sink.write.bind(sink);
  sink.write = async (findings) => {
    await write(findings);
    if (nowMs > baseMs) return;
    // Back after ten minutes; a tick has asked for the turn meanwhile.
    nowMs += 10 * idleMs;
    ticks = 0;
    await expect.poll(() => ticks).toBeGreaterThan(2);
  };
  const { engine, pipeline } = engineOf(new MemorySource(batches(), [], true), sink, () => nowMs);
  const counting = setInterval(() => ticks++, 5);
  const running = engine.run();
  await expect.poll(() => pipeline.counters.records).toBe(200);
  expect(pipeline.counters.afterTick).toEqual({});
  nowMs += 2 * idleMs;
  await expect.poll(() => largest(sink.findings)).toBe(200);
  clearInterval(counting);
  engine.stop();
  await running;
});

test('what waited while a source was away counts', async () => {
  let nowMs = baseMs;
  let away = false;
  let looks = 0;
  let back = () => {};
  const source = new MemorySource(batches(), [], true);
  source.health = () => {
    looks++;
    return { ok: !away, away };
  };
  const run = source.run.bind(source);
  source.run = (positions, into) =>
    run(positions, {
      ...into,
      batch: async (batch) => {
        if (batch.records[0].offset > 0) {
          away = true;
          nowMs += 10 * idleMs;
          await new Promise<void>((resolve) => {
            back = resolve;
          });
          away = false;
        }
        await into.batch(batch);
      },
    });
  const sink = new MemorySink();
  const { engine, pipeline } = engineOf(source, sink, () => nowMs);
  const running = engine.run();
  await expect.poll(() => away).toBe(true);
  looks = 0;
  await expect.poll(() => looks).toBeGreaterThan(5);
  back();
  await expect.poll(() => pipeline.counters.records).toBe(200);
  expect(pipeline.counters.afterTick).toEqual({});
  nowMs += 2 * idleMs;
  await expect.poll(() => largest(sink.findings)).toBe(200);
  engine.stop();
  await running;
});
