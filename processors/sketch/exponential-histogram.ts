import { bucketMiddle, finestScale, histogramIndex, powerAt } from './histogram-index.ts';

/** Counts of consecutive buckets, as OpenTelemetry writes them: `counts[i]` is bucket `offset + i`. */
export interface Buckets {
  readonly offset: number;
  readonly counts: readonly number[];
}

/** One side of the axis: counts of buckets `start` … `start + length - 1`, kept in the middle of a longer array. */
class Side {
  start = 0;
  length = 0;
  private counts = new Float64Array(64);
  /** Index of the first count. */
  private first = 32;

  reset(): void {
    this.counts.fill(0, this.first, this.first + this.length);
    this.length = 0;
    this.first = this.counts.length >> 1;
  }

  at(index: number): number {
    return index < this.start || index >= this.start + this.length ? 0 : this.counts[this.first + index - this.start];
  }

  add(index: number, count: number): void {
    this.cover(index);
    this.counts[this.first + index - this.start] += count;
  }

  /** Merges 2^by neighbours. */
  coarsen(by: number): void {
    if (this.length === 0 || by === 0) return;
    const start = this.start >> by;
    const length = ((this.start + this.length - 1) >> by) - start + 1;
    const merged = new Float64Array(length);
    for (let i = 0; i < this.length; i++) merged[((this.start + i) >> by) - start] += this.counts[this.first + i];
    this.counts.fill(0, this.first, this.first + this.length);
    this.counts.set(merged, this.first);
    this.start = start;
    this.length = length;
  }

  private cover(index: number): void {
    if (this.length === 0) {
      this.start = index;
      this.length = 1;
      return;
    }
    const start = Math.min(this.start, index);
    const length = Math.max(this.start + this.length, index + 1) - start;
    if (length === this.length) return;
    const first = this.first - (this.start - start);
    if (first < 0 || first + length > this.counts.length) {
      const wider = new Float64Array(2 * length + 64);
      const to = (wider.length - length) >> 1;
      wider.set(this.counts.subarray(this.first, this.first + this.length), to + this.start - start);
      this.counts = wider;
      this.first = to;
    } else {
      this.first = first;
    }
    this.start = start;
    this.length = length;
  }
}

/**
 * OpenTelemetry's base-2 exponential histogram: a count per bucket, mirrored for negative numbers, and one for zero. It starts at a scale
 * and halves it (neighbours merge) as long as it has more than `maxBuckets` between its extremes; so it is a function of the set of
 * numbers, and merging and subtracting are exact. A number's bucket tells it within a factor 2^(2^-scale): 2.2 % at scale 5.
 */
export class ExponentialHistogram {
  scale: number;
  zero = 0;
  total = 0;
  readonly positive = new Side();
  readonly negative = new Side();
  private readonly startScale: number;
  private readonly maxBuckets: number;

  constructor(scale = 5, maxBuckets = 640) {
    this.startScale = scale;
    this.scale = scale;
    this.maxBuckets = maxBuckets;
  }

  reset(scale = this.startScale): void {
    this.scale = scale;
    this.zero = 0;
    this.total = 0;
    this.positive.reset();
    this.negative.reset();
  }

  /** Adds a finite number `count` times. Below 2^-1022 it counts as zero. */
  add(x: number, count = 1): void {
    this.total += count;
    const size = Math.abs(x);
    if (size < 2 ** -1022) {
      this.zero += count;
      return;
    }
    (x > 0 ? this.positive : this.negative).add(histogramIndex(size, this.scale), count);
    this.limit();
  }

  /** Adds one bucket of a histogram of `scale`; a finer one only, so call `coarsenTo` before. */
  addBucket(index: number, scale: number, positive: boolean, count: number): void {
    this.total += count;
    (positive ? this.positive : this.negative).add(index >> (scale - this.scale), count);
  }

