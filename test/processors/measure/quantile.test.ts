import { describe, expect, it } from 'vitest';
import { Quantile } from '../../../processors/measure/quantile.ts';
import { describeMeasureLaws, type LawEvent, matchOf } from '../../contracts/measure-laws.ts';

const windowPanes = 12;

function sortedOf(events: readonly LawEvent[]): Float32Array {
  return Float32Array.from(events, (event) => event.number).sort();
}

function quantileOf(numbers: Float32Array, q: number): number {
  const rank = q * (numbers.length - 1);
  const lower = numbers[Math.floor(rank)];
  const upper = numbers[Math.ceil(rank)];
  return rank === Math.floor(rank) ? lower : lower + (upper - lower) * (rank - Math.floor(rank));
}

describe('quantile', () => {
  for (const q of [0, 0.5, 0.99, 1]) {
    const reference = (events: readonly LawEvent[]) => (events.length === 0 ? Number.NaN : quantileOf(sortedOf(events), q));
    describeMeasureLaws({
      name: `quantile ${q} of a histogram`,
      windowPanes,
      make: () => new Quantile(q, 'histogram'),
      reference,
      // Half a bucket, and a coarser scale where the numbers span more than six decades.
      tolerance: () => 0.03,
    });
    describeMeasureLaws({
      name: `quantile ${q} of a t-digest`,
      windowPanes,
      make: () => new Quantile(q, 'tdigest'),
      reference,
      // A t-digest bounds the rank: the value lies within a centroid's share of the numbers (k2), which a histogram rounded by 0.2 %.
      tolerance: (_error, events) => {
        const numbers = sortedOf(events);
        const expected = quantileOf(numbers, q);
        const share = ((4 * Math.log(numbers.length / 200) + 24) * q * (1 - q)) / 200 + (q > 0 && q < 1 ? 1 / numbers.length : 0);
        const low = quantileOf(numbers, Math.max(0, q - share));
        const high = quantileOf(numbers, Math.min(1, q + share));
        return Math.max(Math.abs(expected - low), Math.abs(high - expected)) / (Math.abs(expected) || 1) + 0.002;
      },
    });
  }

  function eventOf(pane: number, number: number): LawEvent {
    return { slot: 0, pane, arrival: pane, number, valueLow: 0, valueHigh: 0, counted: false, timeMs: 0, partition: 0, offset: 0 };
  }

  it.each(['tdigest', 'histogram'] as const)(
    'a %s pane that opens again after its close (a tick passed it by) takes the numbers that come',
    (sketch) => {
      const measure = new Quantile(0.5, sketch);
      const add = (from: number, to: number) => {
        for (let number = from; number < to; number++) measure.add(0, 5, matchOf(eventOf(5, number)));
        measure.close(0, 5);
      };
      add(1000, 2000);
      expect(Math.abs(measure.value(0, 0, 5) / 1500 - 1)).toBeLessThan(0.012);
      add(2000, 3000);
      expect(Math.abs(measure.value(0, 0, 5) / 2000 - 1)).toBeLessThan(0.012);
      add(3000, 3001);
      measure.add(0, 5, matchOf(eventOf(5, 3001)));
      expect(Math.abs(measure.value(0, 0, 5) / 2001 - 1)).toBeLessThan(0.012);
      expect(measure.expire(0, 6)).toBe(true);
      expect(measure.value(0, 0, 5)).toBeNaN();
    },
  );

  it('is exact while no pane of the window holds more than 64 numbers, and says so', () => {
    const measure = new Quantile(0.5, 'tdigest');
    for (let pane = 1; pane <= 10; pane++) {
      for (let i = 0; i < 64; i++) measure.add(0, pane, matchOf(eventOf(pane, 640 - pane * 64 - i)));
      measure.close(0, pane);
    }
    expect(measure.value(0, 1, 10)).toBe(256.5);
    expect(measure.valueError(0, 1, 10)).toBe(0);
    measure.add(0, 10, matchOf(eventOf(10, -1)));
    measure.close(0, 10);
    expect(measure.valueError(0, 1, 10)).toBeGreaterThan(0);
  });

  it('takes no number that is none, and no quantile outside of 0 … 1', () => {
    const measure = new Quantile(0.5, 'histogram');
    for (const number of [Number.NaN, Number.POSITIVE_INFINITY, 1e39]) expect(measure.add(0, 1, matchOf(eventOf(1, number)))).toBe(false);
    expect(measure.value(0, 1, 1)).toBeNaN();
    expect(() => new Quantile(1.5, 'histogram')).toThrow('expected a number from 0 to 1');
  });
});
