/** What the window stage remembers of each key, by slot. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';

export const noPane = 0xffffffff;
export const bytesPerSlot = 36;
/** How what is kept by slot grows: by a quarter only, since under a budget unused room is room that keys do not get. */
export const firstSlots = 32;
export const slotGrowth = 1 / 4;

/** Words of a slot in `touched`. */
const stride = 4;

export class SlotColumns {
  /**
   * What every match looks at, side by side so that it costs one miss of the cache: the pane the key was last touched in, its place there,
   * its matches in the generation of its newest pane, and that pane, the newest with data of the key. (A generation is at least a window,
   * aligned to the epoch.)
   */
  private touched = new Uint32Array(stride * firstSlots);
  /** Matches in the generation before. */
  private earlier = new Uint32Array(firstSlots);
  /** The pane that closes, or closed last, with the key in it, and its place there. */
  closingPane = new Uint32Array(firstSlots);
  closingPlace = new Uint32Array(firstSlots);
  /** Newest event time in closed panes, ms; -Infinity while only open panes know the key. */
  lastEventMs = new Float64Array(firstSlots);

  /** Makes a slot new. */
  clear(slot: number): void {
    if (slot >= this.earlier.length) this.grow(slot + 1);
    this.touched[stride * slot] = noPane;
    this.touched[stride * slot + 2] = 0;
    this.touched[stride * slot + 3] = noPane;
    this.earlier[slot] = 0;
    this.closingPane[slot] = noPane;
    this.lastEventMs[slot] = Number.NEGATIVE_INFINITY;
  }

  touchedPane(slot: number): number {
    return this.touched[stride * slot];
  }

  touchedPlace(slot: number): number {
    return this.touched[stride * slot + 1];
  }

  newestPane(slot: number): number {
    return this.touched[stride * slot + 3];
  }

  /** The key is touched in another pane than the last time; makes it the newest one if it is. */
  touch(slot: number, pane: number, place: number, panesPerGeneration: number): void {
    const { touched } = this;
    const at = stride * slot;
    touched[at] = pane;
    touched[at + 1] = place;
    const newest = touched[at + 3];
    if (newest !== noPane) {
      if (pane <= newest) return;
      const passed = Math.floor(pane / panesPerGeneration) - Math.floor(newest / panesPerGeneration);
      if (passed > 0) {
        this.earlier[slot] = passed === 1 ? touched[at + 2] : 0;
        touched[at + 2] = 0;
      }
    }
    touched[at + 3] = pane;
  }

  /** A match was counted for the key. Returns its place in the pane it was last touched in. */
  count(slot: number): number {
    const at = stride * slot;
    this.touched[at + 2]++;
    return this.touched[at + 1];
  }

  /** Sets what a new key begins with. */
  begin(slot: number, count: number): void {
    this.touched[stride * slot + 2] = count;
  }

  /** Watches a key of which nothing has come, as if it had in `pane`. */
  seen(slot: number, pane: number): void {
    this.touched[stride * slot + 3] = pane;
  }

  /** Matches of the key in a generation and the one before it. */
  recent(slot: number, generation: number, panesPerGeneration: number): number {
    const passed = generation - Math.floor(this.newestPane(slot) / panesPerGeneration);
    const count = this.touched[stride * slot + 2];
    if (passed <= 0) return count + this.earlier[slot];
    return passed === 1 ? count : 0;
  }

  bytes(): number {
    return this.earlier.length * bytesPerSlot;
  }

  snapshot(out: SnapshotWriter, slots: number): void {
    out.array(this.touched.subarray(0, stride * slots));
    for (const column of [this.earlier, this.closingPane, this.closingPlace, this.lastEventMs]) out.array(column.subarray(0, slots));
  }

  restore(from: SnapshotReader): void {
    this.touched = from.u32s();
    this.earlier = from.u32s();
    this.closingPane = from.u32s();
    this.closingPlace = from.u32s();
    this.lastEventMs = from.f64s();
    // As long as they would have grown: how much room is held decides who gets a place.
    this.grow(this.earlier.length);
  }

  private grow(needed: number): void {
    const length = grownLength(firstSlots, needed, slotGrowth);
    this.touched = widen(this.touched, new Uint32Array(stride * length));
    this.earlier = widen(this.earlier, new Uint32Array(length));
    this.closingPane = widen(this.closingPane, new Uint32Array(length));
    this.closingPlace = widen(this.closingPlace, new Uint32Array(length));
    this.lastEventMs = widen(this.lastEventMs, new Float64Array(length));
  }
}
