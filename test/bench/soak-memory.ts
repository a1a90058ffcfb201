/** What a soak asks of a process: that its memory does not grow. */

export const mostGrowth = 1.05;

export interface Sample {
  readonly atMs: number;
  readonly rssBytes: number;
}

export interface SoakResult {
  readonly records: number;
  /** Mean memory of the last third over that of the middle third. */
  readonly growth: number;
}

export function growthOf(samples: readonly Sample[], durationMs: number): number {
  const third = (number: number) =>
    samples.filter(({ atMs }) => atMs >= (durationMs * number) / 3 && atMs < (durationMs * (number + 1)) / 3).map((each) => each.rssBytes);
  return mean(third(2)) / mean(third(1));
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function mean(values: readonly number[]): number {
  if (values.length < 10) throw new Error(`${values.length} samples of memory in a third of the run, expected at least 10: run for longer`);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
