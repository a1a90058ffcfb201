import { expect, test } from 'vitest';
import { CheckpointError } from '../../src/checkpoint/checkpoint.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { baseMs, engineOf } from './engine.ts';

const batches = batchesOf([{ timeMs: baseMs, 'client.address': '192.0.2.1' }], 1);

test('a stop that is asked for while sinks are opened is heard: it was forgotten, and the process ran until it was killed', async () => {
  const log: string[] = [];
  const sink = new MemorySink(log);
  const engine = engineOf({ sources: [new MemorySource(batches, log, true)], sinks: [sink] });
  sink.open = async () => engine.stop();
  await engine.run();
  expect(log).toEqual(['sink closed']);
});

test('what was opened is closed when the state cannot be restored: open connections kept the process from ending', async () => {
  const log: string[] = [];
  const checkpoints = new MemoryCheckpoints(log);
  checkpoints.load = () => Promise.reject(new CheckpointError(['damaged']));
  const engine = engineOf({ sources: [new MemorySource(batches, log)], sinks: [new MemorySink(log)], checkpoints });
  await expect(engine.run()).rejects.toThrow('damaged');
  expect(log).toEqual(['sink closed']);
});
