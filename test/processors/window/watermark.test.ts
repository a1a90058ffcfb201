import { expect, test } from 'vitest';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { Watermark } from '../../../processors/window/watermark.ts';

test('the pipeline is as far as the slowest partition that is waited for', () => {
  //  a: 10 ---- 50
  //  b:      20 ------- 60
  const watermark = new Watermark();
  const a = watermark.partition('logs/0');
  const b = watermark.partition('logs/1');
  watermark.observe(a, 10);
  expect(watermark.lowMs).toBe(Number.NEGATIVE_INFINITY);
  watermark.observe(b, 20);
  expect(watermark.lowMs).toBe(10);
  watermark.observe(a, 50);
  expect(watermark.lowMs).toBe(20);
  watermark.observe(b, 60);
  expect(watermark.lowMs).toBe(50);
  expect([watermark.startMs, watermark.highMs]).toEqual([10, 60]);
});

test('an older event moves nothing', () => {
  const watermark = new Watermark();
  const a = watermark.partition('logs/0');
  watermark.observe(a, 50);
  watermark.observe(a, 40);
  expect([watermark.newest(a), watermark.lowMs]).toEqual([50, 50]);
});

test('a tick passes an idle partition by, and it is waited for again from its next event', () => {
  const watermark = new Watermark();
  const a = watermark.partition('logs/0');
  const b = watermark.partition('logs/1');
  watermark.observe(a, 100);
  watermark.observe(b, 10);
  watermark.tick({ nowMs: 1_000, idle: ['logs/1'] });
  expect(watermark.lowMs).toBe(100);
  watermark.observe(b, 20);
  watermark.observe(a, 200);
  expect(watermark.lowMs, 'never back').toBe(100);
  watermark.observe(b, 150);
  expect(watermark.lowMs).toBe(150);
});

test('when every partition is idle, time follows the clock', () => {
  const watermark = new Watermark();
  watermark.observe(watermark.partition('logs/0'), 100);
  watermark.tick({ nowMs: 5_000, idle: ['logs/0'] });
  expect(watermark.lowMs).toBe(5_000);
});

test('a partition that was passed by is waited for again once somebody says that it may speak', () => {
  const watermark = new Watermark();
  const [a, b] = [watermark.partition('logs/0'), watermark.partition('logs/1')];
  watermark.observe(a, 1000);
  watermark.tick({ nowMs: 5000, idle: ['logs/0', 'logs/1'] });
  watermark.waitFor(b);
  watermark.observe(a, 9000);
  expect(watermark.lowMs).toBe(5000);
  watermark.observe(b, 6000);
  expect(watermark.lowMs).toBe(6000);
});

test('a partition that has ended is waited for no longer', () => {
  const watermark = new Watermark();
  const a = watermark.partition('one.log/0');
  const b = watermark.partition('two.log/0');
  watermark.observe(a, 10);
  watermark.observe(b, 90);
  watermark.end(a);
  expect(watermark.lowMs).toBe(90);
});

test('a snapshot carries partitions, their times and who is waited for', () => {
  const watermark = new Watermark();
  watermark.observe(watermark.partition('logs/0'), 10);
  watermark.observe(watermark.partition('logs/1'), 30);
  watermark.tick({ nowMs: 40, idle: ['logs/0'] });
  const writer = new SnapshotWriter();
  watermark.snapshot(writer);
  const restored = new Watermark();
  restored.restore(new SnapshotReader(writer.done()));
  expect(restored.lowMs).toBe(30);
  restored.observe(restored.partition('logs/1'), 50);
  expect(restored.lowMs).toBe(50);
  expect(restored.name(0)).toBe('logs/0');
});
