/**
 * Who gets a place when a group's memory is spent. Known keys are not touched by it. A key without a place is counted in a count-min
 * sketch, and gets one when it has come three times and more often than the least-counted of 16 keys that its hash picks (any key that has
 * been idle for a whole window gives way without that). So a flood of keys that come once pushes nobody out, and who comes often gets in
 * after a few events. What it counted before it had a place is not in its windows: their values are lower bounds, and `countErr` says by
 * how much. Decisions follow from the order of the group's own matches and from what it holds; no clock, no randomness.
 */

import { CountMin } from '../sketch/count-min.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';
import type { KeyIndex } from './key-index.ts';
import { firstSlots, type SlotColumns, slotGrowth } from './slot-columns.ts';
import type { View } from './view.ts';

/** A newcomer that the sketch has seen less often is only counted. */
const leastEstimate = 3;
const candidates = 16;
/** Slots looked at to find them: some are free. */
const probes = 64;
const narrowest = 2 ** 8;
const widest = 2 ** 20;
/** The sketch takes at most this part of the group's memory. */
const sketchPart = 1 / 8;

/** What a newcomer without a place meets. Reused. */
export interface Answer {
  /** How often it has come, this time included: never too low, within what a cell can count. */
  estimate: number;
  /** The slot whose key gives way to it, or -1. */
  victim: number;
  /** If none does: the count it would have had to pass. */
  hidden: number;
}

export interface AdmissionSpec {
  readonly keys: KeyIndex;
  readonly columns: SlotColumns;
  readonly views: readonly View[];
  /** Panes of the longest window. */
  readonly windowPanes: number;
  /** Of these, two are remembered: at least a window and the lateness, so that they cover all that a window can hold. */
  readonly generationPanes: number;
  /** What the group's memory can come to. */
  readonly mostBytes: number;
}

export class Admission {
  /** Bytes that the sketch takes once there is pressure. */
  readonly sketchBytes: number;
  private readonly keys: KeyIndex;
  private readonly columns: SlotColumns;
  private readonly views: readonly View[];
  private readonly windowPanes: number;
  private readonly generationPanes: number;
  private sketch: CountMin | undefined;
  /** The newest pane that a newcomer was refused in, or an evicted key had counted in. */
  private newestMissed = 0;
  /** By slot, once there has been pressure: what its key may have counted before it got its place, and the pane it got it in. */
  private errs = new Uint16Array(0);
  private errPanes = new Uint32Array(0);
  private readonly answer: Answer = { estimate: 0, victim: -1, hidden: 0 };

  constructor({ keys, columns, views, windowPanes, generationPanes, mostBytes }: AdmissionSpec) {
    this.keys = keys;
    this.columns = columns;
    this.views = views;
    this.windowPanes = windowPanes;
    this.generationPanes = generationPanes;
    this.sketchBytes = CountMin.bytesFor(widthFor(mostBytes));
  }

  /** Counts a newcomer that finds no room, and says whose place it gets. */
  ask(low: number, high: number, pane: number): Answer {
    const { answer, columns } = this;
    answer.estimate = this.counting(pane).add(low, high);
    this.newestMissed = Math.max(this.newestMissed, pane);
    answer.victim = -1;
    answer.hidden = leastEstimate - 1;
    if (answer.estimate < leastEstimate) return answer;
    const victim = this.leastCounted(low, high, pane);
    const count = victim === -1 ? answer.estimate : columns.recent(victim, this.generationOf(pane), this.generationPanes);
    const idle = victim !== -1 && columns.newestPane(victim) <= pane - this.windowPanes;
    if (idle || answer.estimate > count) answer.victim = victim;
    else answer.hidden = count;
    return answer;
  }

  /** The least-counted key, the oldest of equals, of those that this hash picks and nobody watches: its slot, or -1. */
  leastCounted(low: number, high: number, pane: number): number {
    const { keys, columns, generationPanes } = this;
    const generation = this.generationOf(pane);
    let best = -1;
    let bestCount = 0;
    for (let probe = 0, seen = 0; probe < probes && seen < candidates; probe++) {
      const slot = pick(low, high, probe, keys.slotLimit);
      if (!keys.holds(slot)) continue;
      seen++;
      const count = columns.recent(slot, generation, generationPanes);
      if (best !== -1 && (count > bestCount || (count === bestCount && !this.isOlder(slot, best)))) continue;
      if (this.isWatched(slot)) continue;
      best = slot;
      bestCount = count;
    }
    return best;
  }

