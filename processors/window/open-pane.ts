/**
 * One pane that is not closed yet: which keys it touched, each key's newest event time in it, and for each key the five records with
 * the lowest hash (any five would do; the lowest hash makes them the same in every replay). Gone when the pane closes. Samples are nodes
 * of one pool, so a key that came once pays for one.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';
import type { SampleRef } from './closed-window.ts';

export const samplesPerKey = 5;
const end = 0xffffffff;
/** Of a place that no key has: no slot is this high. */
const noSlot = 0xffffffff;
/** Panes double: they are built anew all the time, and by half they would copy so much more that adding takes 5 % longer. */
const growth = 1;
const bytesPerPlace = 25;
const bytesPerNode = 20;

export class OpenPane {
  length = 0;
  slots = new Uint32Array(16);
  newestMs = new Float64Array(16);
  /** Half of each key's hash: a slot may have been given to another key since. */
  private tags = new Uint32Array(16);
  private heads = new Uint32Array(16);
  private sampleCounts = new Uint8Array(16);
  /** The highest hash among five samples: whatever is not below it changes nothing. */
  private ceilings = new Uint32Array(16);

  private freePlaces: number[] = [];

  private nodeCount = 0;
  private freeNodes: number[] = [];
  private next = new Uint32Array(32);
  private hashes = new Uint32Array(32);
  private partitions = new Uint32Array(32);
  private offsets = new Float64Array(32);

  /** Opens an entry for a key and returns its place. A key that was touched in another pane in between may get a second one. */
  touch(slot: number, tag: number): number {
    const place = this.freePlaces.pop() ?? this.length++;
    if (place >= this.slots.length) this.growPlaces(place + 1);
    this.slots[place] = slot;
    this.tags[place] = tag;
    this.newestMs[place] = Number.NEGATIVE_INFINITY;
    this.heads[place] = end;
    this.sampleCounts[place] = 0;
    return place;
  }

  /** The key was evicted: its entry and samples make room for others. */
  forget(place: number): void {
    for (let node = this.heads[place]; node !== end; node = this.next[node]) this.freeNodes.push(node);
    this.slots[place] = noSlot;
    this.heads[place] = end;
    this.freePlaces.push(place);
  }

  /** Whether the place is of the key with this tag. */
  isOf(place: number, tag: number): boolean {
    return this.tags[place] === tag;
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
      if (hash >= this.ceilings[place]) return;
      node = this.highest(place);
    }
    this.hashes[node] = hash;
    this.partitions[node] = partition;
    this.offsets[node] = offset;
    if (this.sampleCounts[place] === samplesPerKey) this.ceilings[place] = this.hashes[this.highest(place)];
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
    return this.slots.length * bytesPerPlace + this.next.length * bytesPerNode;
  }

  /** What will be held when the columns that are nearly full have grown. */
  bytesSoon(): number {
    const places = (this.length - this.freePlaces.length) * 8 >= this.slots.length * 7 ? this.slots.length : 0;
    const nodes = (this.nodeCount - this.freeNodes.length) * 8 >= this.next.length * 7 ? this.next.length : 0;
    return this.bytes() + (places * bytesPerPlace + nodes * bytesPerNode) * growth;
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.length);
    for (const column of [this.slots, this.newestMs, this.tags, this.heads, this.sampleCounts, this.ceilings])
      out.array(column.subarray(0, this.length));
    out.array(Uint32Array.from(this.freePlaces));
    out.u32(this.nodeCount);
    out.array(Uint32Array.from(this.freeNodes));
    for (const column of [this.next, this.hashes, this.partitions, this.offsets]) out.array(column.subarray(0, this.nodeCount));
  }

  restore(from: SnapshotReader): void {
    this.length = from.u32();
    this.slots = from.u32s();
    this.newestMs = from.f64s();
    this.tags = from.u32s();
    this.heads = from.u32s();
    this.sampleCounts = from.u8s();
    this.ceilings = from.u32s();
    this.freePlaces = [...from.u32s()];
    this.nodeCount = from.u32();
    this.freeNodes = [...from.u32s()];
    this.next = from.u32s();
    this.hashes = from.u32s();
    this.partitions = from.u32s();
    this.offsets = from.f64s();
    // As long as they would have grown: how much room is held decides who gets a place.
    this.growPlaces(this.length);
    this.growNodes(this.nodeCount);
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
    const node = this.freeNodes.pop() ?? this.nodeCount++;
    if (node >= this.next.length) this.growNodes(node + 1);
    return node;
  }

  private growNodes(needed: number): void {
    const length = grownLength(32, needed, growth);
    this.next = widen(this.next, new Uint32Array(length));
    this.hashes = widen(this.hashes, new Uint32Array(length));
    this.partitions = widen(this.partitions, new Uint32Array(length));
    this.offsets = widen(this.offsets, new Float64Array(length));
  }

  private growPlaces(needed: number): void {
    const length = grownLength(16, needed, growth);
    this.slots = widen(this.slots, new Uint32Array(length));
    this.newestMs = widen(this.newestMs, new Float64Array(length));
    this.tags = widen(this.tags, new Uint32Array(length));
    this.heads = widen(this.heads, new Uint32Array(length));
    this.sampleCounts = widen(this.sampleCounts, new Uint8Array(length));
    this.ceilings = widen(this.ceilings, new Uint32Array(length));
  }
}
