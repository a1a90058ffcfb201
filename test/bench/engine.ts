/**
 * The engine from memory, one thread, one distinct and one quantile rule, against the floor: per line Buffer -> string -> JSON.parse.
 * Both are timed block by block in turn, so that a neighbour on the machine slows both.
 */
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { benchRules } from './bench-rules.ts';
import { type Figure, median, spread, timedNs } from './figure.ts';
import { appLines } from './lines.ts';

const blockLines = 12_000;
const batchLines = 1_000;
const linesPerSecond = blockLines / 60;
const windowBlocks = 10;

export interface EngineFigures {
  readonly meanBytes: number;
  readonly floorNs: number;
  readonly engineNs: number;
  /** Floor over engine time, a block each: 1 = as fast as JSON.parse alone. */
  readonly ratios: readonly number[];
  readonly activeKeys: number;
  /** Of state of one rule, key text included. */
  readonly bytesPerKey: number;
}

/** `lines` are shared between runs. The blocks that fill the first window are not counted. */
export function runEngine(lines: readonly Buffer[], window: string): EngineFigures {
  const pipeline = new Pipeline(benchRules({ window }));
  const ratios: number[] = [];
  const floors: number[] = [];
  const engines: number[] = [];
  let bytes = 0;
  for (let from = 0; from + blockLines <= lines.length; from += blockLines) {
    const block = lines.slice(from, from + blockLines);
    const batches = batchesOf(block, from);
    const floor = timedNs(() => parseAll(block));
    const engine = timedNs(() => {
      for (const batch of batches) pipeline.process(batch);
    });
    for (const line of block) bytes += line.length;
    if (from < windowBlocks * blockLines) continue;
    floors.push(floor / blockLines);
    engines.push(engine / blockLines);
    ratios.push(floor / engine);
  }
  const { records, matches } = pipeline.counters;
  if (matches !== 2 * records) throw new Error(`${records} records gave ${matches} matches, expected two each`);
  const keys = pipeline.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
  return {
    meanBytes: bytes / records,
    floorNs: median(floors),
    engineNs: median(engines),
    ratios,
    activeKeys: keys / pipeline.stages.length,
    bytesPerKey: pipeline.stages.reduce((sum, { windows }) => sum + windows.bytes(), 0) / keys,
  };
}

/** `count` lines over 100,000 Zipf keys. What a close costs is shared by the lines of its pane, so how many there are is part of the name. */
export function benchEngine(count = 600_000): Figure[] {
  const slow = appLines(count, 100_000, linesPerSecond).lines;
  const busy = appLines(count, 100_000, 10 * linesPerSecond).lines;
  return [
    { load: '10 panes of 120,000 lines', lines: busy, window: '{ size: 10m, slide: 1m }' },
    { load: '10 panes of 12,000 lines', lines: slow, window: '{ size: 10m, slide: 1m }' },
    { load: '60 panes of 2,000 lines', lines: slow, window: '{ size: 10m, slide: 10s }' },
  ].flatMap(({ load, lines, window }) => {
    const { meanBytes, floorNs, engineNs, ratios, activeKeys, bytesPerKey } = runEngine(lines, window);
    const note = `${meanBytes.toFixed(0)}-byte lines, ${activeKeys.toFixed(0)} active keys a rule, ${ratios.length} blocks`;
    return [
      { name: `engine over floor, ${load}`, value: median(ratios), unit: 'x', note: `${spread(ratios)}; ${note}` },
      { name: `engine, ${load}`, value: engineNs, unit: 'ns/line', note: `floor ${floorNs.toFixed(0)} ns` },
      { name: `bytes per active key of a rule, ${load}`, value: bytesPerKey, unit: 'B', note: 'whole state, key text included' },
    ];
  });
}

let sink = 0;

/** The floor. The sum keeps the parser's work from being optimised away. */
function parseAll(block: readonly Buffer[]): void {
  for (const line of block) sink += JSON.parse(line.toString()).pid as number;
  if (sink === 0) throw new Error('the floor parsed nothing');
}

function batchesOf(block: readonly Buffer[], from: number): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at < block.length; at += batchLines) {
    const records = block.slice(at, at + batchLines).map((value, i) => ({ value, offset: from + at + i, timestampMs: Number.NaN }));
    batches.push({ topic: 'bench', partition: 0, dataset: 'app', format: 'json', records });
  }
  return batches;
}
