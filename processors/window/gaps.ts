/**
 * Places in a partition where events are missing: between the newest one before the gap and whatever ends it, so a function of the
 * partition's order. Nothing in between is decided yet, for the watermark waits for the partition or a tick ends the gap first.
 */
import { anyDataset } from '../record.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Watermark } from './watermark.ts';
import type { WindowStage } from './window-stage.ts';

interface Gap {
  readonly sinceMs: number;
  readonly dataset: string;
}

export class Gaps {
  /** By partition. */
  private readonly gaps = new Map<number, Gap>();
  private readonly watermark: Watermark;
  private readonly windows: WindowStage;

  constructor(watermark: Watermark, windows: WindowStage) {
    this.watermark = watermark;
    this.windows = windows;
  }

  /** Something is missing after the newest event of this partition. A gap of two datasets is one of any. */
  open(partition: number, dataset: string): void {
    const gap = this.gaps.get(partition);
    if (gap?.dataset === dataset) return;
    const sinceMs = gap?.sinceMs ?? this.watermark.newest(partition);
    this.gaps.set(partition, { sinceMs, dataset: gap === undefined ? dataset : anyDataset });
  }

  /** The partition goes on at this event, or is passed by at this time; to be told before the watermark is. */
  close(partition: number, atMs: number): void {
    if (this.gaps.size === 0) return;
    const gap = this.gaps.get(partition);
    if (gap === undefined) return;
    this.gaps.delete(partition);
    // A partition without an event before it has lost something of the time of its first one, as far as anybody can say.
    const sinceMs = gap.sinceMs === Number.NEGATIVE_INFINITY ? atMs : gap.sinceMs;
    this.windows.lost(gap.dataset, partition, Math.min(sinceMs, atMs), Math.max(sinceMs, atMs));
  }

  closeAll(atMs: number): void {
    for (const partition of [...this.gaps.keys()]) this.close(partition, atMs);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('gaps');
    out.u32(this.gaps.size);
    for (const [partition, { sinceMs, dataset }] of this.gaps) {
      out.u32(partition);
      out.f64(sinceMs);
      out.text(dataset);
    }
  }

  restore(from: SnapshotReader): void {
    from.section('gaps');
    this.gaps.clear();
    for (let left = from.u32(); left > 0; left--) this.gaps.set(from.u32(), { sinceMs: from.f64(), dataset: from.text() });
  }
}
