import { expect, test } from 'vitest';
import { inSlices } from '../../src/in-slices.ts';

/** Takes a while in each slice. */
function* busy(slices: number): Generator<void, number> {
  for (let slice = 0; slice < slices; slice++) {
    const endMs = performance.now() + 6;
    while (performance.now() < endMs);
    yield;
  }
  return slices;
}

test('calls that follow each other at once let the event loop turn in between', async () => {
  let turns = 0;
  let running = true;
  const turn = () => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  for (let call = 0; call < 10; call++) expect(await inSlices(busy(1))).toBe(1);
  running = false;
  // Each call but the first finds that the one before took longer than a slice.
  expect(turns).toBeGreaterThanOrEqual(9);
});

test('work that pauses lets the event loop turn between slices that took long enough', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await inSlices(busy(10));
  clearInterval(timer);
  expect(turns).toBeGreaterThanOrEqual(8);
});
