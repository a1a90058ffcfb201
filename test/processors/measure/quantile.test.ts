import { describe } from 'vitest';
import { Quantile } from '../../../processors/measure/quantile.ts';
import { describeMeasureLaws, type LawEvent } from '../../contracts/measure-laws.ts';

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
});
