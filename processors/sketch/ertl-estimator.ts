/**
 * The improved HyperLogLog estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017, arXiv 1702.01284),
 * algorithm 6: no bias tables, no switch between ranges, bias below 0.5 % at any cardinality from m = 512 on.
 */

const alphaInfinity = 1 / (2 * Math.LN2);

/** Relative standard error of the estimate for n >> m, by number of registers: sqrt(3 ln 2 - 1) / sqrt(m). */
export function relativeError(registers: number): number {
  return 1.0389617614136892 / Math.sqrt(registers);
}

/** x + sum of x^(2^k) 2^(k-1); infinite at 1. */
export function sigma(x: number): number {
  if (x === 1) return Number.POSITIVE_INFINITY;
  let power = x;
  let weight = 1;
  let sum = x;
  for (;;) {
    power *= power;
    const before = sum;
    sum += power * weight;
    weight += weight;
    if (sum === before) return sum;
  }
}

/** (1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3. */
export function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let root = x;
  let weight = 1;
  let sum = 1 - x;
  for (;;) {
    root = Math.sqrt(root);
    const before = sum;
    weight *= 0.5;
    sum -= (1 - root) ** 2 * weight;
    if (sum === before) return sum / 3;
  }
}

/**
 * Estimates the number of distinct values.
 * @param histogram how many registers hold each rank 0 … q + 1, where q = 64 - precision
 */
export function estimateFromHistogram(histogram: ArrayLike<number>, precision: number): number {
  const m = 2 ** precision;
  const q = 64 - precision;
  let z = m * tau(1 - histogram[q + 1] / m);
  for (let k = q; k >= 1; k--) z = 0.5 * (z + histogram[k]);
  z += m * sigma(histogram[0] / m);
  return (alphaInfinity * m * m) / z;
}

const counts = new Uint32Array(66);

/** Estimates the number of distinct values from 2^precision registers of 64-bit hashes. */
export function estimateFromRegisters(registers: Uint8Array, precision: number): number {
  counts.fill(0);
  for (let i = 0; i < registers.length; i++) counts[registers[i]]++;
  return estimateFromHistogram(counts, precision);
}
