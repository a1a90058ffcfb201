import { expect, test } from 'vitest';
import { createMeasure } from '../../../processors/measure/create-measure.ts';
import type { Measure } from '../../../processors/measure/measure.ts';
import { randomFrom } from '../../contracts/measure-laws.ts';

const window = { sizeMs: 10_000, slideMs: 1_000, latenessMs: 0 };

test('the precision of a rule is the precision of its count, and the error it tells', () => {
  const errorOf = (measure: Measure) => {
    const random = randomFrom(1);
    for (let i = 0; i < 5_000; i++) {
      const [valueLow, valueHigh] = [random() * 2 ** 32, random() * 2 ** 32].map(Math.floor);
      measure.add(0, 1, { valueLow, valueHigh } as Parameters<Measure['add']>[2]);
    }
    measure.close(0, 1);
    return measure.valueError(0, 1, 1);
  };
  expect(errorOf(createMeasure({ kind: 'distinct', field: 'f' }, window))).toBeCloseTo(0.023, 3);
  expect(errorOf(createMeasure({ kind: 'distinct', field: 'f', precision: 14 }, window))).toBeCloseTo(0.0081, 4);
});
