/**
 * One pane that is not closed yet: which keys it touched, each key's newest event time in it, and for each key the five records with
 * the lowest hash (any five would do; the lowest hash makes them the same in every replay). Gone when the pane closes.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';
import type { SampleRef } from './closed-window.ts';

export const samplesPerKey = 5;

export class OpenPane {
  length = 0;
  slots = new Uint32Array(16);
  newestMs = new Float64Array(16);
  private sampleCounts = new Uint8Array(16);
  private hashes = new Uint32Array(16 * samplesPerKey);
  private partitions = new Uint32Array(16 * samplesPerKey);
  private offsets = new Float64Array(16 * samplesPerKey);

  /** Opens an entry for a key and returns its place. A key that was touched in another pane in between may get a second one. */
  touch(slot: number): number {
    if (this.length === this.slots.length) this.grow();
    const place = this.length++;
    this.slots[place] = slot;
    this.newestMs[place] = Number.NEGATIVE_INFINITY;
    this.sampleCounts[place] = 0;
    return place;
  }

  offer(place: number, timeMs: number, hash: number, partition: number, offset: number): void {
    if (timeMs > this.newestMs[place]) this.newestMs[place] = timeMs;
    const first = place * samplesPerKey;
    const count = this.sampleCounts[place];
    let target = first + count;
    if (count === samplesPerKey) {
      target = first;
      for (let i = first + 1; i < first + samplesPerKey; i++) if (this.hashes[i] > this.hashes[target]) target = i;
      if (hash >= this.hashes[target]) return;
    } else {
      this.sampleCounts[place] = count + 1;
    }
    this.hashes[target] = hash;
    this.partitions[target] = partition;
    this.offsets[target] = offset;
  }

  /** Adds the samples of one place to another's, for a key that has two. */
  mergeSamples(into: number, from: number): void {
    for (let i = from * samplesPerKey; i < from * samplesPerKey + this.sampleCounts[from]; i++) {
      this.offer(into, this.newestMs[from], this.hashes[i], this.partitions[i], this.offsets[i]);
    }
  }

  samples(place: number): SampleRef[] {
    const refs: SampleRef[] = [];
    for (let i = place * samplesPerKey; i < place * samplesPerKey + this.sampleCounts[place]; i++) {
      refs.push({ hash: this.hashes[i], partition: this.partitions[i], offset: this.offsets[i] });
    }
    return refs;
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.length);
    out.array(this.slots.subarray(0, this.length));
    out.array(this.newestMs.subarray(0, this.length));
    out.array(this.sampleCounts.subarray(0, this.length));
    out.array(this.hashes.subarray(0, this.length * samplesPerKey));
    out.array(this.partitions.subarray(0, this.length * samplesPerKey));
    out.array(this.offsets.subarray(0, this.length * samplesPerKey));
  }

  restore(from: SnapshotReader): void {
    this.length = from.u32();
    this.slots = from.u32s();
    this.newestMs = from.f64s();
    this.sampleCounts = from.u8s();
    this.hashes = from.u32s();
    this.partitions = from.u32s();
    this.offsets = from.f64s();
  }

  private grow(): void {
    const length = Math.max(16, this.slots.length * 2);
    this.slots = widen(this.slots, new Uint32Array(length));
    this.newestMs = widen(this.newestMs, new Float64Array(length));
    this.sampleCounts = widen(this.sampleCounts, new Uint8Array(length));
    this.hashes = widen(this.hashes, new Uint32Array(length * samplesPerKey));
    this.partitions = widen(this.partitions, new Uint32Array(length * samplesPerKey));
    this.offsets = widen(this.offsets, new Float64Array(length * samplesPerKey));
  }
}
