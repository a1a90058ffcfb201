import { expect, it } from 'vitest';
import { relativeError } from '../../../processors/sketch/ertl-estimator.ts';
import { hllErrors } from '../../bench/hll-accuracy.ts';

const seeds = 200;
const theory = relativeError(2 ** 11);

it.each(hllErrors([1_000, 3_000, 10_000, 30_000], seeds))(
  'of $distinct distinct values 200 sets are off by what theory says, with no bias past the noise',
  ({ distinct, rmse, bias }) => {
    // Three standard errors of an rmse over 200 sets are 15 %, of their mean 0.5 %.
    expect(rmse).toBeLessThan(1.15 * theory);
    if (distinct >= 10_000) expect(rmse).toBeGreaterThan(0.85 * theory);
    expect(Math.abs(bias)).toBeLessThan((3 * theory) / Math.sqrt(seeds));
  },
);
