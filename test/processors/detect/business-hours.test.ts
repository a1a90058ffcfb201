import { expect, test } from 'vitest';
import { exposureMs, isDuring } from '../../../processors/detect/business-hours.ts';
import type { BusinessHours } from '../../../processors/rule.ts';

const hourMs = 3_600_000;
const weekdays: BusinessHours = { days: [1, 2, 3, 4, 5], startMinute: 12 * 60, endMinute: 22 * 60, zone: 'UTC' };
const at = (text: string) => Date.parse(text);

test('only the hours named count', () => {
  // Friday 2026-01-02 21:50 … Monday 2026-01-05 12:20
  expect(exposureMs(at('2026-01-02T21:50Z'), at('2026-01-05T12:20Z'), weekdays)).toBe(30 * 60_000);
  expect(exposureMs(at('2026-01-03T00:00Z'), at('2026-01-05T00:00Z'), weekdays)).toBe(0);
  expect(exposureMs(at('2026-01-05T13:00Z'), at('2026-01-05T14:30Z'), weekdays)).toBe(1.5 * hourMs);
});

test('without hours all of a span counts', () => {
  expect(exposureMs(5, 12, undefined)).toBe(7);
  expect(exposureMs(12, 5, undefined)).toBe(0);
});

test('the end is exclusive, the start is not', () => {
  expect(isDuring(at('2026-01-05T12:00Z'), weekdays)).toBe(true);
  expect(isDuring(at('2026-01-05T22:00Z'), weekdays)).toBe(false);
  expect(isDuring(at('2026-01-04T13:00Z'), weekdays)).toBe(false);
});

test('hours are those of the rule’s zone, also on the day the clocks change', () => {
  const london: BusinessHours = { days: [0, 1, 2, 3, 4, 5, 6], startMinute: 0, endMinute: 24 * 60, zone: 'Europe/London' };
  // 2026-03-29 has 23 hours in London, 2026-10-25 has 25: all of them are its own.
  expect(exposureMs(at('2026-03-29T00:00Z'), at('2026-03-29T23:00Z'), london)).toBe(23 * hourMs);
  const nine: BusinessHours = { days: [1], startMinute: 9 * 60, endMinute: 10 * 60, zone: 'America/New_York' };
  // Monday 2026-01-05, New York is at UTC-5; Monday 2026-07-06 at UTC-4.
  expect(isDuring(at('2026-01-05T14:30Z'), nine)).toBe(true);
  expect(isDuring(at('2026-01-05T13:30Z'), nine)).toBe(false);
  expect(isDuring(at('2026-07-06T13:30Z'), nine)).toBe(true);
});
