/** Samples of closed panes, kept only for keys that are half way to firing: few, so a Map of small arrays will do. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { SampleRef } from './closed-window.ts';
import { samplesPerKey } from './open-pane.ts';

interface KeptSample extends SampleRef {
  readonly pane: number;
}

export class KeptSamples {
  private readonly bySlot = new Map<number, KeptSample[]>();
  private sampleCount = 0;

  /** Adds the samples of one closed pane. */
  keep(slot: number, pane: number, samples: readonly SampleRef[]): void {
    const before = this.bySlot.get(slot) ?? [];
    const kept = withoutBeaten([...before, ...samples.map(({ hash, partition, offset }) => ({ pane, hash, partition, offset }))]);
    this.bySlot.set(slot, kept);
    this.sampleCount += kept.length - before.length;
  }

  has(slot: number): boolean {
    return this.bySlot.size > 0 && this.bySlot.has(slot);
  }

  drop(slot: number): void {
    const kept = this.bySlot.get(slot);
    if (kept === undefined) return;
    this.sampleCount -= kept.length;
    this.bySlot.delete(slot);
  }

  /** About what the Map and its samples take. */
  bytes(): number {
    return this.bySlot.size * 120 + this.sampleCount * 80;
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
    this.sampleCount -= kept.length - left.length;
    if (left.length === 0) this.bySlot.delete(slot);
    else this.bySlot.set(slot, left);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('kept-samples');
    out.u32(this.bySlot.size);
    out.each(this.bySlot, ([slot, kept]) => {
      out.u32(slot);
      out.array(Float64Array.from(kept.flatMap((sample) => [sample.pane, sample.hash, sample.partition, sample.offset])));
    });
  }

  restore(from: SnapshotReader): void {
    from.section('kept-samples');
    this.bySlot.clear();
    this.sampleCount = 0;
    const count = from.u32();
    for (let i = 0; i < count; i++) {
      const slot = from.u32();
      const flat = from.f64s();
      const kept: KeptSample[] = [];
      for (let at = 0; at < flat.length; at += 4) {
        kept.push({ pane: flat[at], hash: flat[at + 1], partition: flat[at + 2], offset: flat[at + 3] });
      }
      this.bySlot.set(slot, kept);
      this.sampleCount += kept.length;
    }
  }
}

/**
 * Leaves out samples that no window will show: those of which five of the same or later panes are lower. Panes ascend. Of n panes' samples
 * some 5 (1 + ln n) are left.
 */
function withoutBeaten(samples: readonly KeptSample[]): KeptSample[] {
  const left: KeptSample[] = [];
  const lowest: KeptSample[] = [];
  for (let i = samples.length - 1; i >= 0; i--) {
    const sample = samples[i];
    let place = lowest.length;
    while (place > 0 && isLower(sample, lowest[place - 1])) place--;
    if (place === samplesPerKey) continue;
    left.push(sample);
    lowest.splice(place, 0, sample);
    if (lowest.length > samplesPerKey) lowest.pop();
  }
  return left.reverse();
}

function isLower(a: SampleRef, b: SampleRef): boolean {
  return a.hash < b.hash || (a.hash === b.hash && a.offset <= b.offset);
}
