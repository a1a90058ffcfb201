/**
 * The engine from memory, one thread, one distinct and one quantile rule, against the floor: per line Buffer -> string -> JSON.parse.
 * Both are timed block by block in turn, so that a neighbour on the machine slows both.
 */
import { Pipeline } from '../../processors/pipeline.ts';
import { ruleOf } from '../support/rules.ts';
import { appLines } from './lines.ts';

const blockLines = 12_000;
const batchLines = 1_000;

export interface EngineFigures {
  readonly meanBytes: number;
  readonly floorNs: number;
  readonly engineNs: number;
  /** Floor over engine time: 1 = as fast as JSON.parse alone. Medians over blocks. */
  readonly ratio: number;
  readonly activeKeys: number;
  readonly bytesPerKey: number;
}

export function benchEngine(count = 600_000, keys = 100_000): EngineFigures {
  const { lines, meanBytes } = appLines(count, keys, 2_000);
  const pipeline = new Pipeline([
    ruleOf('id: emails\nwhere: { event.name: passkey.begin }\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: { size: 10m, slide: 1m }\ndetect: { above: 1000000 }'),
    ruleOf(
      'id: slow\nkey: client.address\nmeasure: { quantile: { of: http.server.request.duration, q: 0.99, sketch: histogram } }\nwindow: { size: 10m, slide: 1m }\ndetect: { above: 1000000 }',
    ),
  ]);
  const ratios: number[] = [];
  const floors: number[] = [];
  const engines: number[] = [];
  for (let from = 0; from + blockLines <= lines.length; from += blockLines) {
    const block = lines.slice(from, from + blockLines);
    const floor = timed(() => parseAll(block));
    const engine = timed(() => feed(pipeline, block, from));
    floors.push(floor / blockLines);
    engines.push(engine / blockLines);
    ratios.push(floor / engine);
  }
  const keyCount = pipeline.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
  const bytes = pipeline.stages.reduce((sum, { windows }) => sum + windows.bytes(), 0);
  return {
    meanBytes,
    floorNs: median(floors),
    engineNs: median(engines),
    ratio: median(ratios),
    activeKeys: keyCount / pipeline.stages.length,
    bytesPerKey: bytes / keyCount,
  };
}

let sink = 0;

function parseAll(block: readonly Buffer[]): void {
  for (const line of block) sink += JSON.parse(line.toString()).pid as number;
}

function feed(pipeline: Pipeline, block: readonly Buffer[], from: number): void {
  for (let at = 0; at < block.length; at += batchLines) {
    const records = block.slice(at, at + batchLines).map((value, i) => ({ value, offset: from + at + i, timestampMs: Number.NaN }));
    pipeline.process({ topic: 'bench', partition: 0, dataset: 'app', format: 'json', records });
  }
}

function timed(task: () => void): number {
  const start = process.hrtime.bigint();
  task();
  return Number(process.hrtime.bigint() - start);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Keeps the parser's work from being optimised away. */
export const parsed = () => sink;
