import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CountMin, cellLimit } from '../../../processors/sketch/count-min.ts';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';

const seed = 20260107;

/** Keys are few and the sketch is narrow, so that cells collide all the time. */
const keys = fc.record({ low: fc.nat(40), high: fc.nat(5) });
const steps = fc.array(fc.record({ key: keys, advance: fc.constantFrom(0, 0, 0, 0, 1, 2) }), { maxLength: 300 });

function restored(sketch: CountMin): CountMin {
  const out = new SnapshotWriter();
  sketch.snapshot(out);
  return CountMin.restore(new SnapshotReader(out.done().slice()));
}

describe('a count-min sketch', () => {
  test(`never under-estimates what came in this generation and the one before (seed ${seed})`, () => {
    fc.assert(
      fc.property(steps, (all) => {
        const sketch = new CountMin(8, 5);
        const exact = [new Map<string, number>(), new Map<string, number>()];
        for (const { key, advance } of all) {
          for (let i = 0; i < advance; i++) exact.unshift(new Map());
          sketch.advance(sketch.generation + advance);
          const name = `${key.low} ${key.high}`;
          exact[0].set(name, (exact[0].get(name) ?? 0) + 1);
          const estimate = sketch.add(key.low, key.high);
          expect(estimate).toBe(sketch.estimate(key.low, key.high));
          for (const [present] of new Map([...exact[1], ...exact[0]])) {
            const [low, high] = present.split(' ').map(Number);
            const count = (exact[0].get(present) ?? 0) + (exact[1].get(present) ?? 0);
            expect(sketch.estimate(low, high)).toBeGreaterThanOrEqual(count);
          }
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test(`goes on from a snapshot as if nothing had been (seed ${seed})`, () => {
    fc.assert(
      fc.property(steps, fc.nat(300), (all, at) => {
        const whole = new CountMin(16, 0);
        let cut = new CountMin(16, 0);
        all.forEach(({ key, advance }, index) => {
          if (index === at) cut = restored(cut);
          for (const sketch of [whole, cut]) sketch.advance(sketch.generation + advance);
          expect(cut.add(key.low, key.high)).toBe(whole.add(key.low, key.high));
        });
      }),
      { seed, numRuns: 60 },
    );
  });

  test('is exact where nothing collides, and forgets two generations on', () => {
    const sketch = new CountMin(2 ** 16, 7);
    for (let i = 0; i < 9; i++) sketch.add(123, 456);
    expect(sketch.estimate(123, 456)).toBe(9);
    expect(sketch.estimate(124, 456)).toBe(0);
    sketch.advance(8);
    expect(sketch.add(123, 456)).toBe(10);
    sketch.advance(9);
    expect(sketch.estimate(123, 456)).toBe(1);
    sketch.advance(11);
    expect(sketch.estimate(123, 456)).toBe(0);
    sketch.advance(3);
    expect(sketch.generation).toBe(11);
  });

  test('stops counting a generation at 255', () => {
    const sketch = new CountMin(256, 0);
    for (let i = 0; i < 1000; i++) sketch.add(1, 2);
    expect(sketch.estimate(1, 2)).toBe(cellLimit);
    sketch.advance(1);
    expect(sketch.add(1, 2)).toBe(cellLimit + 1);
  });

  test('knows a key by what it is told of it, and no less than it counted', () => {
    const sketch = new CountMin(256, 0);
    sketch.add(1, 2);
    sketch.raise(1, 2, 40);
    expect(sketch.estimate(1, 2)).toBe(40);
    sketch.raise(1, 2, 3);
    expect(sketch.estimate(1, 2)).toBe(40);
  });

  test('refuses a width that is no power of two, and a snapshot of another size', () => {
    expect(() => new CountMin(1000, 0)).toThrow('width of 1000');
    const out = new SnapshotWriter();
    out.section('count-min');
    out.u32(16);
    out.f64(0);
    out.array(new Uint8Array(8));
    out.array(new Uint8Array(64));
    expect(() => CountMin.restore(new SnapshotReader(out.done()))).toThrow('width 16');
  });
});
