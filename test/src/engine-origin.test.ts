/** An engine asks where its sources' topics lie before it reads anything: from a checkpoint of other topics it does not go on. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { CheckpointError } from '../../src/checkpoint/checkpoint.ts';
import { Engine } from '../../src/engine.ts';
import { DependencyError } from '../../src/errors.ts';
import type { Origin } from '../../src/source/source.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s }\ndetect: { above: 4 }');
const baseMs = Date.parse('2026-01-05T12:00:00Z');
const batches = batchesOf([{ timeMs: baseMs, 'client.address': '192.0.2.1' }], 1);
const [{ topic }] = batches;

function setUp(origin: () => Promise<Origin | undefined>, checkpoints = new MemoryCheckpoints()) {
  const log: string[] = [];
  const source = Object.assign(new MemorySource(batches, log), { origin, reads: (name: string) => name === topic });
  const sink = new MemorySink(log);
  const engine = new Engine({
    ...{ sources: [source], sinks: [sink], checkpoints, pipeline: new Pipeline([rule]) },
    ...{ log: pino({ level: 'silent' }), clock: () => baseMs },
  });
  return { engine, checkpoints, sink, log };
}

test('it is kept with the positions, and another cluster is refused before anything is read or written', async () => {
  const { engine, checkpoints } = setUp(async () => ({ cluster: 'one', group: 'shop' }));
  await engine.run();
  expect(checkpoints.saved?.origins).toEqual([{ cluster: 'one', group: 'shop', topics: [topic] }]);
  const saved = checkpoints.saved;
  const other = setUp(async () => ({ cluster: 'two', group: 'shop' }), checkpoints);
  await expect(other.engine.run()).rejects.toThrow(CheckpointError);
  expect(other.log).toEqual(['sink closed']);
  expect(checkpoints.saved).toBe(saved);
});

test('a source that cannot be asked is told like one that cannot be read', async () => {
  const { engine, sink, log } = setUp(() => Promise.reject(new DependencyError('broker gone')));
  await expect(engine.run()).rejects.toThrow('broker gone');
  expect(sink.findings.map(({ rule, activity }) => `${rule} ${activity}`)).toEqual(['streamgauge.source_failed open']);
  expect(log).toEqual(['write 1', 'sink closed']);
});

test('a stop while it is asked is heard', async () => {
  const { engine, log } = setUp(() => new Promise(() => undefined));
  const running = engine.run();
  await new Promise((resolve) => setImmediate(resolve));
  engine.stop();
  await running;
  expect(log).toEqual(['sink closed']);
});
