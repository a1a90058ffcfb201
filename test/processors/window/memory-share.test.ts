import { expect, test } from 'vitest';
import { MemoryBudget } from '../../../processors/window/memory-share.ts';

const total = 1_600_000;

test('four fifths are split evenly, and the pool goes to whoever is short', () => {
  const budget = new MemoryBudget(total, 2);
  const [a, b] = [budget.share(), budget.share()];
  expect(a.limitBytes).toBe(640_000);
  for (let i = 0; i < 16; i++) expect(a.ask()).toBe(true);
  expect(a.limitBytes).toBe(640_000 + 320_000);
  expect(a.limitBytes).toBe(a.mostBytes);
  expect(a.ask()).toBe(false);
  expect(b.limitBytes).toBe(640_000);
});

test('a claim to the pool is given back by who has more than its own, once its bytes are freed', () => {
  const budget = new MemoryBudget(total, 2);
  const [a, b] = [budget.share(), budget.share()];
  while (a.ask());
  a.holds(960_000);
  expect(b.ask()).toBe(false);
  expect(a.limitBytes).toBe(940_000);
  expect(b.limitBytes).toBe(640_000);
  // Called back is not yet free.
  expect(b.ask()).toBe(false);
  a.holds(900_000);
  expect(b.ask()).toBe(true);
  expect(b.limitBytes).toBe(660_000);
});

test('no more than the claim is called back, and nothing of the own part', () => {
  const budget = new MemoryBudget(total, 2);
  const [a, b] = [budget.share(), budget.share()];
  while (a.ask());
  for (let i = 0; i < 100; i++) {
    b.ask();
    a.holds(Math.min(960_000, a.limitBytes));
    b.holds(b.limitBytes);
  }
  expect(a.limitBytes).toBe(800_000);
  expect(b.limitBytes).toBe(800_000);
  expect(a.limitBytes + b.limitBytes).toBe(total);
});

test('what a group does not need any more goes back by itself', () => {
  const budget = new MemoryBudget(total, 2);
  const [a, b] = [budget.share(), budget.share()];
  while (a.ask());
  a.holds(960_000);
  a.holds(100_000);
  expect(a.limitBytes).toBe(640_000);
  expect(b.ask()).toBe(true);
});
