import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Slab } from './slab.ts';
import { cellsLog2For, fullAt, probe } from './token-table.ts';

/** Stands in a slot's meta word for "what is in the other word is not a table of tokens". */
const foreign = 31;

/**
 * Which tokens each slot has seen and in which pane last: exact for every window that ends at the newest pane. A slot is a small
 * open-addressed table of (token, last pane) in the slab, so a token that comes again takes no room.
 */
export class ExactDistinct {
  private readonly slab: Slab;
  /** Per slot: address of the table; tokens * 32 + log2 of the cells + 1 (0: none, 31: `foreign`). */
  private slots = new Uint32Array(0);
  /** Where `collect` leaves its tokens and their panes. */
  tokens = new Uint32Array(1024);
  panes = new Uint32Array(1024);

  constructor(slab: Slab) {
    this.slab = slab;
  }

  /** Number of tokens held, expired ones included. */
  size(slot: number): number {
    const meta = this.meta(slot);
    return (meta & 31) === foreign ? 0 : meta >>> 5;
  }

  /** The integer `putForeign` left here, -1 if this slot holds tokens or nothing. */
  foreign(slot: number): number {
    return (this.meta(slot) & 31) === foreign ? this.slots[2 * slot] : -1;
  }

  /** Gives the table back and keeps an integer in its place. */
  putForeign(slot: number, value: number): void {
    this.clear(slot);
    this.room(slot);
    this.slots[2 * slot] = value;
    this.slots[2 * slot + 1] = foreign;
  }

  /** Notes that the token was seen in the pane. A table without room for it forgets tokens last seen before `firstPane` before it grows. */
  put(slot: number, token: number, pane: number, firstPane: number): void {
    this.room(slot);
    let meta = this.slots[2 * slot + 1];
    let cells = meta === 0 ? 0 : 1 << ((meta & 31) - 1);
    for (;;) {
      if (cells > 0) {
        const address = this.slots[2 * slot];
        const words = this.slab.chunks[address >>> 16];
        const at = probe(words, address & 0xffff, cells, 2, token);
        if (at >= 0 && words[at] === token) {
          if (pane > words[at + 1]) words[at + 1] = pane;
          return;
        }
        if (at >= 0 && meta >>> 5 < fullAt(cells)) {
          words[at] = token;
          words[at + 1] = pane;
          this.slots[2 * slot + 1] = meta + 32;
          return;
        }
      }
      const live = this.collect(slot, firstPane);
      this.rebuild(slot, live, cellsFor(live + 1, (meta & 31) - 1));
      meta = this.slots[2 * slot + 1];
      cells = 1 << ((meta & 31) - 1);
    }
  }

  /** How many tokens were last seen in panes firstPane..lastPane. */
  count(slot: number, firstPane: number, lastPane: number): number {
    const meta = this.meta(slot);
    if (meta >>> 5 === 0) return 0;
    const address = this.slots[2 * slot];
    const words = this.slab.chunks[address >>> 16];
    const base = address & 0xffff;
    const end = base + 2 * (1 << ((meta & 31) - 1));
    let count = 0;
    for (let at = base; at < end; at += 2) {
      if (words[at] !== 0 && words[at + 1] >= firstPane && words[at + 1] <= lastPane) count++;
    }
    return count;
  }

  /** Copies tokens last seen in `firstPane` or later to `tokens` and `panes`; returns how many. */
  collect(slot: number, firstPane: number): number {
    const meta = this.meta(slot);
    if (meta >>> 5 === 0) return 0;
    const address = this.slots[2 * slot];
    const words = this.slab.chunks[address >>> 16];
    const base = address & 0xffff;
    const cells = 1 << ((meta & 31) - 1);
    if (this.tokens.length < cells) {
      this.tokens = new Uint32Array(2 * cells);
      this.panes = new Uint32Array(2 * cells);
    }
    let count = 0;
    for (let at = base; at < base + 2 * cells; at += 2) {
      if (words[at] === 0 || words[at + 1] < firstPane) continue;
      this.tokens[count] = words[at];
      this.panes[count] = words[at + 1];
      count++;
    }
    return count;
  }

  /** Forgets tokens last seen before `firstPane`; returns how many are left. */
  expire(slot: number, firstPane: number): number {
    const size = this.size(slot);
    const live = size === 0 ? 0 : this.count(slot, firstPane, 0xffffffff);
    if (live === size) return live;
    if (live === 0) {
      this.clear(slot);
      return 0;
    }
    const cellsLog2 = (this.slots[2 * slot + 1] & 31) - 1;
    this.rebuild(slot, this.collect(slot, firstPane), cellsFor(live, cellsLog2));
    return live;
  }

  /** Gives the slot's table back. */
  clear(slot: number): void {
    const meta = this.meta(slot);
    if (meta === 0) return;
    if ((meta & 31) !== foreign) this.slab.release(this.slots[2 * slot], meta & 31);
    this.slots[2 * slot] = 0;
    this.slots[2 * slot + 1] = 0;
  }

  /** Moves every table to another slab, which the caller then adopts. */
  moveTo(other: Slab): void {
    for (let slot = 0; slot < this.capacity; slot++) {
      const meta = this.slots[2 * slot + 1];
      if (meta === 0 || (meta & 31) === foreign) continue;
      this.slots[2 * slot] = this.slab.copyTo(other, this.slots[2 * slot], meta & 31);
    }
  }

  /** Number of slots there is room for. */
  get capacity(): number {
    return this.slots.length / 2;
  }

  /** Bytes of the slots; the slab counts the tables. */
  bytes(): number {
    return this.slots.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('exact-distinct');
    out.array(this.slots);
  }

  restore(from: SnapshotReader): void {
    from.section('exact-distinct');
    this.slots = from.u32s();
  }

  private meta(slot: number): number {
    return 2 * slot < this.slots.length ? this.slots[2 * slot + 1] : 0;
  }

  /** Makes a table of 2^cellsLog2 cells from the first `count` collected tokens. */
  private rebuild(slot: number, count: number, cellsLog2: number): void {
    this.clear(slot);
    const address = this.slab.allocate(cellsLog2 + 1);
    const words = this.slab.chunks[address >>> 16];
    const base = address & 0xffff;
    const cells = 1 << cellsLog2;
    words.fill(0, base, base + 2 * cells);
    for (let i = 0; i < count; i++) {
      const at = probe(words, base, cells, 2, this.tokens[i]);
      words[at] = this.tokens[i];
      words[at + 1] = this.panes[i];
    }
    this.slots[2 * slot] = address;
    this.slots[2 * slot + 1] = (count << 5) | (cellsLog2 + 1);
  }

  private room(slot: number): void {
    if (2 * slot < this.slots.length) return;
    // By half only: with a million slots, doubling would leave 4 bytes a slot unused on average.
    const wider = new Uint32Array(2 * Math.max(16, slot + 1, Math.ceil((this.slots.length / 2) * 1.5)));
    wider.set(this.slots);
    this.slots = wider;
  }
}

/** log2 of the cells for so many tokens, of a table that has 2^nowLog2: it is only made smaller when it would be a quarter full, so that keys near a boundary do not move at every pane. */
function cellsFor(tokens: number, nowLog2: number): number {
  const needed = cellsLog2For(tokens);
  return needed + 2 <= nowLog2 ? needed : Math.max(needed, nowLog2);
}
