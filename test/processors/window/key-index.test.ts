import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { KeyIndex } from '../../../processors/window/key-index.ts';

const seed = 20260101;

/** Few distinct low halves, so that probe chains are long and wrap around the table's end. */
const commands = fc.array(
  fc.record({
    insert: fc.boolean(),
    low: fc.constantFrom(0, 1, 62, 63, 64, 127, 0xffffffff),
    high: fc.oneof(fc.nat(40), fc.constant(0xffffffff)),
  }),
  {
    maxLength: 400,
  },
);

test(`the index agrees with a plain Map under any inserts and removals (seed ${seed})`, () => {
  fc.assert(
    fc.property(commands, (steps) => {
      const index = new KeyIndex();
      const reference = new Map<string, number>();
      for (const { insert, low, high } of steps) {
        const name = `${low}:${high}`;
        expect(index.find(low, high)).toBe(reference.get(name) ?? -1);
        const slot = reference.get(name);
        if (insert && slot === undefined) reference.set(name, index.insert(low, high, name));
        if (!insert && slot !== undefined) {
          index.remove(slot);
          reference.delete(name);
        }
      }
      expect(index.size).toBe(reference.size);
      expect(new Set(reference.values()).size).toBe(reference.size);
      const writer = new SnapshotWriter();
      index.snapshot(writer);
      const restored = new KeyIndex();
      restored.restore(new SnapshotReader(writer.done()));
      for (const [name, slot] of reference) {
        const [low, high] = name.split(':').map(Number);
        for (const each of [index, restored]) {
          expect(each.find(low, high)).toBe(slot);
          expect(each.text(slot)).toBe(name);
        }
      }
    }),
    { seed, numRuns: 300 },
  );
});

test('text outlives the growth and the packing of its arena', () => {
  const index = new KeyIndex();
  const live = new Map<number, string>();
  for (let i = 0; i < 20_000; i++) {
    const text = `key-${i}-${'é'.repeat(i % 7)}`;
    live.set(index.insert(i, i * 7, text), text);
    if (i % 3 !== 0) {
      const [oldest] = live.keys();
      index.remove(oldest);
      live.delete(oldest);
    }
  }
  for (const [slot, text] of live) expect(index.text(slot)).toBe(text);
  expect(index.bytes()).toBeLessThan(2_500_000);
});
