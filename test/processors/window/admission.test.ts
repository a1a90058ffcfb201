import { beforeEach, describe, expect, test } from 'vitest';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { Admission } from '../../../processors/window/admission.ts';
import { Interest, type WindowJudge } from '../../../processors/window/closed-window.ts';
import { KeyIndex } from '../../../processors/window/key-index.ts';
import { SlotColumns } from '../../../processors/window/slot-columns.ts';
import { View } from '../../../processors/window/view.ts';

const judge: WindowJudge = { quietBelow: Number.NEGATIVE_INFINITY, judge: () => Interest.none, release: () => {} };
const windowPanes = 10;
const pane = 1_000;
const held = 12;

let keys: KeyIndex;
let columns: SlotColumns;
let view: View;
let admission: Admission;

function made(): Admission {
  return new Admission({ keys, columns, views: [view], windowPanes, generationPanes: windowPanes, mostBytes: 64_000 });
}

/** The estimate of a newcomer that asks for the n-th time, and whose place it gets. */
function asked(times: number, low = 0xabcdef, at = pane) {
  for (let i = 1; i < times; i++) admission.ask(low, 99, at);
  return { ...admission.ask(low, 99, at) };
}

beforeEach(() => {
  keys = new KeyIndex();
  columns = new SlotColumns();
  view = new View({ panesPerWindow: windowPanes, judge, quietKeys: 'none', early: false });
  admission = made();
  for (let slot = 0; slot < held; slot++) {
    expect(keys.insert(slot + 1, 7, `key ${slot}`)).toBe(slot);
    columns.clear(slot);
    columns.touch(slot, pane, slot, windowPanes);
    // Slot 5 has come least, 20 times.
    columns.begin(slot, slot === 5 ? 20 : 30 + slot);
  }
});

describe('a newcomer without room', () => {
  test('is only counted until it has come three times', () => {
    expect(asked(1)).toEqual({ estimate: 1, victim: -1, hidden: 2 });
    expect(asked(1)).toEqual({ estimate: 2, victim: -1, hidden: 2 });
    expect(asked(1)).toEqual({ estimate: 3, victim: -1, hidden: 20 });
  });

  test('gets the place of the least-counted key once it has come more often', () => {
    expect(asked(20).victim).toBe(-1);
    expect(asked(1)).toMatchObject({ estimate: 21, victim: 5 });
  });

  test('gets the place of an idle key as soon as it has come three times', () => {
    expect(asked(3, 0xabcdef, pane + windowPanes - 1).victim).toBe(-1);
    expect(asked(3, 0x123456, pane + windowPanes).victim).not.toBe(-1);
  });

  test('never gets the place of a key that is watched, however often it comes', () => {
    view.watched.add(5);
    expect(asked(31).victim).toBe(0);
    for (let slot = 0; slot < held; slot++) view.watched.add(slot);
    expect(asked(200)).toMatchObject({ victim: -1 });
  });

  test('of equals the one not seen for longer gives way, then the one with the lower hash', () => {
    for (let slot = 0; slot < held; slot++) columns.begin(slot, 4);
    for (let slot = 0; slot < held; slot++) if (slot !== 8) columns.touch(slot, pane + 1, 0, windowPanes);
    // 16 picks miss one of 12 slots one time in four.
    const victims = () => Array.from({ length: 100 }, (_, low) => admission.leastCounted(low, 3, pane + 1));
    expect(victims().filter((slot) => slot === 8).length).toBeGreaterThan(60);
    columns.touch(8, pane + 1, 0, windowPanes);
    expect(victims().filter((slot) => slot === 8).length).toBeLessThan(5);
    expect(victims().filter((slot) => slot === 0).length).toBeGreaterThan(60);
  });
});

describe('what a key may have missed', () => {
  test('is on its windows until they begin after it got its place', () => {
    asked(6);
    expect(admission.missed(0xabcdef, 99, pane)).toBe(6);
    admission.admitted(3, pane, 5);
    expect(admission.countErr(3, pane - 9)).toBe(5);
    expect(admission.countErr(3, pane)).toBe(5);
    expect(admission.countErr(3, pane + 1)).toBe(0);
    expect(admission.countErr(4, pane)).toBe(0);
    admission.admitted(3, pane, 0);
    expect(admission.countErr(3, pane)).toBe(0);
  });

  test('holds what it had counted before it was evicted', () => {
    admission.evicted(5, pane);
    expect(admission.missed(6, 7, pane)).toBe(20);
  });

  test('is forgotten with the sketch when no window can hold it any more', () => {
    asked(6);
    admission.admitted(3, pane, 5);
    expect(admission.bytes()).toBeGreaterThan(admission.sketchBytes);
    admission.closed(pane + 2 * windowPanes);
    expect(admission.bytes()).toBeGreaterThan(0);
    admission.closed(pane + 3 * windowPanes);
    expect(admission.bytes()).toBe(0);
  });

  test('is in a snapshot', () => {
    asked(6);
    admission.admitted(3, pane, 5);
    const out = new SnapshotWriter();
    admission.snapshot(out);
    const before = admission;
    admission = made();
    admission.restore(new SnapshotReader(out.done()));
    expect(admission.bytes()).toBe(before.bytes());
    expect(admission.countErr(3, pane)).toBe(5);
    expect(asked(1).estimate).toBe(7);
  });
});

test('the sketch takes at most an eighth of the memory, and 2^20 cells a row at the most', () => {
  const bytesFor = (mostBytes: number) =>
    new Admission({ keys, columns, views: [view], windowPanes, generationPanes: windowPanes, mostBytes }).sketchBytes;
  expect(bytesFor(64_000)).toBe(8 * 2 ** 9);
  expect(bytesFor(4 * 2 ** 20)).toBe(8 * 2 ** 16);
  expect(bytesFor(512 * 2 ** 20)).toBe(8 * 2 ** 20);
});