  merge(other: ExponentialHistogram): void {
    this.coarsenTo(other.scale);
    this.zero += other.zero;
    this.total += other.zero;
    for (const positive of [true, false]) {
      const side = positive ? other.positive : other.negative;
      for (let i = side.start; i < side.start + side.length; i++) {
        if (side.at(i) > 0) this.addBucket(i, other.scale, positive, side.at(i));
      }
    }
    this.limit();
  }

  /** Halves the scale until it is at most `scale`. */
  coarsenTo(scale: number): void {
    if (scale >= this.scale) return;
    this.positive.coarsen(this.scale - scale);
    this.negative.coarsen(this.scale - scale);
    this.scale = scale;
  }

  /** Halves the scale until the buckets between the extremes are at most `maxBuckets`. */
  limit(): void {
    while (this.positive.length + this.negative.length > this.maxBuckets) this.coarsenTo(this.scale - 1);
  }

  /** Calls back with the middle and count of each bucket that is not empty, in ascending order. */
  each(visit: (middle: number, count: number) => void): void {
    for (let i = this.negative.start + this.negative.length - 1; i >= this.negative.start && this.negative.length > 0; i--) {
      if (this.negative.at(i) > 0) visit(-bucketMiddle(i, this.scale), this.negative.at(i));
    }
    if (this.zero > 0) visit(0, this.zero);
    for (let i = this.positive.start; i < this.positive.start + this.positive.length; i++) {
      if (this.positive.at(i) > 0) visit(bucketMiddle(i, this.scale), this.positive.at(i));
    }
  }

  /**
   * The quantile by linear interpolation between the ranks 0 … n - 1, each number taken as the geometric middle of its bucket: within a
   * factor 2^(2^-(scale + 1)) of the true one where all numbers have one sign (1.09 % at scale 5). NaN if empty.
   */
  quantile(q: number): number {
    if (this.total === 0) return Number.NaN;
    const rank = q * (this.total - 1);
    const whole = Math.floor(rank);
    let seen = 0;
    let lower = Number.NaN;
    let upper = Number.NaN;
    this.each((middle, count) => {
      if (Number.isNaN(lower) && seen + count > whole) lower = middle;
      if (Number.isNaN(upper) && seen + count > Math.min(whole + 1, this.total - 1)) upper = middle;
      seen += count;
    });
    return lower + (upper - lower) * (rank - whole);
  }

  /** Relative standard error of a number told by its bucket: uniform within it. */
  get relativeError(): number {
    return (powerAt(2 ** (finestScale - this.scale)) - 1) / Math.sqrt(12);
  }

  /** As OpenTelemetry's ExponentialHistogramDataPoint: bucket `offset + i` of `counts[i]` holds (base^index, base^(index + 1)]. */
  toOpenTelemetry(): { scale: number; zeroCount: number; count: number; positive: Buckets; negative: Buckets } {
    const buckets = (side: Side): Buckets => ({
      offset: side.start,
      counts: Array.from({ length: side.length }, (_, i) => side.at(side.start + i)),
    });
    return {
      scale: this.scale,
      zeroCount: this.zero,
      count: this.total,
      positive: buckets(this.positive),
      negative: buckets(this.negative),
    };
  }
}

/** From OpenTelemetry's data point. Throws a RangeError for a scale above 8. */
export function fromOpenTelemetry(point: { scale: number; zeroCount: number; positive: Buckets; negative: Buckets }): ExponentialHistogram {
  if (point.scale > finestScale) throw new RangeError(`scale ${point.scale} is finer than ${finestScale}, the finest there is a table for`);
  const histogram = new ExponentialHistogram(point.scale, Number.POSITIVE_INFINITY);
  histogram.zero = point.zeroCount;
  histogram.total = point.zeroCount;
  point.positive.counts.forEach((count, i) => {
    if (count > 0) histogram.addBucket(point.positive.offset + i, point.scale, true, count);
  });
  point.negative.counts.forEach((count, i) => {
    if (count > 0) histogram.addBucket(point.negative.offset + i, point.scale, false, count);
  });
  return histogram;
}
