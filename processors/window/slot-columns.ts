/** What the window stage remembers of each key, by slot. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';

export const noPane = 0xffffffff;

export class SlotColumns {
  /** The pane the key was last touched in, and its place there. */
  touchedPane = new Uint32Array(32);
  touchedPlace = new Uint32Array(32);
  /** The same for the pane that closes, or closed last. */
  closingPane = new Uint32Array(32);
  closingPlace = new Uint32Array(32);
  /** The newest pane with data of the key. */
  newestPane = new Uint32Array(32);
  /** Newest event time in closed panes, ms; -Infinity while only open panes know the key. */
  lastEventMs = new Float64Array(32);

  /** Makes a slot new. */
  clear(slot: number): void {
    if (slot >= this.touchedPane.length) this.grow(slot + 1);
    this.touchedPane[slot] = noPane;
    this.closingPane[slot] = noPane;
    this.newestPane[slot] = noPane;
    this.lastEventMs[slot] = Number.NEGATIVE_INFINITY;
  }

  bytes(): number {
    return this.touchedPane.length * 28;
  }

  snapshot(out: SnapshotWriter, slots: number): void {
    for (const column of [this.touchedPane, this.touchedPlace, this.closingPane, this.closingPlace, this.newestPane, this.lastEventMs]) {
      out.array(column.subarray(0, slots));
    }
  }

  restore(from: SnapshotReader): void {
    this.touchedPane = from.u32s();
    this.touchedPlace = from.u32s();
    this.closingPane = from.u32s();
    this.closingPlace = from.u32s();
    this.newestPane = from.u32s();
    this.lastEventMs = from.f64s();
  }

  private grow(needed: number): void {
    const length = Math.max(needed, this.touchedPane.length * 2);
    this.touchedPane = widen(this.touchedPane, new Uint32Array(length));
    this.touchedPlace = widen(this.touchedPlace, new Uint32Array(length));
    this.closingPane = widen(this.closingPane, new Uint32Array(length));
    this.closingPlace = widen(this.closingPlace, new Uint32Array(length));
    this.newestPane = widen(this.newestPane, new Uint32Array(length));
    this.lastEventMs = widen(this.lastEventMs, new Float64Array(length));
  }
}
