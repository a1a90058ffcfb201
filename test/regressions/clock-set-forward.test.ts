import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { batchesOf } from '../support/events.ts';
import { MemorySink, MemorySource } from '../support/memory.ts';
import { baseMs, engineOf, rule } from './engine.ts';

test('a clock set an hour forward makes no partition silent: ticks closed panes under records that were still being read', async () => {
  let [wallMs, passedMs] = [baseMs, 0];
  const pipeline = new Pipeline([rule]);
  const events = Array.from({ length: 10 }, (_, i) => ({ timeMs: baseMs + i, 'client.address': '192.0.2.1' }));
  const sink = new MemorySink();
  const parts = { sources: [new MemorySource(batchesOf(events, 10), [], true)], sinks: [sink], pipeline };
  const clocks = { clock: () => wallMs, steadyClock: () => passedMs };
  const engine = engineOf({ ...parts, ...clocks }, { idleMs: 60_000, tickEveryMs: 1 });
  let looks = 0;
  const running = engine.run();
  await expect.poll(() => pipeline.counters.records).toBe(10);
  wallMs += 3_600_000;
  // Several ticks go by.
  await expect.poll(() => ++looks, { interval: 5 }).toBeGreaterThan(10);
  expect(pipeline.watermark.lowMs).toBe(baseMs + 9);
  expect(sink.findings).toEqual([]);
  passedMs += 60_000;
  await expect.poll(() => pipeline.watermark.lowMs).toBe(wallMs);
  expect(sink.findings).toMatchObject([{ activity: 'open' }, { activity: 'close' }]);
  engine.stop();
  await running;
});
