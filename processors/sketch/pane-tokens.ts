import type { Slab } from './slab.ts';
import { rankOf } from './token.ts';
import { cellsLog2For, fullAt, probe } from './token-table.ts';

/** What the third word of an entry says the second one is. */
const single = 1;
const table = 2;
const dense = 3;

/**
 * The distinct values of one open pane of one slot, in four words of a `PaneTable`: pane, content, form + 4 * log2 of the words, count.
 * One token is kept in place; up to `exactLimit` in a table; more as 2^precision registers of a byte. Which of them it is follows from
 * the set of values alone.
 */
export class PaneTokens {
  private readonly slab: Slab;
  private readonly precision: number;
  /** Of a token's register; kept, since a power per match is a call. */
  private readonly registerMask: number;
  private readonly exactLimit: number;
  private readonly held: Uint32Array;

  constructor(slab: Slab, precision: number, exactLimit: number) {
    this.slab = slab;
    this.precision = precision;
    this.registerMask = 2 ** precision - 1;
    this.exactLimit = exactLimit;
    this.held = new Uint32Array(exactLimit);
  }

  add(entry: number, token: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const form = words[at + 2] & 3;
    if (form === dense) {
      this.raise(words[at + 1], token & this.registerMask, rankOf(token, this.precision));
      return;
    }
    if (words[at + 3] === 0) {
      words[at + 1] = token;
      words[at + 2] = single;
      words[at + 3] = 1;
      return;
    }
    if (form === single) {
      if (words[at + 1] !== token) this.addToTable(entry, this.rebuild(entry, 1), token);
      return;
    }
    this.addToTable(entry, words[at + 2] >>> 2, token);
  }

  isDense(entry: number): boolean {
    return (this.slab.chunks[entry >>> 16][(entry & 0xffff) + 2] & 3) === dense;
  }

  /** Copies the tokens of an entry that is not dense; returns how many. `out` has room for `exactLimit`. */
  tokens(entry: number, out: Uint32Array): number {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if (words[at + 3] === 0) return 0;
    if ((words[at + 2] & 3) === single) {
      out[0] = words[at + 1];
      return 1;
    }
    const block = words[at + 1];
    const cells = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    const end = base + (1 << (words[at + 2] >>> 2));
    let count = 0;
    for (let cell = base; cell < end; cell++) if (cells[cell] !== 0) out[count++] = cells[cell];
    return count;
  }

  /** Raises `registers` to those of the entry, in either form. */
  raiseRegisters(entry: number, registers: Uint8Array, scratch: Uint32Array): void {
    if (!this.isDense(entry)) {
      const count = this.tokens(entry, scratch);
      for (let i = 0; i < count; i++) {
        const register = scratch[i] & (registers.length - 1);
        registers[register] = Math.max(registers[register], rankOf(scratch[i], this.precision));
      }
      return;
    }
    const block = this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1];
    const words = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    for (let register = 0; register < registers.length; register++) {
      const rank = (words[base + (register >> 2)] >>> ((register & 3) * 8)) & 0xff;
      if (rank > registers[register]) registers[register] = rank;
    }
  }

  /** Makes the entry dense and raises its registers to these. */
  mergeRegisters(entry: number, registers: Uint8Array): void {
    if (!this.isDense(entry)) this.promote(entry);
    const block = this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1];
    for (let register = 0; register < registers.length; register++) {
      if (registers[register] > 0) this.raise(block, register, registers[register]);
    }
  }

  /** Gives the memory behind an entry back. */
  release(entry: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if ((words[at + 2] & 3) >= table) this.slab.release(words[at + 1], words[at + 2] >>> 2);
    words[at + 2] = 0;
  }

  /** Moves what an entry of another slab still points to in this one to the other. */
  moveTo(other: Slab, entry: number): void {
    const words = other.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if ((words[at + 2] & 3) < table) return;
    const block = this.slab.copyTo(other, words[at + 1], words[at + 2] >>> 2);
    // The copy may have replaced the chunk.
    other.chunks[entry >>> 16][at + 1] = block;
  }

  private addToTable(entry: number, log2: number, token: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const block = words[at + 1];
    const cells = this.slab.chunks[block >>> 16];
    const cell = probe(cells, block & 0xffff, 1 << log2, 1, token);
    if (cell >= 0 && cells[cell] === token) return;
    const count = words[at + 3];
    if (count === this.exactLimit) {
      this.promote(entry);
      this.add(entry, token);
    } else if (cell < 0 || count >= fullAt(1 << log2)) {
      // By four once it is worth it: an open pane's table does not live long, and rehashing costs more than its room.
      this.addToTable(entry, this.rebuild(entry, log2 + (log2 < 3 ? 1 : 2)), token);
    } else {
      cells[cell] = token;
      words[at + 3] = count + 1;
    }
  }

  /** Moves the tokens of an entry to a table of 2^log2 cells. */
  private rebuild(entry: number, log2: number): number {
    const held = this.held;
    const count = this.tokens(entry, held);
    this.release(entry);
    const cellsLog2 = Math.max(log2, cellsLog2For(count + 1));
    const block = this.slab.allocate(cellsLog2);
    const cells = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    cells.fill(0, base, base + (1 << cellsLog2));
    for (let i = 0; i < count; i++) cells[probe(cells, base, 1 << cellsLog2, 1, held[i])] = held[i];
    this.set(entry, block, table, cellsLog2, count);
    return cellsLog2;
  }

  private promote(entry: number): void {
    const count = this.tokens(entry, this.held);
    this.release(entry);
    const log2 = this.precision - 2;
    const block = this.slab.allocate(log2);
    const base = block & 0xffff;
    this.slab.chunks[block >>> 16].fill(0, base, base + (1 << log2));
    this.set(entry, block, dense, log2, 0);
    for (let i = 0; i < count; i++) this.raise(block, this.held[i] & this.registerMask, rankOf(this.held[i], this.precision));
  }

  private set(entry: number, block: number, form: number, log2: number, count: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    words[at + 1] = block;
    words[at + 2] = form | (log2 << 2);
    words[at + 3] = count;
  }

  private raise(block: number, register: number, rank: number): void {
    const words = this.slab.chunks[block >>> 16];
    const at = (block & 0xffff) + (register >> 2);
    const shift = (register & 3) * 8;
    if (((words[at] >>> shift) & 0xff) < rank) words[at] = (words[at] & ~(0xff << shift)) | (rank << shift);
  }
}
