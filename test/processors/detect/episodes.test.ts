import { expect, test } from 'vitest';
import { Episodes } from '../../../processors/detect/episodes.ts';

const windowMs = 600_000;
const slideMs = 10_000;
const up = (value: number) => ({ detector: 0, value, down: false });

test('it opens once, is updated on doubling, and closes after two quiet windows', () => {
  const episodes = new Episodes(windowMs, slideMs, 0);
  expect(episodes.fired(1, 1_000_000, up(21), false)).toBe('open');
  expect(episodes.get(1)?.openedMs).toBe(990_000);
  expect(episodes.fired(1, 1_010_000, up(41), false)).toBeUndefined();
  expect(episodes.fired(1, 1_020_000, up(42), false)).toBe('update');
  expect(episodes.fired(1, 1_030_000, up(50), false)).toBeUndefined();
  expect(episodes.quiet(1, 1_030_000 + 2 * windowMs - slideMs)).toBeUndefined();
  expect(episodes.quiet(1, 1_030_000 + 2 * windowMs)).toBe('close');
  expect(episodes.get(1)?.sequence).toBe(2);
});

test('a detector that looks down is updated on halving', () => {
  const episodes = new Episodes(windowMs, slideMs, 0);
  const down = (value: number) => ({ detector: 0, value, down: true });
  episodes.fired(1, 1_000_000, down(8), false);
  expect(episodes.fired(1, 1_010_000, down(5), false)).toBeUndefined();
  expect(episodes.fired(1, 1_020_000, down(4), false)).toBe('update');
});

test('a value that stays at zero is not news again and again', () => {
  const episodes = new Episodes(windowMs, slideMs, 0);
  episodes.fired(1, 1_000_000, up(0), false);
  expect(episodes.fired(1, 1_010_000, up(0), false)).toBeUndefined();
});

test('within the mute there is no second opening, after it there is', () => {
  const episodes = new Episodes(10_000, 1_000, 100_000);
  episodes.fired(1, 1_000_000, up(5), false);
  expect(episodes.quiet(1, 1_020_000)).toBe('close');
  episodes.forget(1);
  expect(episodes.holds(1, 1_020_000)).toBe(true);
  expect(episodes.fired(1, 1_099_000, up(9), false)).toBeUndefined();
  expect(episodes.fired(1, 1_100_000, up(9), false)).toBe('open');
});

test('an episode that never ends is closed after 24 hours', () => {
  const episodes = new Episodes(windowMs, slideMs, 0);
  episodes.fired(1, 1_000_000, up(5), false);
  expect(episodes.fired(1, 1_000_000 + 86_400_000 - slideMs, up(6), false)).toBe('close');
});

test('an early opening is told once, and confirmed by its close without a word', () => {
  const episodes = new Episodes(windowMs, slideMs, 0);
  expect(episodes.fired(1, 1_000_000, up(21), true)).toBe('open');
  expect(episodes.get(1)?.early).toBe(true);
  expect(episodes.fired(1, 1_000_000, up(80), true)).toBeUndefined();
  expect(episodes.fired(1, 1_000_000, up(22), false)).toBeUndefined();
});
