/** Zipf keys and values through the real windows of one rule, without bytes to decode: what state alone costs. */
import type { Match } from '../../processors/match/match.ts';
import { createMeasure } from '../../processors/measure/create-measure.ts';
import type { Measure } from '../../processors/measure/measure.ts';
import type { MeasureSpec } from '../../processors/rule.ts';
import { Interest, type WindowJudge } from '../../processors/window/closed-window.ts';
import { KeyedWindows } from '../../processors/window/keyed-windows.ts';
import { randomOf, zipf } from './lines.ts';

export const slideMs = 1_000;
export const valueCount = 500_000;
export const zipfExponent = 1.05;

export const measureSpecs: Readonly<Record<'distinct' | 'histogram' | 'tdigest', MeasureSpec>> = {
  distinct: { kind: 'distinct', field: 'f' },
  histogram: { kind: 'quantile', field: 'f', q: 0.99, sketch: 'histogram' },
  tdigest: { kind: 'quantile', field: 'f', q: 0.99, sketch: 'tdigest' },
};

/** Looks at every value and finds nothing. */
const judge: WindowJudge = { quietBelow: Number.NEGATIVE_INFINITY, judge: () => Interest.none, release: () => {} };

/** Windows of one rule, and the measure they hold their values in. */
export function windowsOf(spec: MeasureSpec, windowPanes: number): { windows: KeyedWindows; measure: Measure } {
  const measure = createMeasure(spec, { sizeMs: windowPanes * slideMs, slideMs, latenessMs: 0 });
  const view = { panesPerWindow: windowPanes, judge, quietKeys: 'none' as const, early: false };
  return { windows: new KeyedWindows({ slideMs, latenessMs: 0 }, measure, [view]), measure };
}

export function closeAll(windows: KeyedWindows, lowMs: number): void {
  while (windows.nextDueMs <= lowMs) for (const _ of windows.closeNext());
}

/** A match whose fields a load sets: the decoder's part of it is never read. */
export function blankMatch(): Match {
  const unread = { events: undefined as unknown as Match['events'], row: 0 };
  const place = { partition: 0, partitionHash: 1, offset: 0, sampleHash: 0 };
  return { group: 0, timeMs: 0, keyLow: 0, keyHigh: 0, number: 1, valueLow: 0, valueHigh: 0, counted: false, ...place, ...unread };
}

/** 64 bits that are different for different numbers, spread as a hash spreads them (the finaliser of MurmurHash3: Appleby, 2011). */
export function spreadBits(number: number): number {
  let x = number | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * Panes 1 … 2 x windowPanes with `updates` in all, closed as they pass. Key text is empty, so that what it takes (it depends on the
 * keys) is not in the figures.
 */
export function runZipfLoad(windows: KeyedWindows, windowPanes: number, keys: number, updates: number): void {
  const random = randomOf(42);
  const nextKey = zipf(keys, zipfExponent, random);
  const panes = 2 * windowPanes;
  const perPane = Math.floor(updates / panes);
  const match = blankMatch();
  const noText = { text: () => '' };
  for (let pane = 1; pane <= panes; pane++) {
    for (let i = 0; i < perPane; i++) {
      const key = nextKey();
      const value = Math.floor(random() * valueCount);
      match.timeMs = pane * slideMs + Math.floor((i * slideMs) / perPane);
      match.keyLow = spreadBits(key);
      match.keyHigh = spreadBits(key ^ 0x5bd1e995);
      match.valueLow = spreadBits(value);
      match.valueHigh = spreadBits(value ^ 0x5bd1e995);
      match.number = Math.exp(3.9 + 4 * (value / valueCount - 0.5));
      match.offset++;
      match.sampleHash = spreadBits(match.offset);
      if (windows.add(match, noText) < 0) throw new Error(`update ${i} of pane ${pane} was refused`);
    }
    closeAll(windows, (pane + 1) * slideMs);
  }
}
