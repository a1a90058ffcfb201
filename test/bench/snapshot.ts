/**
 * What it takes to write down and read back the state of many keys (two rules, every key with a few values in its window), at once, and as
 * checkpoints of the real engine in a folder: how long they keep the event loop, and what the second one writes when few keys changed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { whole } from '../../processors/slices.ts';
import { bytesIn, type Snapshot } from '../../processors/snapshot.ts';
import { createLocalCheckpoints } from '../../src/checkpoint/local.ts';
import { Engine } from '../../src/engine.ts';
import type { RecordIntake } from '../../src/source/source.ts';
import { MemorySink } from '../support/memory.ts';
import { benchRules } from './bench-rules.ts';
import { type Figure, median, timedNs } from './figure.ts';
import { type Blocks, LoopProbe } from './loop-probe.ts';
import { MillSource } from './mill-source.ts';
import { RecordMill } from './record-mill.ts';

const startMs = Date.UTC(2026, 0, 5, 12);
const window = '{ size: 10m, slide: 1m }';
const perKey = 3;
const batchRecords = 1_000;

export async function benchSnapshot(print: (line: string) => void = console.log, keys = 500_000): Promise<Figure[]> {
  const figures = atOnce(keys);
  for (const each of [100_000, keys, Math.round(keys * 1.4)]) {
    const more = await asCheckpoints(each);
    for (const { name, value, unit, note } of more) print(`- ${name}: ${value.toPrecision(3)} ${unit}; ${note}`);
    figures.push(...more);
  }
  return figures;
}

/** Nine of ten panes of the window, every key three times. */
class Load {
  readonly pipeline = new Pipeline(benchRules({ window }));
  private readonly mill = new RecordMill(batchRecords);
  private readonly keys: number;

  constructor(keys: number) {
    this.keys = keys;
  }

  *batches(): Generator<RecordBatch> {
    const { keys } = this;
    const records = perKey * keys;
    const timeMs = (record: number) => startMs + Math.floor((record * 540_000) / records);
    for (let done = 0; done < records; done += batchRecords) {
      yield this.mill.batch(
        timeMs,
        (record) => record % keys,
        (record) => (record * 31) % 500_000,
      );
    }
  }

  /** One more value for so many keys, far from each other, in the last pane. */
  *changes(count: number): Generator<RecordBatch> {
    for (let done = 0; done < count; done += batchRecords) {
      yield this.mill.batch(
        () => startMs + 540_000,
        (record) => (record * 48_271) % this.keys,
        (record) => (record * 31) % 500_000,
      );
    }
  }

  held(): number {
    const held = this.pipeline.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
    if (held !== 2 * this.keys) throw new Error(`${held} keys in two rules, expected ${2 * this.keys}`);
    return held;
  }
}

function atOnce(keys: number): Figure[] {
  const load = new Load(keys);
  const { pipeline } = load;
  for (const batch of load.batches()) pipeline.process(batch);
  const held = load.held();
  const snapshotNs: number[] = [];
  const restoreNs: number[] = [];
  let state: Snapshot = [];
  for (let round = 0; round < 5; round++) {
    snapshotNs.push(
      timedNs(() => {
        state = whole(pipeline.snapshotInSlices());
      }),
    );
    const other = new Pipeline(benchRules({ window }));
    restoreNs.push(timedNs(() => other.restore(state)));
    const restored = other.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
    if (restored !== held) throw new Error(`${restored} keys were restored, expected ${held}`);
  }
  const note = `${keys / 1000}k keys in each of two rules, ${perKey} values a key`;
  const ms = (times: readonly number[]) => `${(median(times) / 1e6).toFixed(0)} ms`;
  return [
    {
      name: 'snapshot bytes a key and rule',
      value: bytesIn(state) / held,
      unit: 'B',
      note: `${note}; ${(bytesIn(state) / 1e6).toFixed(0)} MB`,
    },
    { name: 'snapshot time a key and rule', value: median(snapshotNs) / held / 1e3, unit: 'us', note: ms(snapshotNs) },
    { name: 'restore time a key and rule', value: median(restoreNs) / held / 1e3, unit: 'us', note: ms(restoreNs) },
  ];
}

interface Taken {
  readonly blocks: Blocks;
  readonly tookMs: number;
  readonly writtenBytes: number;
  readonly stateBytes: number;
}

/** A source that hands everything in, and asks for a checkpoint as one does that is to lose its partitions: when it is told that is saved. */
async function asCheckpoints(keys: number): Promise<Figure[]> {
  const load = new Load(keys);
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-bench-'));
  const checkpoints = createLocalCheckpoints({ dir, identity: 'bench' });
  const taken: Taken[] = [];
  const source = new MillSource(() => undefined);
  source.run = async (_, into) => {
    for (const batch of load.batches()) await into.batch(batch);
    taken.push(await probed(into));
    for (const batch of load.changes(keys / 100)) await into.batch(batch);
    taken.push(await probed(into));
  };
  const probed = async (into: RecordIntake): Promise<Taken> => {
    const probe = new LoopProbe();
    const began = performance.now();
    probe.start();
    await into.revoked([]);
    const blocks = await probe.stop();
    const { writtenBytes = 0, stateBytes = 0 } = checkpoints.lastSave ?? {};
    return { blocks, tookMs: performance.now() - began, writtenBytes, stateBytes };
  };
  const log = pino({ level: 'silent' });
  try {
    const parts = { pipeline: load.pipeline, sources: [source], sinks: [new MemorySink()], checkpoints, log, clock: Date.now };
    await new Engine(parts, { checkpointEveryMs: 3_600_000, idleMs: Number.POSITIVE_INFINITY }).run();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  load.held();
  return figuresOf(keys, taken);
}

function figuresOf(keys: number, [first, second]: readonly Taken[]): Figure[] {
  const load = `${keys / 1000}k keys in each of two rules`;
  const block = (what: string, { blocks, tookMs, writtenBytes, stateBytes }: Taken): Figure => ({
    name: `longest block, ${what}, ${keys / 1000}k keys`,
    value: blocks.longestMs,
    unit: 'ms',
    note:
      `${blocks.longestCpuMs.toFixed(1)} ms of CPU in the busiest turn, longest collection ${blocks.longestGcMs.toFixed(1)} ms; durable after ` +
      `${tookMs.toFixed(0)} ms, ${(writtenBytes / 1e6).toFixed(1)} of ${(stateBytes / 1e6).toFixed(1)} MB written, ${load}`,
  });
  return [
    block('first checkpoint', first),
    block('checkpoint after 1 % of keys changed', second),
    {
      name: `written of a checkpoint after 1 % of keys changed, ${keys / 1000}k keys`,
      value: (100 * second.writtenBytes) / second.stateBytes,
      unit: '%',
      note: `${(second.writtenBytes / 1e6).toFixed(1)} MB, ${load}; the keys lie far from each other`,
    },
  ];
}
