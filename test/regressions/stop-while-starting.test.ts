import { expect, test } from 'vitest';
import { Counters } from '../../processors/counters.ts';
import { CheckpointError } from '../../src/checkpoint/checkpoint.ts';
import { createServer, listen } from '../../src/http/server.ts';
import { KafkaDrain } from '../../src/source/kafka/kafka-drain.ts';
import { batchesOf } from '../support/events.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { freePort } from '../support/port.ts';
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

test.each(kafkaDrivers)(
  'a drain that looks for its broker stops when it is told to: it went on looking, and the process ended with 70 (%s)',
  async (driver) => {
    const kafka = { brokers: [`127.0.0.1:${await freePort()}`], topic: 'logs', driver };
    const drain = new KafkaDrain({ path: '/drain/logplex', credentials: [], dataset: 'heroku', kafka });
    const app = createServer({
      status: { sources: [], sinks: [], reasons: () => [] },
      metrics: { counters: () => new Counters(), drains: () => [drain] },
      version: { version: '0.0.0', commit: 'unknown', builtAt: 'unknown', driver },
      mounts: [drain],
    });
    await listen(app, '127.0.0.1', 0);
    const running = drain.run();
    await drain.stop();
    const startedMs = performance.now();
    await running;
    expect(performance.now() - startedMs).toBeLessThan(1000);
    await app.close();
  },
);