  /** How often a newcomer may have come in vain before now. */
  missed(low: number, high: number, pane: number): number {
    return this.sketch === undefined ? 0 : this.counting(pane).estimate(low, high);
  }

  /** A slot was given to a key that may have come `err` times before. */
  admitted(slot: number, pane: number, err: number): void {
    if (err === 0 && slot >= this.errs.length) return;
    if (slot >= this.errs.length) this.growErrs(slot + 1);
    this.errs[slot] = err;
    // What was missed may be newer than the match that the key got its place with.
    this.errPanes[slot] = Math.max(pane, this.newestMissed);
  }

  /** A key is about to lose its slot: if it comes back, what it had counted is known. */
  evicted(slot: number, pane: number): void {
    const { keys, columns, generationPanes } = this;
    this.counting(pane).raise(keys.low(slot), keys.high(slot), columns.recent(slot, this.generationOf(pane), generationPanes));
    this.newestMissed = Math.max(this.newestMissed, pane, columns.newestPane(slot));
  }

  /** Matches that the slot's key may have had in the window from `firstPane` on before it got its place. */
  countErr(slot: number, firstPane: number): number {
    if (slot >= this.errs.length || this.errs[slot] === 0) return 0;
    return this.errPanes[slot] >= firstPane ? this.errs[slot] : 0;
  }

  /** Forgets the sketch when no window can tell any more that there was pressure. */
  closed(pane: number): void {
    if (this.sketch === undefined || this.generationOf(pane) <= this.generationOf(this.newestMissed) + 2) return;
    this.sketch = undefined;
    this.errs = new Uint16Array(0);
    this.errPanes = new Uint32Array(0);
  }

  bytes(): number {
    return (this.sketch === undefined ? 0 : this.sketchBytes) + this.errs.byteLength + this.errPanes.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('admission');
    out.f64(this.newestMissed);
    out.array(this.errs);
    out.array(this.errPanes);
    out.u32(this.sketch === undefined ? 0 : 1);
    this.sketch?.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('admission');
    this.newestMissed = from.f64();
    this.errs = from.u16s();
    this.errPanes = from.u32s();
    this.sketch = from.u32() === 1 ? CountMin.restore(from) : undefined;
  }

  /** The state that was restored is of generations of another length: what was counted is taken for newer than it is, never for older. */
  rescale(): void {
    if (this.sketch !== undefined) this.sketch.generation = this.generationOf(this.newestMissed);
  }

  private generationOf(pane: number): number {
    return Math.floor(pane / this.generationPanes);
  }

  private counting(pane: number): CountMin {
    const generation = this.generationOf(pane);
    this.sketch ??= new CountMin(this.sketchBytes / CountMin.bytesFor(1), generation);
    this.sketch.advance(generation);
    return this.sketch;
  }

  private isWatched(slot: number): boolean {
    for (const view of this.views) if (view.watched.has(slot)) return true;
    return false;
  }

  /** Whether the first of two slots with equal counts gives way: the one not seen for longer, then the one with the lower hash. */
  private isOlder(slot: number, than: number): boolean {
    const { keys, columns } = this;
    const older = columns.newestPane(than) - columns.newestPane(slot);
    if (older !== 0) return older > 0;
    return keys.low(slot) < keys.low(than) || (keys.low(slot) === keys.low(than) && keys.high(slot) < keys.high(than));
  }

  private growErrs(needed: number): void {
    const length = grownLength(firstSlots, needed, slotGrowth);
    this.errs = widen(this.errs, new Uint16Array(length));
    this.errPanes = widen(this.errPanes, new Uint32Array(length));
  }
}

/** The probe-th slot below `slots` that a hash picks: murmur3's finaliser (Appleby, 2011) over the hash and the number of the probe. */
function pick(low: number, high: number, probe: number, slots: number): number {
  let h = low ^ Math.imul(high + probe, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return Math.floor((((h ^ (h >>> 16)) >>> 0) / 0x100000000) * slots);
}

/** 2^16 to 2^20 cells a row where a sixteenth of the memory can hold them, fewer where it cannot. */
function widthFor(mostBytes: number): number {
  let width = narrowest;
  while (width < widest && CountMin.bytesFor(width * 2) <= mostBytes * sketchPart) width *= 2;
  return width;
}
