/**
 * 64-bit key hash -> slot, the small dense number under which all state of a key is kept. Open addressing with linear probing and
 * backward-shift deletion (Knuth, TAOCP vol. 3, 6.4 R): no tombstones, so it never degrades however long keys come and go. It is cut
 * into shards that grow each on their own: at half a million keys no growth moves more than a few thousand.
 * Two keys with one hash would be counted as one: at a million keys the chance of any such pair is 3e-8.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { grownLength, widen } from '../typed-arrays.ts';
import { firstSlots, slotGrowth } from './slot-columns.ts';
import { TextArena } from './text-arena.ts';

const free = 0;
const shardBits = 6;
const shardShift = 32 - shardBits;
const firstPlaces = 16;

export class KeyIndex {
  /** Slots in use. */
  size = 0;
  /** Slots ever handed out: every slot in use is below it. */
  slotLimit = 0;
  private readonly texts = new TextArena();
  /** By the top bits of the high half: slot + 1 at each place, 0 = free. */
  private readonly shards: Uint32Array[] = Array.from({ length: 1 << shardBits }, () => new Uint32Array(firstPlaces));
  private readonly shardSizes = new Uint32Array(1 << shardBits);
  private lows = new Uint32Array(firstSlots);
  private highs = new Uint32Array(firstSlots);
  private used = new Uint8Array(firstSlots);
  private freeSlots: number[] = [];

  /** The slot of a key, or -1. */
  find(low: number, high: number): number {
    const table = this.shards[high >>> shardShift];
    const mask = table.length - 1;
    for (let place = low & mask; ; place = (place + 1) & mask) {
      const entry = table[place];
      if (entry === free) return -1;
      const slot = entry - 1;
      if (this.lows[slot] === low && this.highs[slot] === high) return slot;
    }
  }

  /** Gives a key that is not there a slot. `low` and `high` as unsigned 32-bit numbers. */
  insert(low: number, high: number, text: string): number {
    const shard = high >>> shardShift;
    const slot = this.freeSlots.pop() ?? this.slotLimit++;
    if (slot >= this.lows.length) this.growSlots();
    this.lows[slot] = low;
    this.highs[slot] = high;
    this.used[slot] = 1;
    this.texts.set(slot, text);
    if ((this.shardSizes[shard] + 1) * 2 > this.shards[shard].length) this.growShard(shard);
    this.place(slot);
    return slot;
  }

  remove(slot: number): void {
    const shard = this.highs[slot] >>> shardShift;
    const table = this.shards[shard];
    const mask = table.length - 1;
    let hole = this.lows[slot] & mask;
    while (table[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; table[next] !== free; next = (next + 1) & mask) {
      const home = this.lows[table[next] - 1] & mask;
      const reachesHole = ((next - home) & mask) >= ((next - hole) & mask);
      if (reachesHole) {
        table[hole] = table[next];
        hole = next;
      }
    }
    table[hole] = free;
    this.used[slot] = 0;
    this.texts.free(slot);
    this.freeSlots.push(slot);
    this.shardSizes[shard]--;
    this.size--;
  }

  holds(slot: number): boolean {
    return this.used[slot] === 1;
  }

  text(slot: number): string {
    return this.texts.get(slot);
  }

  bytes(): number {
    const tables = this.shards.reduce((sum, table) => sum + table.byteLength, 0);
    return tables + this.lows.byteLength * 2 + this.used.byteLength + this.texts.byteLength() + this.freeSlots.length * 8;
  }

  /** Slots that were given back. */
  get freeCount(): number {
    return this.freeSlots.length;
  }

  /** Whether the next new key makes every column by slot grow. */
  get nextGrows(): boolean {
    return this.freeSlots.length === 0 && this.slotLimit === this.lows.length;
  }

  /** Half of the hash of the slot's key. */
  low(slot: number): number {
    return this.lows[slot];
  }

  high(slot: number): number {
    return this.highs[slot];
  }

  snapshot(out: SnapshotWriter): void {
    out.section('key-index');
    out.u32(this.slotLimit);
    out.array(this.lows.subarray(0, this.slotLimit));
    out.array(this.highs.subarray(0, this.slotLimit));
    out.array(this.used.subarray(0, this.slotLimit));
    out.u32s(this.freeSlots);
    out.array(Uint32Array.from(this.shards, (table) => table.length));
    this.texts.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('key-index');
    this.slotLimit = from.u32();
    const length = grownLength(firstSlots, this.slotLimit, slotGrowth);
    this.lows = widen(from.u32s(), new Uint32Array(length));
    this.highs = widen(from.u32s(), new Uint32Array(length));
    this.used = widen(from.u8s(), new Uint8Array(length));
    // The order of the free slots and the room held are part of the state: under pressure they decide who gets a place.
    this.freeSlots = [...from.u32s()];
    from.u32s().forEach((places, shard) => {
      this.shards[shard] = new Uint32Array(places);
    });
    this.texts.restore(from);
    this.size = 0;
    this.shardSizes.fill(0);
    for (let slot = 0; slot < this.slotLimit; slot++) if (this.used[slot] === 1) this.place(slot);
  }

  private growShard(shard: number): void {
    const old = this.shards[shard];
    const table = new Uint32Array(old.length * 2);
    const mask = table.length - 1;
    for (let i = 0; i < old.length; i++) {
      if (old[i] === free) continue;
      let place = this.lows[old[i] - 1] & mask;
      while (table[place] !== free) place = (place + 1) & mask;
      table[place] = old[i];
    }
    this.shards[shard] = table;
  }

  private place(slot: number): void {
    const shard = this.highs[slot] >>> shardShift;
    const table = this.shards[shard];
    const mask = table.length - 1;
    let place = this.lows[slot] & mask;
    while (table[place] !== free) place = (place + 1) & mask;
    table[place] = slot + 1;
    this.shardSizes[shard]++;
    this.size++;
  }

  private growSlots(): void {
    const length = grownLength(firstSlots, this.lows.length + 1, slotGrowth);
    this.lows = widen(this.lows, new Uint32Array(length));
    this.highs = widen(this.highs, new Uint32Array(length));
    this.used = widen(this.used, new Uint8Array(length));
  }
}
