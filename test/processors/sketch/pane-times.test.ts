import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PaneTable } from '../../../processors/measure/pane-table.ts';
import { mostTimes, PaneTimes } from '../../../processors/sketch/pane-times.ts';
import { Slab } from '../../../processors/sketch/slab.ts';

const seed = 20261121;
const someTimes = fc.array(fc.oneof(fc.nat(50), fc.nat(2 ** 31), fc.constant(2 ** 32 - 1)), { minLength: 1, maxLength: 600 });

function keptOf(times: PaneTimes, entry: number): number[] {
  const out = new Uint32Array(mostTimes);
  return [...out.subarray(0, times.copy(entry, out))];
}

it(`a pane keeps its newest 128 times, whatever order they come in (seed ${seed})`, () => {
  fc.assert(
    fc.property(someTimes, fc.boolean(), (added, sorted) => {
      const slab = new Slab();
      const times = new PaneTimes(slab);
      const table = new PaneTable(slab, 2);
      if (sorted) added.sort((a, b) => a - b);
      for (const time of added) times.add(table.ensure(0, 7), time);
      const newest = [...added].sort((a, b) => a - b).slice(-mostTimes);
      expect(keptOf(times, table.ensure(0, 7))).toEqual(newest);
      expect(times.kept(table.ensure(0, 7))).toBe(newest.length);
    }),
    { seed, numRuns: 300 },
  );
});

it(`the oldest can be dropped, and more can come after that (seed ${seed})`, () => {
  fc.assert(
    fc.property(someTimes, fc.nat(mostTimes), someTimes, (added, dropped, more) => {
      const slab = new Slab();
      const times = new PaneTimes(slab);
      const table = new PaneTable(slab, 2);
      for (const time of added) times.add(table.ensure(0, 7), time);
      const newest = [...added].sort((a, b) => a - b).slice(-mostTimes);
      times.dropOldest(table.ensure(0, 7), dropped, new Uint32Array(mostTimes));
      expect(keptOf(times, table.ensure(0, 7))).toEqual(newest.slice(dropped));
      for (const time of more) times.add(table.ensure(0, 7), time);
      const all = [...newest.slice(dropped), ...more].sort((a, b) => a - b).slice(-mostTimes);
      expect(keptOf(times, table.ensure(0, 7))).toEqual(all);
    }),
    { seed, numRuns: 300 },
  );
});
