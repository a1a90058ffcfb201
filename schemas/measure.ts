/** `measure`: what a window accumulates. */
import { z } from 'zod';
import { defaultPrecision } from '../processors/measure/distinct.ts';
import type { MeasureSpec } from '../processors/rule.ts';
import { strict } from './issues.ts';
import { oneOf } from './one-of.ts';
import { fieldName } from './scalars.ts';
import { where } from './where.ts';

const quantile = strict({
  of: fieldName.describe('The field whose quantile is kept.'),
  q: z.number().gt(0).lt(1).describe('Which quantile: 0.99 for the 99th percentile.'),
  sketch: z
    .enum(['tdigest', 'histogram'])
    .default('tdigest')
    .describe('`tdigest` is sharp in the tails, `histogram` has a fixed relative error and merges exactly.'),
});

const distinct = z
  .union(
    [
      fieldName,
      strict({
        of: fieldName.describe('The field whose values are counted.'),
        precision: z
          .int()
          .min(10)
          .max(14)
          .default(defaultPrecision)
          .describe(
            'Beyond 256 values: 2^precision registers a key. 11 has a standard error of 2.3 %, 14 of 0.8 %; each step takes twice the memory.',
          ),
      }),
    ],
    { error: 'expected the name of a field, or {of: field, precision: 10 to 14}' },
  )
  // One spec for one meaning: rules that count the same are told by it.
  .transform((value) => {
    if (typeof value === 'string') return { field: value };
    return value.precision === defaultPrecision ? { field: value.of } : { field: value.of, precision: value.precision };
  });

const ratio = strict({
  of: where.describe('Which of the matching events count; the value is their share, 0 to 1.'),
  minCount: z.int().min(1).default(50).describe('With fewer matching events in the window there is no value.'),
});

const kinds = {
  sum: fieldName.optional().describe('The sum of a number.'),
  avg: fieldName.optional().describe('The mean of a number.'),
  min: fieldName.optional().describe('The smallest number.'),
  max: fieldName.optional().describe('The largest number.'),
  last: fieldName.optional().describe('The number of the newest event.'),
  distinct: distinct.optional().describe('How many different values: exact up to 256, estimated beyond, with the error on the finding.'),
  quantile: quantile.optional().describe('A quantile of a number.'),
  ratio: ratio.optional().describe('The share of matching events that also match a second condition.'),
  values: fieldName.optional().describe('The whole distribution of a number, for detectors that compare distributions.'),
  digits: fieldName.optional().describe("The first digits of a number, for Benford's law."),
};

/** A `measure`, as a schema; a `MeasureSpec` once parsed. */
export const measure = z
  .union([z.literal('count'), oneOf('measure', kinds, {})], { error: 'count, or a map with one measure such as distinct: user.email' })
  .transform((value): MeasureSpec => {
    if (value === 'count') return { kind: 'count' };
    if (value.quantile !== undefined) {
      const { of, q, sketch } = value.quantile;
      return { kind: 'quantile', field: of, q, sketch };
    }
    if (value.ratio !== undefined) return { kind: 'ratio', ...value.ratio };
    if (value.distinct !== undefined) return { kind: 'distinct', ...value.distinct };
    for (const kind of ['sum', 'avg', 'min', 'max', 'last', 'values', 'digits'] as const) {
      const field = value[kind];
      if (field !== undefined) return { kind, field };
    }
    // Only an unknown key stood there: zod goes on to the transform after it has told of one.
    return z.NEVER;
  });
