import type { Match } from '../match/match.ts';
import { ExponentialHistogram } from '../sketch/exponential-histogram.ts';
import { exactQuantile } from '../sketch/order-statistics.ts';
import { type PaneParts, PaneTree } from '../sketch/pane-tree.ts';
import { Form, PaneValues } from '../sketch/pane-values.ts';
import { Slab } from '../sketch/slab.ts';
import { CentroidList } from '../sketch/t-digest.ts';
import { SnapshotError, type SnapshotReader, type SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';
import type { Measure } from './measure.ts';
import { PanePeaks } from './pane-peaks.ts';
import { PaneTable } from './pane-table.ts';

/** A closed pane keeps up to this many numbers as they are; the quantile of a window of such panes is exact. */
const exactPerPane = 64;
/** An open pane of a t-digest keeps up to this many, to be sorted at its close. */
const openPerPane = 1024;
/** Beyond that the t-digest is built from the middles of a histogram of scale 8 (0.14 %). */
const fineScale = 8;
/** 9 decades at scale 8, in a block of 32 KiB; a pane that is wider has scale 7. */
const fineBuckets = 8000;
const histogramScale = 5;
const histogramBuckets = 640;
/** A histogram's quantile may lie this far above the highest number: half a bucket of scale 4, which it has when it is wide. */
const bucketSlack = 1.03;

/**
 * A quantile, by linear interpolation between the ranks 0 … n - 1 of the window's numbers (as f32). Each pane holds its numbers while they
 * are few, beyond that a t-digest (built from sorted numbers at its close) or an exponential histogram; all of it follows from the pane's
 * set of numbers, and panes are put together when a value is asked for, so order cannot show.
 */
export class Quantile implements Measure {
  readonly monotone = false;
  private readonly slab = new Slab();
  private readonly table = new PaneTable(this.slab, 2);
  private readonly values: PaneValues;
  private readonly peaks: PanePeaks;
  private readonly q: number;
  private readonly sketch: 'tdigest' | 'histogram';
  private readonly histogram = new ExponentialHistogram(histogramScale, Number.POSITIVE_INFINITY);
  private readonly list = new CentroidList();
  private readonly tree = new PaneTree();
  private numbers = new Float32Array(openPerPane);
  private readonly releaseEntry = (entry: number): void => this.values.release(entry);
  /** The last answer and what it was asked for: the value and its error come from one pass. */
  private readonly answer = { slot: -1, firstPane: 0, lastPane: 0, value: Number.NaN, error: 0 };

  /** @param q 0 … 1. Throws a RangeError outside of that. @param windowPanes panes in a window. */
  constructor(q: number, sketch: 'tdigest' | 'histogram', windowPanes = 1) {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile is asked for at ${q}, expected a number from 0 to 1`);
    this.q = q;
    this.sketch = sketch;
    this.peaks = new PanePeaks(windowPanes);
    this.values =
      sketch === 'tdigest'
        ? new PaneValues(this.slab, openPerPane, fineScale, fineBuckets)
        : new PaneValues(this.slab, exactPerPane, histogramScale, histogramBuckets);
  }

  add(slot: number, pane: number, match: Match): boolean {
    const value = Math.fround(match.number);
    if (!Number.isFinite(value)) return false;
    this.values.add(this.openEntry(slot, pane), value + 0);
    this.peaks.note(slot, pane, value);
    this.answer.slot = -1;
    return true;
  }

  close(slot: number, pane: number): void {
    if (this.sketch === 'histogram') return;
    const length = this.table.length(slot);
    for (let i = 0; i < length; i++) {
      const entry = this.table.address(slot) + 4 * i;
      if (this.slab.chunks[entry >>> 16][entry & 0xffff] <= pane && this.needsDigest(entry)) {
        this.toDigest(slot, entry);
        this.answer.slot = -1;
        // Folding may have removed an entry before this one.
        this.close(slot, pane);
        return;
      }
    }
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    return this.ask(slot, firstPane, lastPane).value;
  }

  valueError(slot: number, firstPane: number, lastPane: number): number {
    return this.ask(slot, firstPane, lastPane).error;
  }

  atMost(slot: number, firstPane: number): number {
    return this.peaks.atMost(slot, firstPane) * bucketSlack;
  }

  oldestPane(slot: number, firstPane: number): number {
    return this.table.oldestPane(slot, firstPane);
  }

  expire(slot: number, firstPane: number): boolean {
    this.answer.slot = -1;
    this.tree.expire(slot, firstPane);
    return this.table.expire(slot, firstPane, this.releaseEntry);
  }

  release(slot: number): void {
    this.expire(slot, 2 ** 32);
    this.peaks.forget(slot);
  }

  encode(slot: number, pane: number, out: SnapshotWriter): void {
    const length = this.table.length(slot);
    const entries: number[] = [];
    for (let i = 0; i < length; i++) {
      const entry = this.table.address(slot) + 4 * i;
      if (this.slab.chunks[entry >>> 16][entry & 0xffff] === pane) entries.push(entry);
    }
    out.u32(entries.length);
    for (const entry of entries) this.values.encode(entry, out);
  }

  merge(slot: number, pane: number, from: SnapshotReader): void {
    this.answer.slot = -1;
    const count = from.u32();
    if (count > 0) this.peaks.note(slot, pane, Number.POSITIVE_INFINITY);
    for (let i = 0; i < count; i++) {
      const entry = this.openEntry(slot, pane);
      this.list.reset();
      if (this.values.merge(entry, from, this.list)) this.mergeDigest(slot, pane, entry);
    }
  }

  bytes(): number {
    return this.slab.bytes() + this.table.bytes() + this.peaks.bytes();
  }

  cacheBytes(): number {
    return this.tree.bytes();
  }

  dropCache(): void {
    this.tree.clear();
  }

  spareBytes(): number {
    return this.slab.spareBytes();
  }

  compact(): void {
    const packed = new Slab();
    this.table.moveTo(packed, (entry) => this.values.moveTo(packed, entry));
    this.slab.adopt(packed);
  }

  snapshot(out: SnapshotWriter): void {
    out.section(`quantile-${this.sketch}`);
    out.f64(this.q);
    this.peaks.snapshot(out);
    this.table.snapshot(out);
    this.slab.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section(`quantile-${this.sketch}`);
    const q = from.f64();
    if (q !== this.q) throw new SnapshotError(`the snapshot's quantile is of ${q}, expected ${this.q}`);
    this.answer.slot = -1;
    this.tree.clear();
    this.peaks.restore(from);
    this.table.restore(from);
    this.slab.restore(from);
  }

  /** The pane's entry that takes numbers: a pane that closed as a digest and opens again (after a tick) gets a second one. */
  private openEntry(slot: number, pane: number): number {
    const entry = this.table.ensure(slot, pane);
    return this.values.form(entry) === Form.digest ? this.table.append(slot, pane) : entry;
  }

  private needsDigest(entry: number): boolean {
    const form = this.values.form(entry);
    return form === Form.histogram || (form === Form.values && this.values.count(entry) > exactPerPane);
  }

  private toDigest(slot: number, entry: number): void {
    const pane = this.slab.chunks[entry >>> 16][entry & 0xffff];
    this.list.reset();
    this.values.appendTo(this.list, entry, this.scratch(entry));
    this.list.compress();
    this.mergeDigest(slot, pane, entry);
  }

  /** Puts the digest in `list` in the place of `entry`, or into the digest that the pane has already. */
  private mergeDigest(slot: number, pane: number, entry: number): void {
    this.tree.changed(slot, pane);
    const length = this.table.length(slot);
    for (let i = 0; i < length; i++) {
      const other = this.table.address(slot) + 4 * i;
      if (other === entry || this.slab.chunks[other >>> 16][other & 0xffff] !== pane || this.values.form(other) !== Form.digest) continue;
      this.values.appendTo(this.list, other, this.numbers);
      this.list.sort();
      this.list.compress();
      this.values.putDigest(other, this.list);
      if (entry !== other) this.table.remove(slot, entry);
      return;
    }
    this.values.putDigest(entry, this.list);
  }

  private ask(slot: number, firstPane: number, lastPane: number): { value: number; error: number } {
    const answer = this.answer;
    if (answer.slot === slot && answer.firstPane === firstPane && answer.lastPane === lastPane) return answer;
    answer.slot = slot;
    answer.firstPane = firstPane;
    answer.lastPane = lastPane;
    const count = this.copyExact(slot, firstPane, lastPane);
    if (count >= 0) {
      answer.value = exactQuantile(this.numbers, count, this.q);
      answer.error = 0;
    } else if (this.sketch === 'histogram') this.byHistogram(slot, firstPane, lastPane);
    else this.byDigest(slot, firstPane, lastPane);
    return answer;
  }

  /** Copies the window's numbers to `numbers` and returns how many; -1 where a pane no longer holds them one by one. */
  private copyExact(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return 0;
    const first = this.table.address(slot);
    const words = this.slab.chunks[first >>> 16];
    let count = 0;
    for (let i = 0, at = first & 0xffff; i < length; i++, at += 4) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      if ((words[at + 2] & 7) >= Form.histogram) return -1;
      const added = words[at + 3];
      if (count + added > this.numbers.length) this.numbers = widen(this.numbers, new Float32Array(2 * (count + added)));
      if (added > 0) count = this.values.copy(first + 4 * i, this.numbers, count);
    }
    return count;
  }

  private byHistogram(slot: number, firstPane: number, lastPane: number): void {
    this.histogram.reset();
    const length = this.table.length(slot);
    const first = this.table.address(slot);
    const words = this.slab.chunks[first >>> 16];
    for (let i = 0, at = first & 0xffff; i < length; i++, at += 4) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      this.values.addTo(this.histogram, first + 4 * i, this.scratch(first + 4 * i));
    }
    this.answer.value = this.histogram.quantile(this.q);
    this.answer.error = this.histogram.relativeError;
  }

  private byDigest(slot: number, firstPane: number, lastPane: number): void {
    const entries: number[] = [];
    const paneOf = (entry: number): number => this.slab.chunks[entry >>> 16][entry & 0xffff];
    for (let i = 0; i < this.table.length(slot); i++) {
      const entry = this.table.address(slot) + 4 * i;
      if (paneOf(entry) >= firstPane && paneOf(entry) <= lastPane) entries.push(entry);
    }
    // In pane order, so that equal means come out in one order.
    entries.sort((a, b) => paneOf(a) - paneOf(b));
    const parts: PaneParts = {
      length: entries.length,
      pane: (part) => paneOf(entries[part]),
      count: (part) => this.values.count(entries[part]),
      append: (part, list) => this.values.appendTo(list, entries[part], this.scratch(entries[part])),
    };
    this.list.reset();
    this.tree.append(slot, parts, firstPane, lastPane, this.list);
    this.list.sort();
    // Merging evens out where the parts' large centroids happen to lie: 0.1 % of the ranks at the median instead of 0.2 %.
    this.list.compress();
    const { value, error } = this.list.locate(this.q);
    this.answer.value = value;
    this.answer.error = error;
  }

  private scratch(entry: number): Float32Array {
    if (this.numbers.length < this.values.count(entry)) this.numbers = new Float32Array(2 * this.values.count(entry));
    return this.numbers;
  }
}
