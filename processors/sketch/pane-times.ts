import type { Slab } from './slab.ts';

/** How many times an entry keeps: a power of two. */
export const mostTimes = 128;
const ringMask = mostTimes - 1;
const mostTimesLog2 = 31 - Math.clz32(mostTimes);

const startShift = 8;
const blockShift = 16;

/**
 * The newest 128 times of one pane of one slot, in four words of a `PaneTable`: pane, count, content, meta. A time is a u32 distance
 * from the pane's start. One is kept in place, more in a sorted block that doubles; a full block is a ring, so that a match in order of
 * time overwrites the oldest one. What is kept follows from the set of times alone.
 * Meta: times kept (8 bits), index of the oldest (8 bits), log2 of the block's words (0: no block).
 */
export class PaneTimes {
  private readonly slab: Slab;

  constructor(slab: Slab) {
    this.slab = slab;
  }

  /** How many times the entry keeps. */
  kept(entry: number): number {
    return this.slab.chunks[entry >>> 16][(entry & 0xffff) + 3] & 0xff;
  }

  add(entry: number, time: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const meta = words[at + 3];
    const kept = meta & 0xff;
    if (kept === 0) {
      words[at + 2] = time;
      words[at + 3] = 1;
    } else if (kept === mostTimes) {
      this.addToRing(words, at, time);
    } else {
      if (kept === 1 << (meta >>> blockShift)) this.widen(entry);
      const block = this.slab.chunks[entry >>> 16][at + 2];
      const times = this.slab.chunks[block >>> 16];
      const base = block & 0xffff;
      let to = base + kept;
      for (; to > base && times[to - 1] > time; to--) times[to] = times[to - 1];
      times[to] = time;
      this.slab.chunks[entry >>> 16][at + 3]++;
    }
  }

  /** Copies the times, oldest first; returns how many. `out` has room for `mostTimes`. */
  copy(entry: number, out: Uint32Array): number {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const kept = words[at + 3] & 0xff;
    if (words[at + 3] >>> blockShift === 0) {
      if (kept === 1) out[0] = words[at + 2];
      return kept;
    }
    const start = (words[at + 3] >>> startShift) & 0xff;
    const block = words[at + 2];
    const times = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    for (let i = 0; i < kept; i++) out[i] = times[base + ((start + i) & ringMask)];
    return kept;
  }

  /** Forgets the `count` oldest times. `scratch` has room for `mostTimes`. */
  dropOldest(entry: number, count: number, scratch: Uint32Array): void {
    const kept = this.copy(entry, scratch);
    this.release(entry);
    for (let i = count; i < kept; i++) this.add(entry, scratch[i]);
  }

  /** Gives the memory behind an entry back; its count stays. */
  release(entry: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const log2 = words[at + 3] >>> blockShift;
    if (log2 > 0) this.slab.release(words[at + 2], log2);
    words[at + 3] = 0;
  }

  /** Moves what an entry of another slab still points to in this one to the other. */
  moveTo(other: Slab, entry: number): void {
    const words = other.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const log2 = words[at + 3] >>> blockShift;
    if (log2 === 0) return;
    const block = this.slab.copyTo(other, words[at + 2], log2);
    // The copy may have replaced the chunk.
    other.chunks[entry >>> 16][at + 2] = block;
  }

  private addToRing(words: Uint32Array, at: number, time: number): void {
    const block = words[at + 2];
    const times = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    let start = (words[at + 3] >>> startShift) & 0xff;
    if (time <= times[base + start]) return;
    start = (start + 1) & ringMask;
    words[at + 3] = mostTimes | (start << startShift) | (mostTimesLog2 << blockShift);
    let to = (start + mostTimes - 1) & ringMask;
    for (let i = 1; i < mostTimes; i++) {
      const before = (to - 1) & ringMask;
      if (times[base + before] <= time) break;
      times[base + to] = times[base + before];
      to = before;
    }
    times[base + to] = time;
  }

  /** Moves the times to a block of twice the words. */
  private widen(entry: number): void {
    const at = entry & 0xffff;
    const log2 = (this.slab.chunks[entry >>> 16][at + 3] >>> blockShift) + 1;
    const block = this.slab.allocate(log2);
    // Allocating may have replaced the chunk.
    const words = this.slab.chunks[entry >>> 16];
    const kept = words[at + 3] & 0xff;
    const times = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    if (log2 === 1) {
      times[base] = words[at + 2];
    } else {
      const old = words[at + 2];
      times.set(this.slab.chunks[old >>> 16].subarray(old & 0xffff, (old & 0xffff) + kept), base);
      this.slab.release(old, log2 - 1);
    }
    words[at + 2] = block;
    words[at + 3] = kept | (log2 << blockShift);
  }
}
