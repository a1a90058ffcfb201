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

  /** Sorts by mean; among equal means the order stays. Means must be f32 and at most 2^21 of them. */
  sort(): void {
    let sorted = true;
    for (let i = 1; i < this.length && sorted; i++) sorted = this.means[i] >= this.means[i - 1];
    if (sorted) return;
    // The bits of an f32 in the order of its value, then the place in the list: one integer below 2^53, which a typed array sorts by itself.
    const keys = new Float64Array(this.length);
    for (let i = 0; i < this.length; i++) {
      float[0] = this.means[i];
      const key = word[0] & 0x80000000 ? ~word[0] >>> 0 : (word[0] | 0x80000000) >>> 0;
      keys[i] = key * 2 ** 21 + i;
    }
    keys.sort();
    const means = this.means.slice(0, this.length);
    const weights = this.weights.slice(0, this.length);
    for (let i = 0; i < this.length; i++) {
      const from = keys[i] % 2 ** 21;
      this.means[i] = means[from];
      this.weights[i] = weights[from];
    }
  }

  /** Merges neighbours of this sorted list into a t-digest, in place. */
  compress(): void {
    if (this.length < 3) return;
    const total = this.total;
    const normalizer = (4 * naturalLog(total / delta) + 24) / delta;
    let to = 0;
    let before = 0;
    for (let from = 1; from < this.length; from++) {
      const proposed = this.weights[to] + this.weights[from];
      const q0 = before / total;
      const q2 = (before + proposed) / total;
      const limit = total * normalizer * Math.min(q0 * (1 - q0), q2 * (1 - q2));
      if (to > 0 && from < this.length - 1 && proposed <= limit) {
        this.means[to] += ((this.means[from] - this.means[to]) * this.weights[from]) / proposed;
        this.weights[to] = proposed;
      } else {
        before += this.weights[to];
        to++;
        this.means[to] = this.means[from];
        this.weights[to] = this.weights[from];
      }
    }
    this.length = to + 1;
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

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);
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
