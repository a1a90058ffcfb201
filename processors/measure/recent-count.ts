import type { Match } from '../match/match.ts';
import { mostTimes, PaneTimes } from '../sketch/pane-times.ts';
import { noBlock, Slab } from '../sketch/slab.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Measure } from './measure.ts';
import { PaneTable } from './pane-table.ts';

/** Counts up to this are exact on real time. */
export const exactCount = mostTimes;

/**
 * How many matches, on real time. A window of length W is any [start, start + W), wherever it begins, in whole milliseconds; the value
 * of a pane is the largest count over the windows that end with one of its matches, or with the pane itself if it has none. So a rule
 * `count` with `above: n`, n < 128, fires exactly when n + 1 matches lie within less than W, however they lie to the panes. Up to 128
 * that count is exact. Where it is more, the value is the count of the panes, or 129 if that is less.
 * (Such a window can begin in the pane before the first one of the window on the finding.)
 *
 * Each pane has its count and its newest 128 times. Of panes that no window can end in any more, because a later one has closed, the
 * newest 128 times stay between them (an older one lies only in windows with 128 more); so a key keeps 256, and those of its open panes.
 */
export class RecentCount implements Measure {
  readonly monotone = true;
  private readonly slideMs: number;
  private readonly slab = new Slab();
  private readonly table = new PaneTable(this.slab, 2);
  private readonly times = new PaneTimes(this.slab);
  private readonly older = new Uint32Array(mostTimes);
  private readonly newer = new Uint32Array(mostTimes);
  private readonly releaseEntry = (entry: number): void => this.times.release(entry);

  /** @param slideMs length of a pane, at most 2^32. Throws a RangeError beyond. */
  constructor(slideMs: number) {
    if (!(slideMs <= 2 ** 32)) throw new RangeError(`a slide of ${slideMs} ms is too long to keep times in, expected at most ${2 ** 32}`);
    this.slideMs = slideMs;
  }

  add(slot: number, pane: number, match: Match): boolean {
    const entry = this.table.ensure(slot, pane);
    this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1]++;
    this.times.add(entry, Math.floor(match.timeMs - pane * this.slideMs));
    return true;
  }

  /** Keeps, of the panes before this one, the newest 128 times between them. */
  close(slot: number, pane: number): void {
    const length = this.table.length(slot);
    if (length < 2) return;
    const first = this.table.address(slot);
    let excess = -mostTimes;
    for (let entry = first; entry < first + 4 * length; entry += 4) {
      if (this.paneOf(entry) < pane) excess += this.times.kept(entry);
    }
    while (excess > 0) {
      const entry = this.oldestWithTimes(first, length);
      const dropped = Math.min(excess, this.times.kept(entry));
      this.times.dropOldest(entry, dropped, this.older);
      excess -= dropped;
    }
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const first = this.table.address(slot);
    const words = this.slab.chunks[first >>> 16];
    const base = first & 0xffff;
    let ofPanes = 0;
    let before = noBlock;
    let last = noBlock;
    for (let at = base; at < base + 4 * length; at += 4) {
      const pane = words[at];
      if (pane >= firstPane && pane <= lastPane) ofPanes += words[at + 1];
      if (pane === firstPane - 1) before = first + at - base;
      else if (pane === lastPane) last = first + at - base;
    }
    if (ofPanes === 0) return Number.NaN;
    if (ofPanes > exactCount || before === noBlock || last === noBlock) return ofPanes;
    return Math.max(ofPanes, Math.min(this.largest(before, last, ofPanes), exactCount + 1));
  }

  valueError(_slot: number, _firstPane: number, _lastPane: number): number {
    return 0;
  }

  /** A real-time window reaches a pane further back: judged always. */
  oldestPane(_slot: number, firstPane: number): number {
    return firstPane;
  }

  expire(slot: number, firstPane: number): boolean {
    return this.table.expire(slot, firstPane, this.releaseEntry);
  }

  release(slot: number): void {
    this.expire(slot, 2 ** 32);
  }

  /** The times of a pane are all there until the second close after it: flush a pane before that. */
  encode(slot: number, pane: number, out: SnapshotWriter): void {
    const entry = this.table.find(slot, pane);
    out.u32(entry === noBlock ? 0 : this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1]);
    out.array(this.newer.subarray(0, entry === noBlock ? 0 : this.times.copy(entry, this.newer)));
  }

  merge(slot: number, pane: number, from: SnapshotReader): void {
    const count = from.u32();
    const times = from.u32s();
    if (count === 0) return;
    const entry = this.table.ensure(slot, pane);
    this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1] += count;
    for (const time of times) this.times.add(entry, time);
  }

  bytes(): number {
    return this.slab.bytes() + this.table.bytes();
  }

  spareBytes(): number {
    return this.slab.spareBytes();
  }

  compact(): void {
    const packed = new Slab();
    this.table.moveTo(packed, (entry) => this.times.moveTo(packed, entry));
    this.slab.adopt(packed);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('recent-count');
    this.table.snapshot(out);
    this.slab.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('recent-count');
    this.table.restore(from);
    this.slab.restore(from);
  }

  /**
   * The largest count over windows that end with a match of the last pane, given that of the panes. A match at x of the last pane has,
   * in the pane before the first, those after x in its window; between the two panes, all.
   */
  private largest(before: number, last: number, ofPanes: number): number {
    const olders = this.times.copy(before, this.older);
    const newers = this.times.copy(last, this.newer);
    let largest = ofPanes;
    let outside = 0;
    for (let i = 0; i < newers; i++) {
      while (outside < olders && this.older[outside] <= this.newer[i]) outside++;
      // Those of the last pane after this match are not in its window.
      largest = Math.max(largest, ofPanes - (newers - 1 - i) + olders - outside);
    }
    return largest;
  }

  private oldestWithTimes(first: number, length: number): number {
    let oldest = noBlock;
    for (let entry = first; entry < first + 4 * length; entry += 4) {
      if (this.times.kept(entry) > 0 && (oldest === noBlock || this.paneOf(entry) < this.paneOf(oldest))) oldest = entry;
    }
    return oldest;
  }

  private paneOf(entry: number): number {
    return this.slab.chunks[entry >>> 16][entry & 0xffff];
  }
}
