import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PanePeaks } from '../../../processors/measure/pane-peaks.ts';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';

const seed = 20261121;

/** Panes of a few generations, and of generations that look alike when only their last 8 bits are kept. */
const pane = fc
  .tuple(fc.nat(59), fc.constantFrom(0, 0, 0, 1, 2, 126, 127, 128, 129, 130, 254, 255, 256, 257, 384, 512))
  .map(([near, far]) => 30_000_000 + near + far * 10);
const number = fc.oneof(
  fc.double({ min: -10, max: 1e6, noNaN: true }),
  fc.constantFrom(0, 1e-30, 1e30, 1, 2, 3.999, Number.POSITIVE_INFINITY),
);
const steps = fc.array(fc.record({ pane, value: number, act: fc.constantFrom('note', 'note', 'note', 'restart', 'longer', 'forget') }), {
  maxLength: 60,
});

function restarted(peaks: PanePeaks, panesPerGeneration: number): PanePeaks {
  const out = new SnapshotWriter();
  peaks.snapshot(out);
  const copy = new PanePeaks(panesPerGeneration);
  copy.restore(new SnapshotReader(out.done().slice()));
  return copy;
}

test(`no number of a window is above the bound, whatever came when (seed ${seed})`, () => {
  fc.assert(
    fc.property(steps, (acts) => {
      let panes = 10;
      let peaks = new PanePeaks(panes);
      let noted: { pane: number; value: number }[] = [];
      for (const { pane, value, act } of acts) {
        if (act === 'note') {
          const kept = Math.fround(value);
          peaks.note(3, pane, kept);
          noted.push({ pane, value: kept });
        } else if (act === 'forget') {
          peaks.forget(3);
          noted = [];
        } else {
          panes = act === 'longer' ? 27 - panes : panes;
          peaks = restarted(peaks, panes);
        }
        const bound = peaks.atMost(3, pane);
        // A window is not longer than a generation; what lies further ahead may be left out of the bound, but is not here.
        for (const each of noted) if (each.pane >= pane && each.pane < pane + 10) expect(bound).toBeGreaterThanOrEqual(each.value);
      }
    }),
    { seed, numRuns: 10000 },
  );
});

test('the bound is within a fifth, and forgets what left', () => {
  const peaks = new PanePeaks(10);
  peaks.note(0, 1_000, 100);
  peaks.note(0, 1_010, 3);
  expect(peaks.atMost(0, 1_005)).toBeGreaterThanOrEqual(100);
  expect(peaks.atMost(0, 1_005)).toBeLessThanOrEqual(120);
  expect(peaks.atMost(0, 1_010)).toBeLessThanOrEqual(3.6);
  peaks.note(0, 1_021, 1);
  expect(peaks.atMost(0, 1_012)).toBeLessThanOrEqual(3.6);
  expect(peaks.atMost(0, 1_021)).toBe(1);
});
