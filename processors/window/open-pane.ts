/**
 * One pane that is not closed yet: which keys it touched, each key's newest event time in it, and for each key the five records with
 * the lowest hash (any five would do; the lowest hash makes them the same in every replay). Empty again when the pane closes. Samples are
 * nodes of one pool, so a key that came once pays for one.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';
import type { SampleRef } from './closed-window.ts';

export const samplesPerKey = 5;
/** Of a place that no key has: no slot is this high. */
const noSlot = 0xffffffff;
/** Panes double: they are filled anew all the time, and by half they would copy so much more that adding takes 5 % longer. */
const growth = 1;
const firstPlaces = 16;
const firstNodes = 32;
const bytesPerPlace = 24;
const bytesPerNode = 20;

/**
 * Words of a place, side by side so that a match costs one miss of the cache: the slot, half of its key's hash (the slot may have been
 * given to another key since), its samples, and the highest hash among five of them (whatever is not below it changes nothing).
 */
const placeWords = 4;
/** In the word of the samples: how many, above the number of the first node. */
const countShift = 29;
const headMask = 2 ** countShift - 1;
const noHead = headMask;

/** Words of a node: the sample's hash, its partition, the next node, and its offset in two halves. */
const nodeWords = 5;
const none = 0xffffffff;

export class OpenPane {
  length = 0;
  newestMs = new Float64Array(firstPlaces);
  private places = new Uint32Array(placeWords * firstPlaces);
  private nodes = new Uint32Array(nodeWords * firstNodes);
  private freePlaces: number[] = [];
  private nodeCount = 0;
  private freeNodes: number[] = [];
  /** Room that counts as held: as much as a pane that began empty would have grown to, though a reused one has more. */
  private heldPlaces = firstPlaces;
  private heldNodes = firstNodes;

  /** Empties the pane for the next one, and keeps what it has grown to. */
  reset(): void {
    this.length = 0;
    this.nodeCount = 0;
    this.freePlaces.length = 0;
    this.freeNodes.length = 0;
    this.heldPlaces = firstPlaces;
    this.heldNodes = firstNodes;
  }

  /** Whether it was not much smaller than what it has room for: then it is worth keeping. */
  get filled(): boolean {
    return this.heldPlaces * 4 >= this.newestMs.length;
  }

  /** Opens an entry for a key and returns its place. A key that was touched in another pane in between may get a second one. */
  touch(slot: number, tag: number): number {
    const place = this.freePlaces.pop() ?? this.length++;
    if (place >= this.heldPlaces) this.growPlaces(place + 1);
    const at = placeWords * place;
    this.places[at] = slot;
    this.places[at + 1] = tag;
    this.places[at + 2] = noHead;
    this.newestMs[place] = Number.NEGATIVE_INFINITY;
    return place;
  }

  /** The key was evicted: its entry and samples make room for others. */
  forget(place: number): void {
    const at = placeWords * place;
    for (let node = this.head(place); node !== none; node = this.nodes[nodeWords * node + 2]) this.freeNodes.push(node);
    this.places[at] = noSlot;
    this.places[at + 2] = noHead;
    this.freePlaces.push(place);
  }

  /** The slot whose key has the place. */
  slot(place: number): number {
    return this.places[placeWords * place];
  }

  /** Whether the place is of the key with this tag. */
  isOf(place: number, tag: number): boolean {
    return this.places[placeWords * place + 1] === tag;
  }

  offer(place: number, timeMs: number, hash: number, partition: number, offset: number): void {
    if (timeMs > this.newestMs[place]) this.newestMs[place] = timeMs;
    const at = placeWords * place;
    const samples = this.places[at + 2];
    const count = samples >>> countShift;
    if (count === samplesPerKey) {
      if (hash < this.places[at + 3]) this.replace(place, hash, partition, offset);
      return;
    }
    const node = this.newNode();
    const head = samples & headMask;
    this.write(node, hash, partition, offset);
    this.nodes[nodeWords * node + 2] = head === noHead ? none : head;
    this.places[at + 2] = ((count + 1) << countShift) | node;
    if (count + 1 === samplesPerKey) this.places[at + 3] = this.nodes[nodeWords * this.highest(place)];
  }

