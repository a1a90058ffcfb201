/**
 * The merging t-digest (Dunning & Ertl, "Computing extremely accurate quantiles using t-digests", 2019) with scale function k2 and
 * delta = 200: a centroid may hold n min(max(q0), max(q2)) numbers, max(q) = Z q (1 - q) / delta, Z = 4 ln(n / delta) + 24; the first and
 * the last are never merged, so they are the extremes. It is built in one pass over sorted numbers, never fed in order of arrival: the
 * digest of a set is one digest.
 */
export const delta = 200;

export class CentroidList {
  length = 0;
  means = new Float64Array(256);
  weights = new Float64Array(256);
  total = 0;
  /** Where runs are merged to. */
  private spareMeans = new Float64Array(0);
  private spareWeights = new Float64Array(0);

  reset(): void {
    this.length = 0;
    this.total = 0;
  }

  /** Adds a centroid at the end. */
  push(mean: number, weight: number): void {
    if (this.length === this.means.length) {
      this.means = widen(this.means);
      this.weights = widen(this.weights);
    }
    this.means[this.length] = mean;
    this.weights[this.length++] = weight;
    this.total += weight;
  }

  /** Sorts by mean; among equal means the order stays. Merges the runs that ascend already: a list is made of a few of them. */
  sort(): void {
    let starts = [0];
    for (let i = 1; i < this.length; i++) if (this.means[i] < this.means[i - 1]) starts.push(i);
    while (starts.length > 1) {
      if (this.spareMeans.length < this.means.length) {
        this.spareMeans = new Float64Array(this.means.length);
        this.spareWeights = new Float64Array(this.means.length);
      }
      const merged: number[] = [];
      for (let run = 0; run < starts.length; run += 2) {
        merged.push(starts[run]);
        this.mergeRuns(starts[run], starts[run + 1] ?? this.length, starts[run + 2] ?? this.length);
      }
      const { means, weights } = this;
      this.means = this.spareMeans;
      this.weights = this.spareWeights;
      this.spareMeans = means;
      this.spareWeights = weights;
      starts = merged;
    }
  }

  /** Merges neighbours of this sorted list into a t-digest, in place. */
  compress(): void {
    if (this.length < 3) return;
    const total = this.total;
    const normalizer = (4 * naturalLog(total / delta) + 24) / delta / total;
    let to = 0;
    let before = 0;
    const { means, weights } = this;
    for (let from = 1; from < this.length; from++) {
      const proposed = weights[to] + weights[from];
      const after = before + proposed;
      // n max(q) for q = rank / n, without a division for each of them.
      const limit = normalizer * Math.min(before * (total - before), after * (total - after));
      if (to > 0 && from < this.length - 1 && proposed <= limit) {
        means[to] += ((means[from] - means[to]) * weights[from]) / proposed;
        weights[to] = proposed;
      } else {
        before += weights[to];
        to++;
        means[to] = means[from];
        weights[to] = weights[from];
      }
    }
    this.length = to + 1;
  }

  /** Merges from..middle - 1 and middle..end - 1 into the spare arrays. */
  private mergeRuns(from: number, middle: number, end: number): void {
    const { means, weights, spareMeans, spareWeights } = this;
    let left = from;
    let right = middle;
    for (let to = from; to < end; to++) {
      const at = right >= end || (left < middle && means[left] <= means[right]) ? left++ : right++;
      spareMeans[to] = means[at];
      spareWeights[to] = weights[at];
    }
  }

  /**
   * The quantile of this sorted list: a centroid stands for the middle of its ranks, between the centres it is interpolated. For
   * centroids of weight 1 that is linear interpolation between the ranks 0 … n - 1. NaN if empty.
   */
  quantile(q: number): number {
    return this.locate(q).value;
  }

  /** The quantile with its relative standard error: as if the true one lay anywhere between the centres on either side. */
  locate(q: number): { value: number; error: number } {
    if (this.length === 0) return { value: Number.NaN, error: 0 };
    const rank = q * (this.total - 1);
    let before = 0;
    let centre = (this.weights[0] - 1) / 2;
    if (rank <= centre) return { value: this.means[0], error: leastError };
    for (let i = 1; i < this.length; i++) {
      before += this.weights[i - 1];
      const next = before + (this.weights[i] - 1) / 2;
      if (rank <= next) {
        const gap = this.means[i] - this.means[i - 1];
        const value = this.means[i - 1] + gap * ((rank - centre) / (next - centre));
        return { value, error: Math.max(leastError, gap / Math.abs(value) / Math.sqrt(12)) };
      }
      centre = next;
    }
    return { value: this.means[this.length - 1], error: leastError };
  }
}

/** A digest may be made of a histogram of scale 8, whose buckets are 0.27 % wide: no answer of one is better than that. */
const leastError = 0.0027 / Math.sqrt(12);

const double = new Float64Array(1);
const doubleWords = new Uint32Array(double.buffer);

/** ln of a positive number, from its bits and the series of artanh: engines do not agree on the last bit of `Math.log`. */
function naturalLog(x: number): number {
  double[0] = x;
  const exponent = (doubleWords[1] >>> 20) - 1023;
  doubleWords[1] = (doubleWords[1] & 0xfffff) | 0x3ff00000;
  const y = (double[0] - 1) / (double[0] + 1);
  let sum = 0;
  for (let k = 39; k >= 1; k -= 2) sum = sum * y * y + 1 / k;
  return exponent * Math.LN2 + 2 * y * sum;
}

function widen(from: Float64Array): Float64Array<ArrayBuffer> {
  const to = new Float64Array(2 * from.length);
  to.set(from);
  return to;
}
