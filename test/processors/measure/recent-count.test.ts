import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exactCount, RecentCount } from '../../../processors/measure/recent-count.ts';
import { describeMeasureLaws, type LawEvent, matchOf, randomFrom, shuffled } from '../../contracts/measure-laws.ts';

const windowPanes = 12;
const slideMs = 1000;
const sizeMs = windowPanes * slideMs;
const seed = 20261121;

/** The largest number of times in any [start, start + size) that ends with a match of the last pane, or with the pane if it has none. */
function largestWindow(timesMs: readonly number[], lastPane: number): number {
  const paneMs = lastPane * slideMs;
  const inPane = timesMs.filter((time) => time >= paneMs);
  const ends = inPane.length > 0 ? inPane : [paneMs + slideMs - 1];
  return Math.max(...ends.map((end) => timesMs.filter((time) => time <= end && time > end - sizeMs).length));
}

function reference(events: readonly LawEvent[], lastPane: number): number {
  const times = events.map(({ timeMs }) => timeMs);
  const ofPanes = times.filter((time) => time >= (lastPane + 1) * slideMs - sizeMs).length;
  if (ofPanes === 0) return Number.NaN;
  const largest = largestWindow(times, lastPane);
  return largest <= exactCount ? largest : Math.max(ofPanes, exactCount + 1);
}

function eventAt(timeMs: number): LawEvent {
  const pane = Math.floor(timeMs / slideMs);
  return { slot: 0, pane, arrival: pane, number: 1, valueLow: 0, valueHigh: 0, counted: false, timeMs, partition: 0, offset: 0 };
}

/** Values at the close of each pane that holds a time, all times having come before in any order. */
function valuesOf(timesMs: readonly number[], arrivals: readonly number[] = timesMs): number[] {
  const measure = new RecentCount(slideMs);
  for (const time of arrivals) measure.add(0, Math.floor(time / slideMs), matchOf(eventAt(time)));
  const panes = [...new Set(timesMs.map((time) => Math.floor(time / slideMs)))].sort((a, b) => a - b);
  return panes.map((pane) => {
    measure.close(0, pane);
    const value = measure.value(0, pane - windowPanes + 1, pane);
    measure.expire(0, pane - windowPanes + 1);
    return value;
  });
}

describe('a count on real time', () => {
  describeMeasureLaws({ name: 'recent count', windowPanes, reach: 1, make: () => new RecentCount(slideMs), reference });

  it(`is above n at a close exactly when a plain list has n + 1 matches in less than a window, for every n up to 127 (seed ${seed})`, () => {
    const gaps = fc.array(fc.oneof(fc.nat(300), fc.nat(3000), fc.nat(30_000), fc.constantFrom(0, 1, slideMs, sizeMs - 1, sizeMs)), {
      minLength: 1,
      maxLength: 400,
    });
    fc.assert(
      fc.property(gaps, fc.nat(), (steps, order) => {
        let now = 1_000_000;
        const times = steps.map((step) => (now += step));
        const values = valuesOf(times, shuffled(times, randomFrom(order)));
        // n + 1 in a row within less than a window, the straightest way to say it.
        const widest = Math.max(...values);
        for (let n = 1; n < exactCount; n++) {
          const some = times.some((time, i) => i + n < times.length && times[i + n] - time < sizeMs);
          expect(widest > n).toBe(some);
        }
      }),
      { seed, numRuns: 150 },
    );
  });

  it('sees a burst of five that fills a window but for a millisecond, wherever it lies to the panes', () => {
    //   |----|----|- … -|----|----|     12 panes of 1 s; the burst lies in 13 of them unless it begins with one
    //     x     x    x    x     x
    for (let shift = 0; shift < slideMs; shift++) {
      const times = [0, 3000, 6000, 9000, sizeMs - 1].map((time) => 50_000 + shift + time);
      expect(Math.max(...valuesOf(times))).toBe(5);
      times[4]++;
      expect(Math.max(...valuesOf(times))).toBe(4);
    }
  });

  it('keeps 256 times of a key at most, however many come', () => {
    const measure = new RecentCount(slideMs);
    for (let pane = 1; pane <= 200; pane++) {
      for (let i = 0; i < 1000; i++) measure.add(0, pane, matchOf(eventAt(pane * slideMs + i)));
      measure.close(0, pane);
      measure.expire(0, pane - windowPanes);
    }
    // 16 entries of 16 bytes, blocks of 512 for three panes (one open), and what smaller blocks were left on the way there.
    expect(measure.bytes()).toBeLessThanOrEqual(8192);
    expect(measure.value(0, 200 - windowPanes + 1, 200)).toBe(12_000);
  });

  it('tells of an open pane what its close will tell', () => {
    const random = randomFrom(5);
    const measure = new RecentCount(slideMs);
    for (let pane = 1; pane <= 60; pane++) {
      const count = Math.floor(random() * 20);
      for (let i = 0; i < count; i++) measure.add(0, pane, matchOf(eventAt(pane * slideMs + Math.floor(random() * slideMs))));
      const before = measure.value(0, pane - windowPanes + 1, pane);
      measure.close(0, pane);
      expect(measure.value(0, pane - windowPanes + 1, pane)).toBe(before);
    }
  });

  it('refuses panes too long for a time of 32 bits', () => {
    expect(() => new RecentCount(2 ** 32 + 1)).toThrow('too long to keep times in');
  });
});
