import { describe, expect, it } from 'vitest';
import { createMeasure } from '../../../processors/measure/create-measure.ts';
import type { Measure } from '../../../processors/measure/measure.ts';
import type { MeasureSpec } from '../../../processors/rule.ts';
import { SnapshotError, SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { describeMeasureLaws, type LawEvent, matchOf } from '../../contracts/measure-laws.ts';

const window = { sizeMs: 12_000, slideMs: 1000, latenessMs: 0 };
const make = (spec: MeasureSpec) => () => createMeasure(spec, window);

const event: LawEvent = {
  slot: 0,
  pane: 5,
  arrival: 5,
  number: 1,
  valueLow: 1,
  valueHigh: 1,
  counted: true,
  timeMs: 5000,
  partition: 0,
  offset: 0,
};

function fixedSum(events: readonly LawEvent[]): number {
  let whole = 0n;
  for (const { number } of events) {
    const floor = Math.floor(number);
    whole += BigInt(floor) * 2n ** 32n + BigInt(Math.round((number - floor) * 2 ** 32));
  }
  return Number(whole / 2n ** 32n) + Number(whole % 2n ** 32n) / 2 ** 32;
}

function newest(events: readonly LawEvent[]): number {
  const sorted = [...events].sort((a, b) => a.timeMs - b.timeMs || a.partition - b.partition || a.offset - b.offset);
  return sorted.at(-1)?.number ?? Number.NaN;
}

function plain(of: (numbers: number[]) => number): (events: readonly LawEvent[]) => number {
  return (events) => (events.length === 0 ? Number.NaN : of(events.map((each) => each.number)));
}

describe('measures that are a few numbers a pane', () => {
  const laws: { name: string; spec: MeasureSpec; reference(events: readonly LawEvent[]): number }[] = [
    { name: 'count', spec: { kind: 'count' }, reference: plain((numbers) => numbers.length) },
    { name: 'sum', spec: { kind: 'sum', field: 'f' }, reference: (events) => (events.length === 0 ? Number.NaN : fixedSum(events)) },
    { name: 'avg', spec: { kind: 'avg', field: 'f' }, reference: (events) => fixedSum(events) / events.length },
    { name: 'min', spec: { kind: 'min', field: 'f' }, reference: plain((numbers) => numbers.reduce((a, b) => Math.min(a, b))) },
    { name: 'max', spec: { kind: 'max', field: 'f' }, reference: plain((numbers) => numbers.reduce((a, b) => Math.max(a, b))) },
    { name: 'last', spec: { kind: 'last', field: 'f' }, reference: newest },
    {
      name: 'ratio',
      spec: { kind: 'ratio', of: { op: 'all', of: [] }, minCount: 10 },
      reference: (events) => (events.length < 10 ? Number.NaN : events.filter((each) => each.counted).length / events.length),
    },
  ];
  for (const { name, spec, reference } of laws) describeMeasureLaws({ name, windowPanes: 12, make: make(spec), reference });

  function valueAfter(measure: Measure, numbers: number[]): number {
    for (const number of numbers) measure.add(0, 5, matchOf({ ...event, number }));
    return measure.value(0, 0, 10);
  }

  it('a sum of a hundred durations of 0.4 ms in seconds is 0.04, within 2^-33 each', () => {
    const sum = valueAfter(make({ kind: 'sum', field: 'f' })(), new Array(100).fill(0.0004));
    expect(Math.abs(sum - 0.04)).toBeLessThan(100 * 2 ** -33);
  });

  it('a sum keeps whole numbers up to 2^53 exact, whatever lies between', () => {
    expect(valueAfter(make({ kind: 'sum', field: 'f' })(), [2 ** 52, -1e-20, 1, -(2 ** 52)])).toBe(1);
  });

  it.each(['sum', 'avg', 'min', 'max', 'last'] as const)('%s takes no number that is none', (kind) => {
    const measure = make({ kind, field: 'f' })();
    for (const number of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(measure.add(0, 5, matchOf({ ...event, number }))).toBe(false);
    }
    expect(measure.value(0, 0, 10)).toBeNaN();
    expect(measure.expire(0, 0)).toBe(true);
  });

  it('of 0 and -0 the order cannot show', () => {
    for (const kind of ['min', 'max'] as const) {
      expect(valueAfter(make({ kind, field: 'f' })(), [0, -0])).toBe(0);
      expect(valueAfter(make({ kind, field: 'f' })(), [-0, 0])).toBe(0);
    }
  });

  it('a sum may be announced early until a number is below zero, also after a restart', () => {
    const sum = make({ kind: 'sum', field: 'f' })();
    expect(valueAfter(sum, [3])).toBe(3);
    expect(sum.monotone).toBe(true);
    valueAfter(sum, [-1]);
    expect(sum.monotone).toBe(false);
    const out = new SnapshotWriter();
    sum.snapshot(out);
    const again = make({ kind: 'sum', field: 'f' })();
    again.restore(new SnapshotReader(out.done()));
    expect(again.monotone).toBe(false);
  });

  it('a snapshot of another measure is refused by name', () => {
    const out = new SnapshotWriter();
    make({ kind: 'min', field: 'f' })().snapshot(out);
    expect(() => make({ kind: 'max', field: 'f' })().restore(new SnapshotReader(out.done()))).toThrow(SnapshotError);
  });

  it('a measure that is not there yet is refused with a way on', () => {
    expect(make({ kind: 'values', field: 'f' })).toThrow('not there yet: use quantile');
  });
});
