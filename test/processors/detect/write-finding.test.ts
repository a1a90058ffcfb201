import { expect, test } from 'vitest';
import { duration, findingId, measureName } from '../../../processors/detect/write-finding.ts';

test('durations are said as people say them', () => {
  expect([250, 1_000, 90_000, 600_000, 1_811_000, 5_400_000, 93_600_000, 172_800_000, 90_061_500].map(duration)).toEqual([
    '250ms',
    '1s',
    '1m 30s',
    '10m',
    '30m 11s',
    '1h 30m',
    '1d 2h',
    '2d',
    '1d 1h',
  ]);
});

test('an id is of rule, key and opening pane, and of nothing else', () => {
  expect(findingId('a', 'b', 1)).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set([findingId('a', 'b', 1), findingId('a', 'b', 2), findingId('a', 'c', 1), findingId('b', 'b', 1)]).size).toBe(4);
  // What would be the same text if the parts were only put one after the other.
  expect(findingId('ab', 'c', 1)).not.toBe(findingId('a', 'bc', 1));
});

test('a measure is named as in the rule', () => {
  expect(measureName({ kind: 'distinct', field: 'user.email' })).toBe('distinct(user.email)');
  expect(measureName({ kind: 'quantile', field: 'took', q: 0.999, sketch: 'tdigest' })).toBe('p99.9(took) by tdigest');
  expect(measureName({ kind: 'count' })).toBe('count');
});
