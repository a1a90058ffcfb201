import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameDedupe } from '../../../../src/source/drain/frame-dedupe.ts';

async function isKnown(dedupe: FrameDedupe, batch: string, nowMs: number): Promise<boolean> {
  const first = dedupe.claim(batch, nowMs);
  if (first !== undefined) return first;
  dedupe.settle(batch, false, nowMs);
  return false;
}

test('knows what came within its window, and no more of it than it may', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(12), fc.nat(40)), { maxLength: 200 }),
      fc.integer({ min: 1, max: 10 }),
      async (steps, most) => {
        const dedupe = new FrameDedupe(100, most);
        let expected: [batch: string, atMs: number][] = [];
        let evicted = 0;
        let nowMs = 0;
        for (const [batch, later] of steps) {
          nowMs += later;
          dedupe.remember(String(batch), nowMs);
          expected = [...expected.filter(([each]) => each !== String(batch)), [String(batch), nowMs]];
          expected = expected.filter(([, atMs]) => nowMs - atMs < 100);
          evicted += Math.max(0, expected.length - most);
          expected = expected.slice(-most);
          expect(dedupe.size).toBe(expected.length);
        }
        expect(dedupe.evicted).toBe(evicted);
        for (let batch = 0; batch <= 12; batch++) {
          expect(await isKnown(dedupe, String(batch), nowMs)).toBe(expected.some(([each]) => each === String(batch)));
        }
      },
    ),
    { seed: 20261121, numRuns: 200 },
  );
});

test('costs the same however long it has been full', () => {
  const dedupe = new FrameDedupe(60_000, 50_000);
  let batches = 0;
  const round = (): number => {
    const start = performance.now();
    for (let i = 0; i < 20_000; i++) dedupe.remember(`batch ${batches++}`, batches / 10_000);
    return performance.now() - start;
  };
  const filling = [round(), round()];
  const full = Array.from({ length: 9 }, round).sort((a, b) => a - b);
  expect(dedupe.size).toBe(50_000);
  // The median: fifty times and more when the oldest was looked for in the map.
  expect(full[4]).toBeLessThan(8 * Math.max(...filling, 5));
});
