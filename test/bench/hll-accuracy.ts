/**
 * How far the dense form of a distinct count is off, over many sets of random hashes: root of the mean square (rmse) and mean (bias) of the
 * relative error. Theory says 1.039 / sqrt(m) for far more values than registers, and less below.
 */
import { estimateFromRegisters, relativeError } from '../../processors/sketch/ertl-estimator.ts';
import { rankOf, tokenOf } from '../../processors/sketch/token.ts';
import type { Figure } from './figure.ts';
import { randomWords } from './random-words.ts';

export interface HllErrors {
  readonly distinct: number;
  readonly rmse: number;
  readonly bias: number;
}

/** The errors at each of these counts, ascending, over `seeds` sets. */
export function hllErrors(counts: readonly number[], seeds: number, precision = 11): HllErrors[] {
  const squares = counts.map(() => 0);
  const sums = counts.map(() => 0);
  const registers = new Uint8Array(2 ** precision);
  for (let seed = 0; seed < seeds; seed++) {
    const word = randomWords(seed);
    let added = 0;
    registers.fill(0);
    counts.forEach((count, i) => {
      for (; added < count; added++) {
        const token = tokenOf(word(), word());
        const register = token & (registers.length - 1);
        const rank = rankOf(token, precision);
        if (rank > registers[register]) registers[register] = rank;
      }
      const error = estimateFromRegisters(registers, precision) / count - 1;
      sums[i] += error;
      squares[i] += error * error;
    });
  }
  return counts.map((distinct, i) => ({ distinct, rmse: Math.sqrt(squares[i] / seeds), bias: sums[i] / seeds }));
}

const counts = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/** Prints the table for 2048 registers (what a `distinct` uses) from a thousand to a million values. */
export function benchHllAccuracy(print: (line: string) => void, seeds = 400): Figure[] {
  const theory = relativeError(2 ** 11);
  print(
    `| distinct values | rmse | bias | (${seeds} sets, 2048 registers; theory ${percent(theory)}, noise of the bias ${percent(theory / Math.sqrt(seeds))})`,
  );
  print('|---|---|---|');
  const errors = hllErrors(counts, seeds);
  for (const { distinct, rmse, bias } of errors) print(`| ${distinct} | ${percent(rmse)} | ${percent(bias)} |`);
  return errors.flatMap(({ distinct, rmse, bias }) => [
    { name: `rmse of ${distinct} distinct`, value: 100 * rmse, unit: '%', note: `theory ${percent(theory)}, ${seeds} sets` },
    { name: `bias of ${distinct} distinct`, value: 100 * bias, unit: '%', note: `${seeds} sets` },
  ]);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(3)} %`;
}
