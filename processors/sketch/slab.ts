import { SnapshotError, type SnapshotReader, type SnapshotWriter } from '../snapshot.ts';

/** No block. Never handed out: the last word of the last possible chunk is left unused. */
export const noBlock = 0xffffffff;

const chunkLog2 = 16;
const chunkWords = 1 << chunkLog2;
const firstChunkWords = 256;

/** Blocks hold 2^0 … 2^16 words. */
export const maxBlockLog2 = chunkLog2;

/**
 * Memory for very many small arrays: blocks of 2^k 32-bit words, cut from chunks of 256 KiB, so that growth never copies what is there
 * and a block is an integer (its address in words). One free list per size; a freed block's first word holds the next one.
 *
 * A block lies in one chunk: its words are `chunks[address >>> 16]` from `address & 0xffff`, and blocks of two words or more are even,
 * so `doubles` sees them too. `allocate` may replace the first chunk while it is small: take the arrays again after it.
 * What a fresh block holds is whatever was left there.
 */
export class Slab {
  readonly chunks: Uint32Array[] = [];
  /** The same memory as `chunks`, as f64. */
  readonly doubles: Float64Array[] = [];
  /** The same memory as `chunks`, as f32. */
  readonly floats: Float32Array[] = [];
  private readonly free = new Uint32Array(maxBlockLog2 + 1).fill(noBlock);
  /** First word of the last chunk that was never handed out. */
  private at = 0;
  /** Words in blocks that were given back. */
  private freeWords = 0;

  /** A block of 2^log2Words words. Throws a RangeError past 16 GiB or a block of more than 2^16 words. */
  allocate(log2Words: number): number {
    const head = this.free[log2Words];
    if (head !== undefined && head !== noBlock) {
      this.free[log2Words] = this.chunks[head >>> chunkLog2][head & (chunkWords - 1)];
      this.freeWords -= 1 << log2Words;
      return head;
    }
    if (log2Words > maxBlockLog2) {
      throw new RangeError(
        `one key needs a block of 2^${log2Words} words, the largest is 2^${maxBlockLog2}: use a longer slide or a shorter window`,
      );
    }
    const words = 1 << log2Words;
    if (words > 1 && this.at & 1) this.giveRest(this.at + 1);
    if (this.chunks.length === 0 || this.at + words > chunkWords) this.addChunk();
    if (this.chunks.length === 1 && this.at + words > this.chunks[0].length) this.growFirst(this.at + words);
    const address = (this.chunks.length - 1) * chunkWords + this.at;
    this.at += words;
    return address;
  }

  release(address: number, log2Words: number): void {
    this.chunks[address >>> chunkLog2][address & (chunkWords - 1)] = this.free[log2Words];
    this.free[log2Words] = address;
    this.freeWords += 1 << log2Words;
  }

  /** Copies a block of 2^log2Words words to another slab; returns its address there. */
  copyTo(other: Slab, address: number, log2Words: number): number {
    const copy = other.allocate(log2Words);
    const at = address & (chunkWords - 1);
    const words = this.chunks[address >>> chunkLog2].subarray(at, at + (1 << log2Words));
    other.chunks[copy >>> chunkLog2].set(words, copy & (chunkWords - 1));
    return copy;
  }

  /** Takes over what another slab holds, in place of its own: how state moves together after much of it was given back. */
  adopt(other: Slab): void {
    this.chunks.length = 0;
    this.doubles.length = 0;
    this.floats.length = 0;
    other.chunks.forEach((chunk, index) => {
      this.setChunk(index, chunk);
    });
    this.free.set(other.free);
    this.at = other.at;
    this.freeWords = other.freeWords;
  }

  /** Bytes that no block takes. */
  spareBytes(): number {
    const rest = this.chunks.length === 0 ? 0 : this.chunks[this.chunks.length - 1].length - this.at;
    return 4 * (this.freeWords + rest);
  }

  bytes(): number {
    // Only the first chunk may be shorter than the others.
    return this.chunks.length === 0 ? 0 : this.chunks[0].byteLength + (this.chunks.length - 1) * chunkWords * 4;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('slab');
    out.u32(this.chunks.length);
    out.u32(this.at);
    out.f64(this.freeWords);
    out.array(this.free);
    for (const chunk of this.chunks) out.array(chunk);
  }

  restore(from: SnapshotReader): void {
    from.section('slab');
    const count = from.u32();
    const at = from.u32();
    const freeWords = from.f64();
    const free = from.u32s();
    if (free.length !== this.free.length)
      throw new SnapshotError(`a slab has ${this.free.length} block sizes, the snapshot has ${free.length}`);
    this.chunks.length = 0;
    this.doubles.length = 0;
    this.floats.length = 0;
    for (let i = 0; i < count; i++) this.setChunk(i, from.u32s());
    this.at = at;
    this.freeWords = freeWords;
    this.free.set(free);
  }

  private addChunk(): void {
    // What is left of the old chunk goes to the free lists, so nothing is lost.
    if (this.chunks.length > 0) {
      if (this.chunks.length === 1 && this.chunks[0].length < chunkWords) this.growFirst(chunkWords);
      this.giveRest(chunkWords);
    }
    if (this.chunks.length === 65535)
      throw new RangeError('the state of one rule passed 16 GiB: give it fewer keys or a smaller memory budget');
    this.setChunk(this.chunks.length, new Uint32Array(this.chunks.length === 0 ? firstChunkWords : chunkWords));
    this.at = 0;
  }

  /** Hands the words from `at` to `end` of the last chunk to the free lists, in pieces as large as they can be. */
  private giveRest(end: number): void {
    const first = (this.chunks.length - 1) * chunkWords;
    while (this.at < end) {
      const log2 = this.at & 1 ? 0 : 31 - Math.clz32(end - this.at);
      this.release(first + this.at, log2);
      this.at += 1 << log2;
    }
  }

  /** The first chunk starts small, since most rules of a small deployment never fill it. */
  private growFirst(words: number): void {
    let length = this.chunks[0].length;
    while (length < words) length *= 2;
    const wider = new Uint32Array(length);
    wider.set(this.chunks[0]);
    this.setChunk(0, wider);
  }

  private setChunk(index: number, chunk: Uint32Array): void {
    this.chunks[index] = chunk;
    this.doubles[index] = new Float64Array(chunk.buffer);
    this.floats[index] = new Float32Array(chunk.buffer);
  }
}
