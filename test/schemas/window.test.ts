import { expect, test } from 'vitest';
import { defaultSlideMs, window } from '../../schemas/window.ts';

for (const [sizeMs, slideMs] of [
  [600_000, 10_000],
  [60_000, 1000],
  [10_000, 1000],
  [90_000, 1500],
  [604_800_000, 10_080_000],
  [7000, 1000],
  [7500, 1250],
  [1500, 1500],
  [500, 500],
  [61_000, 61_000 / 50],
  [1_000_003, 1_000_003],
]) {
  test(`a window of ${sizeMs} ms slides by ${slideMs} ms`, () => {
    expect(defaultSlideMs(sizeMs)).toBe(slideMs);
  });
}

test('the default slide is the smallest divisor that is a sixtieth or more and a second or more', () => {
  for (let sizeMs = 1000; sizeMs < 200_000; sizeMs += 250) {
    let slide = Math.max(1000, Math.ceil(sizeMs / 60));
    while (sizeMs % slide !== 0) slide++;
    expect(defaultSlideMs(sizeMs), `${sizeMs}`).toBe(slide);
  }
});

test('a window may be a map; its lateness is left open where it says none', () => {
  expect(window.parse({ size: '10m', slide: '30s', lateness: '1m' })).toEqual({ sizeMs: 600_000, slideMs: 30_000, latenessMs: 60_000 });
  expect(window.parse({ size: '10m' })).toEqual({ sizeMs: 600_000, slideMs: 10_000, latenessMs: undefined });
});

test('more slides than a key can keep are refused', () => {
  expect(window.safeParse({ size: '7d', slide: '1s' }).success).toBe(false);
});
