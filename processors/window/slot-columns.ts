/** What the window stage remembers of each key, by slot. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';

export const noPane = 0xffffffff;
export const bytesPerSlot = 36;
/** How what is kept by slot grows: by a quarter only, since under a budget unused room is room that keys do not get. */
export const firstSlots = 32;
export const slotGrowth = 1 / 4;

export class SlotColumns {
  /** The pane the key was last touched in, and its place there. */
  touchedPane = new Uint32Array(firstSlots);
  touchedPlace = new Uint32Array(firstSlots);
  /** The same for the pane that closes, or closed last. */
  closingPane = new Uint32Array(firstSlots);
  closingPlace = new Uint32Array(firstSlots);
  /** The newest pane with data of the key. */
  newestPane = new Uint32Array(firstSlots);
  /** Newest event time in closed panes, ms; -Infinity while only open panes know the key. */
  lastEventMs = new Float64Array(firstSlots);
  /** Matches in the generation (a window's length, aligned to the epoch) of the newest pane, and in the one before it. */
  counts = new Uint32Array(firstSlots);
  private earlier = new Uint32Array(firstSlots);

  /** Makes a slot new. */
  clear(slot: number): void {
    if (slot >= this.touchedPane.length) this.grow(slot + 1);
    this.touchedPane[slot] = noPane;
    this.closingPane[slot] = noPane;
    this.newestPane[slot] = noPane;
    this.lastEventMs[slot] = Number.NEGATIVE_INFINITY;
    this.counts[slot] = 0;
    this.earlier[slot] = 0;
  }

  /** A match came in `pane`: makes it the newest pane if it is. */
  sees(slot: number, pane: number, panesPerGeneration: number): void {
    const newest = this.newestPane[slot];
    if (newest !== noPane) {
      if (pane <= newest) return;
      const passed = Math.floor(pane / panesPerGeneration) - Math.floor(newest / panesPerGeneration);
      if (passed > 0) {
        this.earlier[slot] = passed === 1 ? this.counts[slot] : 0;
        this.counts[slot] = 0;
      }
    }
    this.newestPane[slot] = pane;
  }

  /** Matches of the key in a generation and the one before it. */
  recent(slot: number, generation: number, panesPerGeneration: number): number {
    const passed = generation - Math.floor(this.newestPane[slot] / panesPerGeneration);
    if (passed <= 0) return this.counts[slot] + this.earlier[slot];
    return passed === 1 ? this.counts[slot] : 0;
  }

  bytes(): number {
    return this.touchedPane.length * bytesPerSlot;
  }

  snapshot(out: SnapshotWriter, slots: number): void {
    for (const column of this.columns()) out.array(column.subarray(0, slots));
  }

  restore(from: SnapshotReader): void {
    this.touchedPane = from.u32s();
    this.touchedPlace = from.u32s();
    this.closingPane = from.u32s();
    this.closingPlace = from.u32s();
    this.newestPane = from.u32s();
    this.lastEventMs = from.f64s();
    this.counts = from.u32s();
    this.earlier = from.u32s();
    // As long as they would have grown: how much room is held decides who gets a place.
    this.grow(this.touchedPane.length);
  }

  private columns() {
    const { touchedPane, touchedPlace, closingPane, closingPlace, newestPane, lastEventMs, counts, earlier } = this;
    return [touchedPane, touchedPlace, closingPane, closingPlace, newestPane, lastEventMs, counts, earlier];
  }

  private grow(needed: number): void {
    const length = grownLength(firstSlots, needed, slotGrowth);
    this.touchedPane = widen(this.touchedPane, new Uint32Array(length));
    this.touchedPlace = widen(this.touchedPlace, new Uint32Array(length));
    this.closingPane = widen(this.closingPane, new Uint32Array(length));
    this.closingPlace = widen(this.closingPlace, new Uint32Array(length));
    this.newestPane = widen(this.newestPane, new Uint32Array(length));
    this.lastEventMs = widen(this.lastEventMs, new Float64Array(length));
    this.counts = widen(this.counts, new Uint32Array(length));
    this.earlier = widen(this.earlier, new Uint32Array(length));
  }
}
