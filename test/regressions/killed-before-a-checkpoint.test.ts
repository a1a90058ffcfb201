import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createFileSink } from '../../src/sink/ndjson.ts';
import type { Source } from '../../src/source/source.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySource } from '../support/memory.ts';
import { tempDir } from '../support/temp-dir.ts';
import { baseMs, engineOf } from './engine.ts';

/** Three openings, each of its address. */
const batches = batchesOf(
  [0, 30_000, 60_000, 90_000].flatMap((laterMs, n) =>
    Array.from({ length: 6 }, (_, i) => ({ timeMs: baseMs + laterMs + i, 'client.address': `192.0.2.${n}` })),
  ),
  6,
);

test('a run killed before its first checkpoint wrote its findings for good: they were there twice after the next one', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const checkpoints = new MemoryCheckpoints();
  const ids = async () =>
    (await readFile(path, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line).metadata.uid);
  for (const readTo of [2, 3, 4]) {
    // Killed: nobody looks at it again, and nothing is checkpointed.
    const killed = engineOf({
      sources: [new MemorySource(batches.slice(0, readTo), [], true)],
      sinks: [createFileSink({ path })],
      checkpoints,
    });
    const running = killed.run();
    onTestFinished(async () => {
      checkpoints.save = async () => {};
      killed.stop();
      await running;
    });
    await expect.poll(() => killed.pipeline.counters.records).toBe(readTo * 6);
    await expect.poll(async () => (await ids()).length).toBe(readTo - 1);
    expect(checkpoints.saved?.positions).toEqual({});
  }
  expect(new Set(await ids()).size).toBe(3);
});

test('records lost before a crash are told once: the finding was known by the clock', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const checkpoints = new MemoryCheckpoints();
  let nowMs = baseMs;
  for (let life = 0; life < 2; life++) {
    const source: Source = {
      ...{ name: 'scripted', commit: async () => {}, read: async () => null, stop: async () => {}, health: () => ({ ok: true }) },
      run: async (_positions, into) => {
        await into.batch(batches[0]);
        into.lost?.({ key: 'logs/0', dataset: 'app', kind: 'expired', records: 41 });
        // The next of the partition waits until it is told.
        await into.batch(batches[1]);
        throw new Error('killed');
      },
    };
    nowMs += 60_000;
    await expect(engineOf({ sources: [source], sinks: [createFileSink({ path })], checkpoints, clock: () => nowMs }).run()).rejects.toThrow(
      'killed',
    );
  }
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line.includes('streamgauge.records_lost'));
  expect(lines).toHaveLength(1);
});
