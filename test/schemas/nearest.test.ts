import { expect, test } from 'vitest';
import { nearest } from '../../schemas/nearest.ts';

const names = ['contains', 'startswith', 'endswith', 'above', 'below', 're'];
for (const [name, expected] of [
  ['contians', 'contains'],
  ['startwith', 'startswith'],
  ['ends_with', 'endswith'],
  ['ABOVE', 'above'],
  ['rex', 're'],
  ['quantile', undefined],
  ['xy', undefined],
  ['', undefined],
] as const) {
  test(`nearest to "${name}" is ${expected ?? 'nothing'}`, () => {
    expect(nearest(name, names)).toBe(expected);
  });
}
