/**
 * The longest that the engine keeps the event loop from turning while half a million keys are active: decoding, closes, judgements and
 * sweeps included. The real `Engine` and its slices, a source that always has a batch ready, keys that come and go: every pane brings a
 * tenth of the window's keys, all of them new, each twice; every sweep lets go of as many.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import { createLocalCheckpoints } from '../../src/checkpoint/local.ts';
import { Engine } from '../../src/engine.ts';
import { MemorySink } from '../support/memory.ts';
import { benchRules } from './bench-rules.ts';
import type { Figure } from './figure.ts';
import { type Blocks, LoopProbe } from './loop-probe.ts';
import { MillSource } from './mill-source.ts';
import { mostKeys, RecordMill } from './record-mill.ts';

const slideMs = 60_000;
const windowPanes = 10;
const perKey = 2;
const startMs = Date.UTC(2026, 0, 5, 12);

interface Scene {
  readonly name: string;
  /** As in a rule. */
  readonly detect: string;
  readonly checkpoints: boolean;
}

const scenes: readonly Scene[] = [
  { name: 'rules judge touched keys', detect: '{ above: 1000000000 }', checkpoints: false },
  { name: 'rules judge all keys', detect: '{ below: 0 }', checkpoints: false },
  { name: 'with checkpoints', detect: '{ above: 1000000000 }', checkpoints: true },
];

export async function benchEventLoop(print: (line: string) => void = console.log, activeKeys = 500_000): Promise<Figure[]> {
  // The first batch of a process runs uncompiled, which has nothing to do with how many keys there are: a figure of its own.
  const cold = (await runScene(scenes[0], 10_000)).filling;
  const figures: Figure[] = [
    {
      name: 'longest block of a process that has just begun',
      value: cold.longestMs,
      unit: 'ms',
      note: `${cold.longestCpuMs.toFixed(1)} ms of CPU`,
    },
  ];
  for (const scene of scenes) {
    const { filling, steady, keys, checkpoints } = await runScene(scene, activeKeys);
    for (const [phase, blocks] of [
      ['filling', filling],
      ['steady', steady],
    ] as const) {
      const note =
        `${blocks.longestCpuMs.toFixed(1)} ms of CPU in the busiest turn, timer ${blocks.timerDelayMs.toFixed(1)} ms, p99.9 ${blocks.p999Ms.toFixed(1)} ms, ` +
        `longest collection ${blocks.longestGcMs.toFixed(1)} ms, ${blocks.turns} turns, ${keys} keys a rule, ${checkpoints} checkpoints`;
      const figure = { name: `longest block, ${scene.name}, ${phase}`, value: blocks.longestMs, unit: 'ms', note };
      figures.push(figure);
      print(`- ${figure.name}: ${figure.value.toFixed(1)} ms; ${note}`);
    }
  }
  return figures;
}

/** One window of panes to fill it, another with the keys of each pane replacing those of ten panes ago. */
async function runScene(
  { detect, checkpoints }: Scene,
  activeKeys: number,
): Promise<{ filling: Blocks; steady: Blocks; keys: number; checkpoints: number }> {
  const pipeline = new Pipeline(benchRules({ window: '{ size: 10m, slide: 1m }', detect }));
  const keysPerPane = activeKeys / windowPanes;
  const perPane = keysPerPane * perKey;
  const mill = new RecordMill();
  const probes = [new LoopProbe(), new LoopProbe()];
  const blocks: Promise<Blocks>[] = [];
  let keys = 0;
  let batches = 0;
  const batchesPerWindow = (windowPanes * perPane) / 1_000;
  const source = new MillSource(() => {
    if (batches === batchesPerWindow) {
      blocks.push(probes[0].stop());
      probes[1].start();
    }
    if (batches === 2 * batchesPerWindow) {
      keys = pipeline.stages[0].windows.keyCount;
      return undefined;
    }
    batches++;
    return mill.batch(
      (record) => startMs + Math.floor((record * slideMs) / perPane),
      (record) => (Math.floor(record / perPane) * keysPerPane + (record % keysPerPane)) % mostKeys,
      (record) => (record * 31) % 500_000,
    );
  });
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-bench-'));
  const engine = new Engine(
    {
      pipeline,
      sources: [source],
      sinks: [new MemorySink()],
      checkpoints: checkpoints ? createLocalCheckpoints({ dir, identity: 'bench' }) : undefined,
      log: pino({ level: 'silent' }),
      clock: Date.now,
    },
    { checkpointEveryMs: 5_000 },
  );
  probes[0].start();
  try {
    await engine.run();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  blocks.push(probes[1].stop());
  const [filling, steady] = await Promise.all(blocks);
  if (keys < activeKeys) throw new Error(`${keys} keys were active, expected at least ${activeKeys}`);
  return { filling, steady, keys, checkpoints: engine.checkpointer?.saved ?? 0 };
}
