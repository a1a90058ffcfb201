import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetTracker, type Piece } from '../../../src/checkpoint/offset-tracker.ts';

test('only a finished prefix is given out, in whatever order work finishes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('a/0', 'a/1', 'b/0'), fc.integer({ min: 1, max: 50 })), { maxLength: 30 }),
      fc.infiniteStream(fc.nat()),
      (reads, picks) => {
        const tracker = new OffsetTracker();
        const next: Record<string, number> = {};
        const all: Piece[] = [];
        for (const [partition, length] of reads) {
          next[partition] = (next[partition] ?? 0) + length;
          all.push(tracker.begin(partition, next[partition]!));
        }
        const unfinished = [...all];
        while (unfinished.length > 0) {
          tracker.finish(unfinished.splice(picks.next().value! % unfinished.length, 1)[0]!);
          expect(tracker.committable()).toEqual(reference(all));
          expect(tracker.pending()).toBe(unfinished.length);
        }
        expect(tracker.committable()).toEqual(next);
      },
    ),
    { seed: 20261103, numRuns: 1000 },
  );
});

/** The plain reference: per partition, walk from the start until the first unfinished piece. */
function reference(all: readonly Piece[]): Record<string, number> {
  const result: Record<string, number> = {};
  const blocked = new Set<string>();
  for (const piece of all) {
    if (!piece.finished) blocked.add(piece.partition);
    if (!blocked.has(piece.partition)) result[piece.partition] = piece.nextOffset;
  }
  return result;
}

test('what was committed before stays until something later is finished', () => {
  const tracker = new OffsetTracker({ 'a/0': 5, 'b/0': 9 });
  const first = tracker.begin('a/0', 7);
  const second = tracker.begin('a/0', 8);
  tracker.finish(second);
  expect(tracker.committable()).toEqual({ 'a/0': 5, 'b/0': 9 });
  tracker.finish(first);
  expect(tracker.committable()).toEqual({ 'a/0': 8, 'b/0': 9 });
});

test('finishing twice is harmless', () => {
  const tracker = new OffsetTracker();
  const first = tracker.begin('a/0', 1);
  tracker.finish(first);
  const second = tracker.begin('a/0', 2);
  tracker.finish(first);
  expect(tracker.committable()).toEqual({ 'a/0': 1 });
  tracker.finish(second);
  expect(tracker.committable()).toEqual({ 'a/0': 2 });
});

test('a partition that went away is not committed, also when its work finishes later or it comes back', () => {
  const tracker = new OffsetTracker({ 'a/0': 5 });
  const gone = tracker.begin('a/0', 10);
  tracker.drop('a/0');
  tracker.finish(gone);
  expect(tracker.committable()).toEqual({});
  const back = tracker.begin('a/0', 7);
  tracker.finish(gone);
  expect(tracker.committable()).toEqual({});
  tracker.finish(back);
  expect(tracker.committable()).toEqual({ 'a/0': 7 });
});

test('a piece behind what was read already breaks an invariant', () => {
  const tracker = new OffsetTracker({ 'a/0': 5 });
  expect(() => tracker.begin('a/0', 4)).toThrow('a/0: a piece up to offset 4 came after one up to 5');
});
