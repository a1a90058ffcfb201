/**
 * One pane that is not closed yet: which keys it touched, each key's newest event time in it, and for each key the five records with
 * the lowest hash (any five would do; the lowest hash makes them the same in every replay). Gone when the pane closes. Samples are nodes
 * of one pool, so a key that came once pays for one.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';
import type { SampleRef } from './closed-window.ts';

export const samplesPerKey = 5;
const end = 0xffffffff;

export class OpenPane {
  length = 0;
  slots = new Uint32Array(16);
  newestMs = new Float64Array(16);
  private heads = new Uint32Array(16);
  private sampleCounts = new Uint8Array(16);

  private nodeCount = 0;
  private next = new Uint32Array(32);
  private hashes = new Uint32Array(32);
  private partitions = new Uint32Array(32);
  private offsets = new Float64Array(32);

  /** Opens an entry for a key and returns its place. A key that was touched in another pane in between may get a second one. */
  touch(slot: number): number {
    if (this.length === this.slots.length) this.growPlaces();
    const place = this.length++;
    this.slots[place] = slot;
    this.newestMs[place] = Number.NEGATIVE_INFINITY;
    this.heads[place] = end;
    this.sampleCounts[place] = 0;
    return place;
  }

  offer(place: number, timeMs: number, hash: number, partition: number, offset: number): void {
    if (timeMs > this.newestMs[place]) this.newestMs[place] = timeMs;
    let node: number;
    if (this.sampleCounts[place] < samplesPerKey) {
      node = this.newNode();
      this.next[node] = this.heads[place];
      this.heads[place] = node;
      this.sampleCounts[place]++;
    } else {
      node = this.highest(place);
      if (hash >= this.hashes[node]) return;
    }
    this.hashes[node] = hash;
    this.partitions[node] = partition;
    this.offsets[node] = offset;
  }

  /** Adds the samples of one place to another's, for a key that has two. */
  mergeSamples(into: number, from: number): void {
    for (let node = this.heads[from]; node !== end; node = this.next[node]) {
      this.offer(into, this.newestMs[from], this.hashes[node], this.partitions[node], this.offsets[node]);
    }
  }

  samples(place: number): SampleRef[] {
    const refs: SampleRef[] = [];
    for (let node = this.heads[place]; node !== end; node = this.next[node]) {
      refs.push({ hash: this.hashes[node], partition: this.partitions[node], offset: this.offsets[node] });
    }
    return refs;
  }

  bytes(): number {
    return this.slots.length * 17 + this.next.length * 20;
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.length);
    for (const column of [this.slots, this.newestMs, this.heads, this.sampleCounts]) out.array(column.subarray(0, this.length));
    out.u32(this.nodeCount);
    for (const column of [this.next, this.hashes, this.partitions, this.offsets]) out.array(column.subarray(0, this.nodeCount));
  }

  restore(from: SnapshotReader): void {
    this.length = from.u32();
    this.slots = from.u32s();
    this.newestMs = from.f64s();
    this.heads = from.u32s();
    this.sampleCounts = from.u8s();
    this.nodeCount = from.u32();
    this.next = from.u32s();
    this.hashes = from.u32s();
    this.partitions = from.u32s();
    this.offsets = from.f64s();
  }

  /** The node with the highest hash among a key's samples: the first to give way. */
  private highest(place: number): number {
    let highest = this.heads[place];
    for (let node = this.next[highest]; node !== end; node = this.next[node]) {
      if (this.hashes[node] > this.hashes[highest]) highest = node;
    }
    return highest;
  }

  private newNode(): number {
    if (this.nodeCount === this.next.length) {
      const length = Math.max(32, this.nodeCount * 2);
      this.next = widen(this.next, new Uint32Array(length));
      this.hashes = widen(this.hashes, new Uint32Array(length));
      this.partitions = widen(this.partitions, new Uint32Array(length));
      this.offsets = widen(this.offsets, new Float64Array(length));
    }
    return this.nodeCount++;
  }

  private growPlaces(): void {
    const length = Math.max(16, this.slots.length * 2);
    this.slots = widen(this.slots, new Uint32Array(length));
    this.newestMs = widen(this.newestMs, new Float64Array(length));
    this.heads = widen(this.heads, new Uint32Array(length));
    this.sampleCounts = widen(this.sampleCounts, new Uint8Array(length));
  }
}
