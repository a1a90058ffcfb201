import { describe, expect, it } from 'vitest';
import { Distinct } from '../../../processors/measure/distinct.ts';
import { describeMeasureLaws, type LawEvent, matchOf, randomFrom } from '../../contracts/measure-laws.ts';

const windowPanes = 12;

function distinctOf(events: readonly LawEvent[]): number {
  return new Set(events.map((event) => event.valueLow)).size || Number.NaN;
}

function eventOf(pane: number, valueLow: number, valueHigh: number): LawEvent {
  return { slot: 0, pane, arrival: pane, number: 1, valueLow, valueHigh, counted: false, timeMs: 0, partition: 0, offset: 0 };
}

describe('distinct', () => {
  for (const precision of [10, 11, 14]) {
    describeMeasureLaws({
      name: `distinct p=${precision}`,
      windowPanes,
      make: () => new Distinct(windowPanes, precision),
      reference: distinctOf,
    });
  }

  it('is exact at 256 values, an estimate from 257 on, and exact again after a whole window without the key', () => {
    const random = randomFrom(1);
    const measure = new Distinct(windowPanes);
    const add = (pane: number, count: number) => {
      for (let i = 0; i < count; i++) measure.add(0, pane, matchOf(eventOf(pane, random() * 2 ** 32, random() * 2 ** 32)));
      measure.close(0, pane);
    };
    add(1, 200);
    add(2, 56);
    expect(measure.value(0, -9, 2)).toBe(256);
    expect(measure.valueError(0, -9, 2)).toBe(0);
    add(3, 1);
    expect(measure.valueError(0, -8, 3)).toBeCloseTo(0.02296, 4);
    expect(measure.value(0, -8, 3)).toBeGreaterThan(240);
    expect(measure.value(0, -8, 3)).toBeLessThan(275);
    add(14, 3);
    expect(measure.valueError(0, 3, 14)).toBeGreaterThan(0);
    add(26, 3);
    expect(measure.value(0, 15, 26)).toBe(3);
    expect(measure.valueError(0, 15, 26)).toBe(0);
  });

  it('over 200 sets the relative error has the size it states, with hardly any bias', () => {
    const n = 20_000;
    const match = matchOf(eventOf(0, 0, 0));
    let squares = 0;
    let bias = 0;
    for (let seed = 0; seed < 200; seed++) {
      const random = randomFrom(seed * 1_000_003);
      const measure = new Distinct(windowPanes);
      for (let i = 0; i < n; i++) {
        match.valueLow = Math.floor(random() * 2 ** 32);
        match.valueHigh = Math.floor(random() * 2 ** 32);
        measure.add(0, 1 + Math.floor(random() * windowPanes), match);
      }
      for (let pane = 1; pane <= windowPanes; pane++) measure.close(0, pane);
      const error = measure.value(0, 1, windowPanes) / n - 1;
      squares += error * error;
      bias += error;
    }
    const rmse = Math.sqrt(squares / 200);
    expect(Math.abs(bias / 200)).toBeLessThan(0.005);
    expect(rmse).toBeGreaterThan(0.023 * 0.8);
    expect(rmse).toBeLessThan(0.023 * 1.12);
  });

  it('with panes still open gives what their close will give', () => {
    const random = randomFrom(9);
    for (const count of [3, 200, 400, 3000]) {
      const measure = new Distinct(windowPanes);
      for (let pane = 1; pane <= 6; pane++) {
        for (let i = 0; i < count / 6; i++) measure.add(0, pane, matchOf(eventOf(pane, random() * 2 ** 32, random() * 2 ** 32)));
        const before = measure.value(0, pane - windowPanes + 1, pane);
        measure.close(0, pane);
        expect(measure.value(0, pane - windowPanes + 1, pane)).toBe(before);
      }
    }
  });

  it.each([3, 400])('a pane that opens again after later ones closed (a tick passed it by) still counts, %i values a pane', (count) => {
    const measures = [new Distinct(windowPanes), new Distinct(windowPanes)];
    const valuesOf = (pane: number, part: number) =>
      Array.from({ length: count }, (_, i) => eventOf(pane, pane * 100_003 + i * 7919, part * 31 + i * 104_729));
    for (let pane = 1; pane <= 8; pane++) {
      for (const event of valuesOf(pane, 1)) for (const measure of measures) measure.add(0, pane, matchOf(event));
      if (pane === 3) for (const event of valuesOf(pane, 2)) measures[0].add(0, pane, matchOf(event));
      for (const measure of measures) measure.close(0, pane);
    }
    for (const event of valuesOf(3, 2)) measures[1].add(0, 3, matchOf(event));
    measures[1].close(0, 8);
    for (let first = 1; first <= 8; first++) expect(measures[1].value(0, first, 8)).toBe(measures[0].value(0, first, 8));
  });

  it('refuses a precision or a window that its registers cannot hold', () => {
    expect(() => new Distinct(60, 9)).toThrow('expected a whole number from 10 to 14');
    expect(() => new Distinct(5000, 14)).toThrow('use a longer slide');
  });
});
