/**
 * 64-bit key hash -> slot, the small dense number under which all state of a key is kept. Open addressing with linear probing and
 * backward-shift deletion (Knuth, TAOCP vol. 3, 6.4 R): no tombstones, so it never degrades however long keys come and go.
 * Two keys with one hash would be counted as one: at a million keys the chance of any such pair is 3e-8.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { TextArena } from './text-arena.ts';

const free = 0;

export class KeyIndex {
  /** Slots in use. */
  size = 0;
  /** Slots ever handed out: every slot in use is below it. */
  slotLimit = 0;
  private readonly texts = new TextArena();
  /** slot + 1 at each place of the table, 0 = free. */
  private table = new Uint32Array(64);
  private lows = new Uint32Array(32);
  private highs = new Uint32Array(32);
  private used = new Uint8Array(32);
  private freeSlots: number[] = [];

  /** The slot of a key, or -1. */
  find(low: number, high: number): number {
    const mask = this.table.length - 1;
    for (let place = low & mask; ; place = (place + 1) & mask) {
      const entry = this.table[place];
      if (entry === free) return -1;
      const slot = entry - 1;
      if (this.lows[slot] === low && this.highs[slot] === high) return slot;
    }
  }

  /** Gives a key that is not there a slot. `low` and `high` as unsigned 32-bit numbers. */
  insert(low: number, high: number, text: string): number {
    if ((this.size + 1) * 2 > this.table.length) this.rebuild(this.table.length * 2);
    const slot = this.freeSlots.pop() ?? this.slotLimit++;
    if (slot >= this.lows.length) this.growSlots();
    this.lows[slot] = low;
    this.highs[slot] = high;
    this.used[slot] = 1;
    this.texts.set(slot, text);
    this.place(slot);
    this.size++;
    return slot;
  }

  remove(slot: number): void {
    const mask = this.table.length - 1;
    let hole = this.lows[slot] & mask;
    while (this.table[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; this.table[next] !== free; next = (next + 1) & mask) {
      const home = this.lows[this.table[next] - 1] & mask;
      const reachesHole = ((next - home) & mask) >= ((next - hole) & mask);
      if (reachesHole) {
        this.table[hole] = this.table[next];
        hole = next;
      }
    }
    this.table[hole] = free;
    this.used[slot] = 0;
    this.texts.free(slot);
    this.freeSlots.push(slot);
    this.size--;
  }

  holds(slot: number): boolean {
    return this.used[slot] === 1;
  }

  text(slot: number): string {
    return this.texts.get(slot);
  }

  bytes(): number {
    return this.table.byteLength + this.lows.byteLength * 2 + this.used.byteLength + this.texts.byteLength() + this.freeSlots.length * 8;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('key-index');
    out.u32(this.slotLimit);
    out.array(this.lows.subarray(0, this.slotLimit));
    out.array(this.highs.subarray(0, this.slotLimit));
    out.array(this.used.subarray(0, this.slotLimit));
    this.texts.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('key-index');
    this.slotLimit = from.u32();
    this.lows = atLeast(32, from.u32s());
    this.highs = atLeast(32, from.u32s());
    const used = from.u8s();
    this.used = new Uint8Array(this.lows.length);
    this.used.set(used);
    this.texts.restore(from);
    this.freeSlots = [];
    this.size = 0;
    for (let slot = this.slotLimit - 1; slot >= 0; slot--) {
      if (this.used[slot] === 1) this.size++;
      else this.freeSlots.push(slot);
    }
    let length = 64;
    while (length < this.size * 2) length *= 2;
    this.rebuild(length);
  }

  private rebuild(length: number): void {
    this.table = new Uint32Array(length);
    for (let slot = 0; slot < this.slotLimit; slot++) if (this.used[slot] === 1) this.place(slot);
  }

  private place(slot: number): void {
    const mask = this.table.length - 1;
    let place = this.lows[slot] & mask;
    while (this.table[place] !== free) place = (place + 1) & mask;
    this.table[place] = slot + 1;
  }

  private growSlots(): void {
    this.lows = atLeast(this.lows.length * 2, this.lows);
    this.highs = atLeast(this.highs.length * 2, this.highs);
    const used = new Uint8Array(this.used.length * 2);
    used.set(this.used);
    this.used = used;
  }
}

function atLeast(length: number, from: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  if (from.length >= length) return from;
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}
