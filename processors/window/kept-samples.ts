/** Samples of closed panes, kept only for keys that are half way to firing: few, so a Map of small arrays will do. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { SampleRef } from './closed-window.ts';
import { samplesPerKey } from './open-pane.ts';

interface KeptSample extends SampleRef {
  readonly pane: number;
}

export class KeptSamples {
  private readonly bySlot = new Map<number, KeptSample[]>();

  /** Adds the samples of one closed pane. */
  keep(slot: number, pane: number, samples: readonly SampleRef[]): void {
    const kept = this.bySlot.get(slot) ?? [];
    for (const { hash, partition, offset } of samples) kept.push({ pane, hash, partition, offset });
    this.bySlot.set(slot, kept);
  }

  drop(slot: number): void {
    this.bySlot.delete(slot);
  }

  /** The lowest-hash samples of the panes from `firstPane` on, and of `more`; in order of their place in the input. */
  lowest(slot: number, firstPane: number, more: readonly SampleRef[]): SampleRef[] {
    const kept = (this.bySlot.get(slot) ?? []).filter((sample) => sample.pane >= firstPane);
    return [...kept, ...more]
      .sort((a, b) => a.hash - b.hash || a.offset - b.offset)
      .slice(0, samplesPerKey)
      .sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  }

  expire(slot: number, firstPane: number): void {
    const kept = this.bySlot.get(slot);
    if (kept === undefined || kept[0].pane >= firstPane) return;
    const left = kept.filter((sample) => sample.pane >= firstPane);
    if (left.length === 0) this.bySlot.delete(slot);
    else this.bySlot.set(slot, left);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('kept-samples');
    out.u32(this.bySlot.size);
    for (const [slot, kept] of this.bySlot) {
      out.u32(slot);
      out.array(Float64Array.from(kept.flatMap((sample) => [sample.pane, sample.hash, sample.partition, sample.offset])));
    }
  }

  restore(from: SnapshotReader): void {
    from.section('kept-samples');
    this.bySlot.clear();
    const count = from.u32();
    for (let i = 0; i < count; i++) {
      const slot = from.u32();
      const flat = from.f64s();
      const kept: KeptSample[] = [];
      for (let at = 0; at < flat.length; at += 4) {
        kept.push({ pane: flat[at], hash: flat[at + 1], partition: flat[at + 2], offset: flat[at + 3] });
      }
      this.bySlot.set(slot, kept);
    }
  }
}
