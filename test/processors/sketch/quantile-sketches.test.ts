import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExponentialHistogram, fromOpenTelemetry } from '../../../processors/sketch/exponential-histogram.ts';
import { exactQuantile } from '../../../processors/sketch/order-statistics.ts';
import { CentroidList, delta } from '../../../processors/sketch/t-digest.ts';

const seed = 20261121;
const numbers = fc.array(
  fc.double({ min: -1e6, max: 1e12, noNaN: true }).map((x) => Math.fround(x)),
  { minLength: 1, maxLength: 300 },
);

function histogramOf(values: readonly number[]): ExponentialHistogram {
  const histogram = new ExponentialHistogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

function lognormal(count: number, sigma: number): number[] {
  let state = 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  return Array.from({ length: count }, () =>
    Math.fround(Math.exp(Math.log(50) + sigma * Math.sqrt(-2 * Math.log(random())) * Math.cos(6.283185 * random()))),
  );
}

describe('an exponential histogram', () => {
  it(`is the same for any order and any split into parts (seed ${seed})`, () => {
    fc.assert(
      fc.property(numbers, fc.nat(300), (values, cut) => {
        const whole = histogramOf(values).toOpenTelemetry();
        expect(histogramOf([...values].reverse()).toOpenTelemetry()).toEqual(whole);
        const first = histogramOf(values.slice(0, cut));
        first.merge(histogramOf(values.slice(cut)));
        expect(first.toOpenTelemetry()).toEqual(whole);
      }),
      { seed, numRuns: 300 },
    );
  });

  it(`goes through OpenTelemetry's data point unchanged (seed ${seed})`, () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const point = histogramOf(values).toOpenTelemetry();
        expect(point.count).toBe(values.length);
        expect(point.positive.counts.length + point.negative.counts.length).toBeLessThanOrEqual(640);
        expect(fromOpenTelemetry(point).toOpenTelemetry()).toEqual(point);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('keeps scale 5 over six decades, and halves it beyond', () => {
    expect(histogramOf([1, 9e5]).scale).toBe(5);
    expect(histogramOf([1, 1e7]).scale).toBe(4);
    expect(histogramOf([1e-30, 1e30]).scale).toBe(1);
  });

  it('answers within half a bucket', () => {
    const values = lognormal(20_000, 1);
    const histogram = histogramOf(values);
    for (const q of [0.001, 0.5, 0.9, 0.99, 0.999]) {
      const exact = exactQuantile(Float32Array.from(values), values.length, q);
      expect(Math.abs(histogram.quantile(q) / exact - 1)).toBeLessThan(0.011);
    }
  });

  it('refuses a scale it has no table for', () => {
    const none = { offset: 0, counts: [] };
    expect(() => fromOpenTelemetry({ scale: 9, zeroCount: 0, positive: none, negative: none })).toThrow('finer than 8');
  });
});

describe('a t-digest', () => {
  function digestOf(values: readonly number[]): CentroidList {
    const list = new CentroidList();
    for (const value of [...values].sort((a, b) => a - b)) list.push(value, 1);
    list.compress();
    return list;
  }

  it('has some 140 centroids, none heavier than k2 allows, and keeps the extremes', () => {
    const values = lognormal(100_000, 1);
    const digest = digestOf(values);
    expect(digest.length).toBeGreaterThan(delta / 2);
    expect(digest.length).toBeLessThan(delta);
    expect(digest.means[0]).toBe(values.reduce((a, b) => Math.min(a, b)));
    expect(digest.means[digest.length - 1]).toBe(values.reduce((a, b) => Math.max(a, b)));
    const normalizer = (4 * Math.log(values.length / delta) + 24) / delta;
    let before = 0;
    for (let i = 0; i < digest.length; i++) {
      const q0 = before / values.length;
      before += digest.weights[i];
      const q2 = before / values.length;
      if (digest.weights[i] > 1) {
        expect(digest.weights[i]).toBeLessThanOrEqual(values.length * normalizer * Math.min(q0 * (1 - q0), q2 * (1 - q2)) * (1 + 1e-9));
      }
    }
    expect(before).toBe(values.length);
  });

  it('of 60 parts, put together, is off by at most 0.2 % of the ranks, and 2 % of the value at p99.9', () => {
    const values = lognormal(120_000, 1);
    const sorted = Float32Array.from(values).sort();
    const list = new CentroidList();
    for (let part = 0; part < 60; part++) {
      const digest = digestOf(values.slice(part * 2000, (part + 1) * 2000));
      for (let i = 0; i < digest.length; i++) list.push(Math.fround(digest.means[i]), digest.weights[i]);
    }
    list.sort();
    list.compress();
    for (const q of [0.5, 0.9, 0.99, 0.999]) {
      const value = list.quantile(q);
      const rank = sorted.findIndex((each) => each >= value) / sorted.length;
      expect(Math.abs(rank - q)).toBeLessThan(0.002);
      expect(Math.abs(value / sorted[Math.floor(q * sorted.length)] - 1)).toBeLessThan(0.02);
    }
  });

  it(`of single numbers is the exact quantile (seed ${seed})`, () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const list = new CentroidList();
        for (const value of values) list.push(value, 1);
        list.sort();
        const exact = exactQuantile(Float32Array.from(values), values.length, q);
        expect(Math.abs(list.quantile(q) - exact)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(exact)));
      }),
      { seed, numRuns: 300 },
    );
  });
});

describe('the exact quantile', () => {
  it(`is linear between ranks, in any order of the numbers (seed ${seed})`, () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const sorted = Float32Array.from(values).sort();
        const rank = q * (values.length - 1);
        const lower = sorted[Math.floor(rank)];
        const upper = sorted[Math.ceil(rank)];
        expect(exactQuantile(Float32Array.from(values), values.length, q)).toBe(
          rank === Math.floor(rank) ? lower : lower + (upper - lower) * (rank - Math.floor(rank)),
        );
      }),
      { seed, numRuns: 500 },
    );
  });
});
