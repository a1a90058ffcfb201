import { noBlock, type Slab } from '../sketch/slab.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/**
 * For every slot a short list of entries, one a pane: 2^k words each, the first of which is the pane. The list is a block of the slab
 * that doubles when it is full; slots are two words (block, length and capacity) in one array. Entries are in order of arrival and
 * looked for from the newest, which is nearly always the one; a window has some sixty.
 */
export class PaneTable {
  readonly slab: Slab;
  readonly entryLog2: number;
  /** Per slot: address of the block; length * 32 + log2 of the capacity in entries + 1 (0: no block). */
  private slots = new Uint32Array(0);

  constructor(slab: Slab, entryLog2: number) {
    this.slab = slab;
    this.entryLog2 = entryLog2;
  }

  /** Number of panes of the slot. */
  length(slot: number): number {
    return 2 * slot < this.slots.length ? this.slots[2 * slot + 1] >>> 5 : 0;
  }

  /** Address of the slot's first entry; the next ones follow. Only meaningful where `length` is not 0. */
  address(slot: number): number {
    return this.slots[2 * slot];
  }

  /** Address of the slot's entry of that pane (the newest, if there are several), `noBlock` if there is none. */
  find(slot: number, pane: number): number {
    const length = this.length(slot);
    if (length === 0) return noBlock;
    const first = this.slots[2 * slot];
    const words = this.slab.chunks[first >>> 16];
    const step = 1 << this.entryLog2;
    const base = first & 0xffff;
    for (let at = base + ((length - 1) << this.entryLog2); at >= base; at -= step) {
      if (words[at] === pane) return first + at - base;
    }
    return noBlock;
  }

  /** Address of the slot's entry of that pane; a new one is all zero past the pane. */
  ensure(slot: number, pane: number): number {
    const found = this.find(slot, pane);
    return found === noBlock ? this.append(slot, pane) : found;
  }

  /** Adds an entry, zero past the pane, even if the pane has one already. */
  append(slot: number, pane: number): number {
    if (2 * slot >= this.slots.length) this.growSlots(slot);
    const meta = this.slots[2 * slot + 1];
    const length = meta >>> 5;
    const capacity = (meta & 31) === 0 ? 0 : 1 << ((meta & 31) - 1);
    if (length === capacity) this.resize(slot, length, meta & 31);
    this.slots[2 * slot + 1] += 32;
    const address = this.slots[2 * slot] + (length << this.entryLog2);
    const words = this.slab.chunks[address >>> 16];
    const at = address & 0xffff;
    words[at] = pane;
    words.fill(0, at + 1, at + (1 << this.entryLog2));
    return address;
  }

  /** Address of the entry of the slot's oldest pane up to `lastPane`, `noBlock` if there is none. */
  oldestEntry(slot: number, lastPane: number): number {
    const length = this.length(slot);
    let oldest = noBlock;
    if (length === 0) return oldest;
    let oldestPane = lastPane + 1;
    const first = this.slots[2 * slot];
    const words = this.slab.chunks[first >>> 16];
    const base = first & 0xffff;
    const end = base + (length << this.entryLog2);
    for (let at = base; at < end; at += 1 << this.entryLog2) {
      if (words[at] >= oldestPane) continue;
      oldest = first + at - base;
      oldestPane = words[at];
    }
    return oldest;
  }

  /** Whether the slot has an entry of any of these panes. */
  holdsAny(slot: number, firstPane: number, lastPane: number): boolean {
    const length = this.length(slot);
    if (length === 0) return false;
    const first = this.slots[2 * slot];
    const words = this.slab.chunks[first >>> 16];
    const end = (first & 0xffff) + (length << this.entryLog2);
    for (let at = first & 0xffff; at < end; at += 1 << this.entryLog2) if (words[at] >= firstPane && words[at] <= lastPane) return true;
    return false;
  }

  /** The smallest pane from `firstPane` on that has an entry; Infinity if there is none. */
  oldestPane(slot: number, firstPane: number): number {
    const length = this.length(slot);
    let oldest = Number.POSITIVE_INFINITY;
    if (length === 0) return oldest;
    const first = this.slots[2 * slot];
    const words = this.slab.chunks[first >>> 16];
    const end = (first & 0xffff) + (length << this.entryLog2);
    for (let at = first & 0xffff; at < end; at += 1 << this.entryLog2) if (words[at] >= firstPane && words[at] < oldest) oldest = words[at];
    return oldest;
  }