  /** Adds the samples of one place to another's, for a key that has two. */
  mergeSamples(into: number, from: number): void {
    for (let node = this.head(from); node !== none; node = this.nodes[nodeWords * node + 2]) {
      const at = nodeWords * node;
      this.offer(into, this.newestMs[from], this.nodes[at], this.nodes[at + 1], this.offset(node));
    }
  }

  samples(place: number): SampleRef[] {
    const refs: SampleRef[] = [];
    for (let node = this.head(place); node !== none; node = this.nodes[nodeWords * node + 2]) {
      refs.push({ hash: this.nodes[nodeWords * node], partition: this.nodes[nodeWords * node + 1], offset: this.offset(node) });
    }
    return refs;
  }

  bytes(): number {
    return this.heldPlaces * bytesPerPlace + this.heldNodes * bytesPerNode;
  }

  /** What will be held when the columns that are nearly full have grown. */
  bytesSoon(): number {
    const places = (this.length - this.freePlaces.length) * 8 >= this.heldPlaces * 7 ? this.heldPlaces : 0;
    const nodes = (this.nodeCount - this.freeNodes.length) * 8 >= this.heldNodes * 7 ? this.heldNodes : 0;
    return this.bytes() + (places * bytesPerPlace + nodes * bytesPerNode) * growth;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('open-pane 2');
    out.u32(this.length);
    out.array(this.newestMs.subarray(0, this.length));
    out.array(this.places.subarray(0, placeWords * this.length));
    out.u32s(this.freePlaces);
    out.u32(this.nodeCount);
    out.array(this.nodes.subarray(0, nodeWords * this.nodeCount));
    out.u32s(this.freeNodes);
  }

  restore(from: SnapshotReader): void {
    from.section('open-pane 2');
    this.reset();
    this.length = from.u32();
    this.newestMs = from.f64s();
    this.places = from.u32s();
    this.freePlaces = [...from.u32s()];
    this.nodeCount = from.u32();
    this.nodes = from.u32s();
    this.freeNodes = [...from.u32s()];
    // As long as they would have grown: how much room is held decides who gets a place.
    this.growPlaces(this.length);
    this.growNodes(this.nodeCount);
  }

  /** The first of a place's samples. */
  private head(place: number): number {
    const head = this.places[placeWords * place + 2] & headMask;
    return head === noHead ? none : head;
  }

  private offset(node: number): number {
    return this.nodes[nodeWords * node + 4] * 2 ** 32 + this.nodes[nodeWords * node + 3];
  }

  private write(node: number, hash: number, partition: number, offset: number): void {
    const at = nodeWords * node;
    this.nodes[at] = hash;
    this.nodes[at + 1] = partition;
    this.nodes[at + 3] = offset;
    this.nodes[at + 4] = offset / 2 ** 32;
  }

  /** A record with a lower hash than the highest of five takes its place. */
  private replace(place: number, hash: number, partition: number, offset: number): void {
    this.write(this.highest(place), hash, partition, offset);
    this.places[placeWords * place + 3] = this.nodes[nodeWords * this.highest(place)];
  }

  /** The node with the highest hash among a key's samples: the first to give way. */
  private highest(place: number): number {
    let highest = this.head(place);
    for (let node = this.nodes[nodeWords * highest + 2]; node !== none; node = this.nodes[nodeWords * node + 2]) {
      if (this.nodes[nodeWords * node] > this.nodes[nodeWords * highest]) highest = node;
    }
    return highest;
  }

  private newNode(): number {
    const node = this.freeNodes.pop() ?? this.nodeCount++;
    if (node >= this.heldNodes) this.growNodes(node + 1);
    return node;
  }

  private growNodes(needed: number): void {
    this.heldNodes = grownLength(firstNodes, needed, growth);
    if (this.heldNodes * nodeWords > this.nodes.length) this.nodes = widen(this.nodes, new Uint32Array(this.heldNodes * nodeWords));
  }

  private growPlaces(needed: number): void {
    this.heldPlaces = grownLength(firstPlaces, needed, growth);
    if (this.heldPlaces <= this.newestMs.length) return;
    this.newestMs = widen(this.newestMs, new Float64Array(this.heldPlaces));
    this.places = widen(this.places, new Uint32Array(this.heldPlaces * placeWords));
  }
}
