/** What a benchmark hands back, and the small sums they all need. */
import { cpus } from 'node:os';

export interface Figure {
  /** Unique within its benchmark: `targets.ts` refers to it. */
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Spread, load, what it is compared with. */
  readonly note?: string;
}

/** `print` takes lines of progress; figures come back at the end. */
export type Bench = (print: (line: string) => void) => Figure[] | Promise<Figure[]>;

export function machine(): string {
  const processors = cpus();
  return `${processors[0]?.model.trim() ?? 'unknown processor'}, ${processors.length} cores, Node ${process.versions.node}`;
}

/** The value below which a share `q` of them lies (nearest rank). Throws a RangeError for none. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('a quantile of no values: the benchmark measured nothing');
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** `1.23–1.34`: the middle eight tenths. */
export function spread(values: readonly number[], digits = 2): string {
  return `p10–p90 ${quantile(values, 0.1).toFixed(digits)}–${quantile(values, 0.9).toFixed(digits)}`;
}

/** Wall-clock nanoseconds that `task` takes. */
export function timedNs(task: () => void): number {
  const start = process.hrtime.bigint();
  task();
  return Number(process.hrtime.bigint() - start);
}

/** Collects garbage. Throws where Node was started without `--expose-gc`, because memory figures would mean nothing. */
export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('start with node --expose-gc: memory can only be compared after a collection');
  globalThis.gc();
  globalThis.gc();
}
