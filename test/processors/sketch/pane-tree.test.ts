import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type PaneParts, PaneTree } from '../../../processors/sketch/pane-tree.ts';
import { CentroidList } from '../../../processors/sketch/t-digest.ts';
import { randomFrom } from '../../contracts/measure-laws.ts';

const seed = 20261121;

/** Sorted numbers by pane; panes may be missing. */
type Panes = Map<number, number[]>;

function partsOf(panes: Panes, firstPane: number, lastPane: number): PaneParts {
  const there = [...panes.keys()].filter((pane) => pane >= firstPane && pane <= lastPane).sort((a, b) => a - b);
  const numbers = (part: number) => panes.get(there[part]) as number[];
  return {
    length: there.length,
    pane: (part) => there[part],
    count: (part) => numbers(part).length,
    append: (part, list) => {
      for (const number of numbers(part)) list.push(number, 1);
    },
  };
}

function windowOf(tree: PaneTree, panes: Panes, firstPane: number, lastPane: number): { mean: number; weight: number }[] {
  const list = new CentroidList();
  tree.append(0, partsOf(panes, firstPane, lastPane), firstPane, lastPane, list);
  list.sort();
  return Array.from({ length: list.length }, (_, i) => ({ mean: list.means[i], weight: list.weights[i] }));
}

function numbersOf(random: () => number, count: number): number[] {
  return Array.from({ length: count }, () => Math.fround(random() * 1000)).sort((a, b) => a - b);
}

it(`a window of kept nodes is the window put together anew: panes that came, grew and were forgotten leave no trace (seed ${seed})`, () => {
  const steps = fc.array(
    fc.record({
      panes: fc.integer({ min: 1, max: 5 }),
      count: fc.oneof(fc.nat(20), fc.nat(300)),
      grows: fc.boolean(),
      expires: fc.boolean(),
    }),
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5_000_000 }), (all, length, start) => {
      const random = randomFrom(start);
      const tree = new PaneTree();
      const panes: Panes = new Map();
      let pane = start;
      for (const { panes: by, count, grows, expires } of all) {
        pane += by;
        if (count > 0) panes.set(pane, numbersOf(random, count));
        const older = [...panes.keys()][Math.floor(random() * panes.size)];
        if (grows && older !== undefined) panes.set(older, [...(panes.get(older) as number[]), 2000]);
        const firstPane = pane - length + 1;
        if (expires) {
          tree.expire(0, firstPane);
          for (const old of panes.keys()) if (old < firstPane) panes.delete(old);
        }
        for (const first of [firstPane, pane - (length >> 1)]) {
          expect(windowOf(tree, panes, first, pane)).toEqual(windowOf(new PaneTree(), panes, first, pane));
        }
      }
    }),
    { seed, numRuns: 60 },
  );
});

it('of what it is told to have changed it keeps nothing, and gives back every byte', () => {
  const random = randomFrom(1);
  const tree = new PaneTree();
  const panes: Panes = new Map(Array.from({ length: 64 }, (_, pane) => [pane, numbersOf(random, 100)]));
  windowOf(tree, panes, 0, 63);
  const full = tree.bytes();
  expect(full).toBeGreaterThan(63 * 8 * 100);
  // As many numbers as before, so that only `changed` can tell.
  panes.set(17, numbersOf(random, 100));
  tree.changed(0, 17);
  expect(tree.bytes()).toBeLessThan(full);
  expect(windowOf(tree, panes, 0, 63)).toEqual(windowOf(new PaneTree(), panes, 0, 63));
  tree.expire(0, 64);
  expect(tree.bytes()).toBe(0);
});

it('a window of 60 panes in which one is new asks for a handful of parts', () => {
  const random = randomFrom(2);
  const tree = new PaneTree();
  const panes: Panes = new Map(Array.from({ length: 300 }, (_, pane) => [pane, numbersOf(random, 100)]));
  let asked = 0;
  for (let last = 60; last < 300; last++) {
    const parts = partsOf(panes, last - 59, last);
    const counted = (part: number, to: CentroidList) => {
      asked++;
      parts.append(part, to);
    };
    tree.append(0, { ...parts, append: counted }, last - 59, last, new CentroidList());
    tree.expire(0, last - 59);
  }
  expect(asked / 240).toBeLessThan(3);
});
