import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMeasure } from '../../../processors/measure/create-measure.ts';
import { maxSummand } from '../../../processors/measure/sum.ts';
import type { MeasureSpec } from '../../../processors/rule.ts';
import { type LawEvent, matchOf, randomFrom, shuffled } from '../../contracts/measure-laws.ts';

interface WindowCase {
  id: number;
  function: string;
  arg: number | null;
  selector: string;
  window_s: number;
  at_s: number;
  series: Record<string, { step_s: number; values: (number | string | null)[] }>;
  expected: Record<string, string>;
}

const file = new URL('../../../../shared/data/windows/cases.ndjson', import.meta.url);
const there = existsSync(file);
if (!there) console.log(`skipped: the window cases of Prometheus, since there is no ${file.pathname}`);

/** Functions there is a measure for. */
function specOf({ function: name, arg }: WindowCase): MeasureSpec | undefined {
  switch (name) {
    case 'sum_over_time':
      return { kind: 'sum', field: 'f' };
    case 'avg_over_time':
      return { kind: 'avg', field: 'f' };
    case 'min_over_time':
      return { kind: 'min', field: 'f' };
    case 'max_over_time':
      return { kind: 'max', field: 'f' };
    case 'present_over_time':
    case 'absent_over_time':
      return { kind: 'count' };
    case 'quantile_over_time':
      return { kind: 'quantile', field: 'f', q: arg as number, sketch: 'tdigest' };
    default:
      return undefined;
  }
}

/** Why a case cannot be asked, undefined if it can. */
function reasonAgainst(each: WindowCase): string | undefined {
  if (specOf(each) === undefined) return 'there is no measure for it';
  if (each.function === 'quantile_over_time' && !(Number(each.arg) >= 0 && Number(each.arg) <= 1))
    return 'a quantile outside of 0 … 1 is refused';
  if (each.function === 'present_over_time' || each.function === 'absent_over_time') return undefined;
  const numbers = Object.values(seriesOf(each)).flatMap((samples) => samples.map(([, number]) => number));
  if (each.function === 'min_over_time' || each.function === 'max_over_time') {
    return numbers.some((number) => Math.abs(number) === Number.POSITIVE_INFINITY) ? 'infinite numbers are refused' : undefined;
  }
  if (numbers.some((number) => !Number.isFinite(number))) return 'numbers that are not finite are refused';
  if (each.function !== 'quantile_over_time' && numbers.some((number) => Math.abs(number) >= maxSummand))
    return 'numbers of 2^53 and more are refused';
  return undefined;
}

/** The samples in (at - window, at] of the series that the selector takes, as [time in ms, number]. */
function seriesOf(each: WindowCase): Record<string, [number, number][]> {
  const at = Math.round(each.at_s * 1000);
  const size = Math.round(each.window_s * 1000);
  const name = /^[a-zA-Z_:][\w:]*/.exec(each.selector)?.[0];
  const wanted = labelsOf(each.selector);
  const found: Record<string, [number, number][]> = {};
  for (const [full, { step_s: step, values }] of Object.entries(each.series)) {
    const labels = labelsOf(full);
    if (name !== undefined && /^[^{]*/.exec(full)?.[0] !== name) continue;
    if (wanted.some((label) => !labels.includes(label))) continue;
    const samples: [number, number][] = [];
    values.forEach((value, i) => {
      const time = Math.round(i * step * 1000);
      if (value !== null && time > at - size && time <= at) samples.push([time, typeof value === 'string' ? numberOf(value) : value]);
    });
    found[full] = samples;
  }
  return found;
}

function labelsOf(text: string): string[] {
  return [...(/\{(.*)\}/.exec(text)?.[1].matchAll(/\w+="(?:[^"\\]|\\.)*"/g) ?? [])].map(([label]) => label);
}

function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

/** The window's value: panes of a millisecond, fed in a random order, so that the edges of the window are those of the case. */
function answer(each: WindowCase, spec: MeasureSpec, samples: readonly [number, number][]): number {
  const at = Math.round(each.at_s * 1000);
  const size = Math.round(each.window_s * 1000);
  // Some windows begin before the epoch; panes are whole numbers from 0.
  const shift = 10_000_000;
  const measure = createMeasure(spec, { sizeMs: size, slideMs: 1, latenessMs: 0 });
  for (const [time, number] of shuffled(samples, randomFrom(each.id))) {
    const event: LawEvent = {
      slot: 0,
      pane: time + shift,
      arrival: 0,
      number,
      valueLow: 0,
      valueHigh: 0,
      counted: false,
      timeMs: time,
      partition: 0,
      offset: time,
    };
    measure.add(0, event.pane, matchOf(event));
  }
  for (const [time] of samples) measure.close(0, time + shift);
  return measure.value(0, at - size + 1 + shift, at + shift);
}

describe.skipIf(!there)('the window cases of Prometheus', () => {
  const cases: WindowCase[] = there
    ? readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  const asked = cases.filter((each) => reasonAgainst(each) === undefined);

  it('says which of the 119 can be asked', () => {
    const left = new Map<string, number>();
    for (const each of cases) {
      const reason = reasonAgainst(each);
      if (reason !== undefined) left.set(`${each.function}: ${reason}`, (left.get(`${each.function}: ${reason}`) ?? 0) + 1);
    }
    console.log(`window cases: ${asked.length} of ${cases.length} can be asked; not:`);
    for (const [why, count] of left) console.log(`  ${count} ${why}`);
    expect(cases.length).toBe(119);
    expect(asked.length).toBe(60);
  });

  it.each(asked.map((each) => [each.id, each.function, each] as const))('case %i: %s', (_id, name, each) => {
    const samplesOf = seriesOf(each);
    const answers = Object.entries(samplesOf).map(([full, samples]) => [full, answer(each, specOf(each) as MeasureSpec, samples)] as const);
    if (name === 'absent_over_time') {
      // 1 if no series has a sample; how its labels are made up is PromQL's business.
      expect(answers.every(([, count]) => Number.isNaN(count))).toBe(Object.keys(each.expected).length === 1);
      return;
    }
    const sorted = (labels: string) => `{${labelsOf(labels).sort().join(',')}}`;
    const found = new Map(answers.filter(([full]) => samplesOf[full].length > 0).map(([full, value]) => [sorted(full), value]));
    expect([...found.keys()].sort()).toEqual(Object.keys(each.expected).map(sorted).sort());
    for (const [key, text] of Object.entries(each.expected)) {
      const value = found.get(sorted(key)) as number;
      const expected = numberOf(text);
      if (name === 'present_over_time') expect(value > 0 ? 1 : 0).toBe(expected);
      else if (Number.isNaN(expected)) expect(value).toBeNaN();
      else expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-6 * Math.abs(expected));
    }
  });
});