  /**
   * Removes the entries of panes before `firstPane`, calling `dropped` with the address of each before it goes. Returns true if the slot
   * has none left.
   */
  expire(slot: number, firstPane: number, dropped?: (address: number) => void): boolean {
    const length = this.length(slot);
    if (length === 0) return true;
    const first = this.slots[2 * slot];
    const step = 1 << this.entryLog2;
    const words = this.slab.chunks[first >>> 16];
    const base = first & 0xffff;
    const end = base + (length << this.entryLog2);
    let to = base;
    for (let at = base; at < end; at += step) {
      if (words[at] < firstPane) {
        dropped?.(first + at - base);
      } else {
        if (to !== at) words.copyWithin(to, at, at + step);
        to += step;
      }
    }
    if (to !== end) this.shorten(slot, (to - base) >> this.entryLog2);
    return to === base;
  }

  /** Removes one entry; those after it move up. */
  remove(slot: number, address: number): void {
    const length = this.length(slot);
    const first = this.slots[2 * slot];
    const words = this.slab.chunks[first >>> 16];
    const at = address & 0xffff;
    words.copyWithin(at, at + (1 << this.entryLog2), (first & 0xffff) + (length << this.entryLog2));
    this.shorten(slot, length - 1);
  }

  /** Gives the slot's block back. */
  release(slot: number): void {
    if (this.length(slot) > 0) this.shorten(slot, 0);
  }

  /** Moves every block to another slab, which the caller then adopts; `carry` moves what an entry there still points to here. */
  moveTo(other: Slab, carry?: (entry: number) => void): void {
    for (let slot = 0; 2 * slot < this.slots.length; slot++) {
      const meta = this.slots[2 * slot + 1];
      if (meta === 0) continue;
      const address = this.slab.copyTo(other, this.slots[2 * slot], (meta & 31) - 1 + this.entryLog2);
      this.slots[2 * slot] = address;
      for (let i = 0; carry !== undefined && i < meta >>> 5; i++) carry(address + (i << this.entryLog2));
    }
  }

  /** Bytes of the slots; the slab counts the rest. */
  bytes(): number {
    return this.slots.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('panes');
    out.array(this.slots);
  }

  restore(from: SnapshotReader): void {
    from.section('panes');
    this.slots = from.u32s();
  }

  private shorten(slot: number, length: number): void {
    const meta = this.slots[2 * slot + 1];
    this.slots[2 * slot + 1] = (length << 5) | (meta & 31);
    const capacityLog2 = (meta & 31) - 1;
    if (length === 0) {
      this.slab.release(this.slots[2 * slot], capacityLog2 + this.entryLog2);
      this.slots[2 * slot] = 0;
      this.slots[2 * slot + 1] = 0;
    } else if (length * 4 <= 1 << capacityLog2) {
      this.resize(slot, length, 32 - Math.clz32(length - 1));
    }
  }

  /** Moves the slot's entries to a block for 2^capacityLog2 of them. */
  private resize(slot: number, length: number, capacityLog2: number): void {
    const oldMeta = this.slots[2 * slot + 1];
    const old = this.slots[2 * slot];
    const block = this.slab.allocate(capacityLog2 + this.entryLog2);
    if (length > 0) {
      const from = this.slab.chunks[old >>> 16];
      const at = old & 0xffff;
      this.slab.chunks[block >>> 16].set(from.subarray(at, at + (length << this.entryLog2)), block & 0xffff);
    }
    if ((oldMeta & 31) > 0) this.slab.release(old, (oldMeta & 31) - 1 + this.entryLog2);
    this.slots[2 * slot] = block;
    this.slots[2 * slot + 1] = (length << 5) | (capacityLog2 + 1);
  }

  private growSlots(slot: number): void {
    // By a quarter only: room that is not used is room that keys do not get.
    const wider = new Uint32Array(2 * Math.max(16, slot + 1, Math.ceil((this.slots.length / 2) * 1.25)));
    wider.set(this.slots);
    this.slots = wider;
  }
}
