import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { ExponentialHistogram } from './exponential-histogram.ts';
import { addWords, appendWords, countInWords, putWords, wordsAt, wordsFor } from './histogram-words.ts';
import type { Slab } from './slab.ts';
import type { CentroidList } from './t-digest.ts';

/** What the third word of an entry says the second one is. */
export const Form = { single: 1, values: 2, histogram: 3, digest: 4 } as const;

/**
 * The numbers of one pane of one slot, in four words of a `PaneTable`: pane, content, form + 8 * log2 of the words, how many. Up to `most`
 * numbers are kept as f32, one of them in place; more as an exponential histogram (`histogram-words.ts`). Which it is, and what is in the
 * histogram, follows from the set of numbers alone. A digest is only ever put here by `putDigest`.
 */
export class PaneValues {
  private readonly slab: Slab;
  private readonly most: number;
  private readonly histogram: ExponentialHistogram;
  private readonly held = new Float32Array(1);
  private readonly heldWord = new Uint32Array(this.held.buffer);

  /**
   * @param most how many numbers an entry keeps as they are
   * @param scale of the histogram beyond that, at most 8
   * @param maxBuckets between its extremes, before its scale is halved
   */
  constructor(slab: Slab, most: number, scale: number, maxBuckets: number) {
    this.slab = slab;
    this.most = most;
    this.histogram = new ExponentialHistogram(scale, maxBuckets);
  }

  form(entry: number): number {
    return this.slab.chunks[entry >>> 16][(entry & 0xffff) + 2] & 7;
  }

  /** How many numbers the entry stands for. */
  count(entry: number): number {
    return this.slab.chunks[entry >>> 16][(entry & 0xffff) + 3];
  }

  /** Adds a number that is an f32 already. */
  add(entry: number, value: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    const meta = words[at + 2];
    const count = words[at + 3];
    if ((meta & 7) === Form.histogram) {
      this.addToHistogram(entry, value);
    } else if (count === 0) {
      this.held[0] = value;
      this.set(entry, this.heldWord[0], Form.single, 0, 1);
    } else if (count === this.most) {
      this.toHistogram(entry);
      this.addToHistogram(entry, value);
    } else {
      const log2 = 32 - Math.clz32(count);
      if ((meta & 7) === Form.single || meta >>> 3 < log2) this.widen(entry, log2);
      const block = this.slab.chunks[entry >>> 16][at + 1];
      this.slab.floats[block >>> 16][(block & 0xffff) + count] = value;
      this.slab.chunks[entry >>> 16][at + 3] = count + 1;
    }
  }

  /** Copies the numbers of an entry that holds them as they are to `out` from `to` on; returns the index after them. */
  copy(entry: number, out: Float32Array, to: number): number {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if ((words[at + 2] & 7) === Form.single) {
      this.heldWord[0] = words[at + 1];
      out[to] = this.held[0];
      return to + 1;
    }
    const block = words[at + 1];
    const floats = this.slab.floats[block >>> 16];
    const base = block & 0xffff;
    const count = words[at + 3];
    for (let i = 0; i < count; i++) out[to + i] = floats[base + i];
    return to + count;
  }

  /** Adds an entry of any form but a digest to a histogram. */
  addTo(histogram: ExponentialHistogram, entry: number, scratch: Float32Array): void {
    if (this.form(entry) !== Form.histogram) {
      const count = this.copy(entry, scratch, 0);
      for (let i = 0; i < count; i++) histogram.add(scratch[i]);
      return;
    }
    const block = this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1];
    addWords(this.slab.chunks[block >>> 16], block & 0xffff, histogram);
  }

  /** Appends an entry to a list of centroids, ascending; a histogram's buckets by their middles, as f32. */
  appendTo(list: CentroidList, entry: number, scratch: Float32Array): void {
    const form = this.form(entry);
    if (form === Form.single || form === Form.values) {
      const count = this.copy(entry, scratch, 0);
      const sorted = scratch.subarray(0, count).sort();
      for (let i = 0; i < count; i++) list.push(sorted[i], 1);
      return;
    }
    const block = this.slab.chunks[entry >>> 16][(entry & 0xffff) + 1];
    const words = this.slab.chunks[block >>> 16];
    const base = block & 0xffff;
    if (form === Form.digest) {
      const floats = this.slab.floats[block >>> 16];
      const end = base + 2 + 2 * words[base];
      for (let at = base + 2; at < end; at += 2) list.push(floats[at], words[at + 1]);
      return;
    }
    appendWords(words, base, list);
  }

  /** Replaces what the entry holds by a digest. */
  putDigest(entry: number, list: CentroidList): void {
    this.release(entry);
    const log2 = log2For(2 + 2 * list.length);
    const block = this.slab.allocate(log2);
    const words = this.slab.chunks[block >>> 16];
    const floats = this.slab.floats[block >>> 16];
    const base = block & 0xffff;
    words[base] = list.length;
    for (let i = 0; i < list.length; i++) {
      floats[base + 2 + 2 * i] = list.means[i];
      words[base + 3 + 2 * i] = list.weights[i];
    }
    this.set(entry, block, Form.digest, log2, list.total);
  }

  /** Gives the memory behind an entry back. */
  release(entry: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if ((words[at + 2] & 7) >= Form.values) this.slab.release(words[at + 1], words[at + 2] >>> 3);
    words[at + 2] = 0;
    words[at + 3] = 0;
  }

  /** Moves what an entry of another slab still points to in this one to the other. */
  moveTo(other: Slab, entry: number): void {
    const words = other.chunks[entry >>> 16];
    const at = entry & 0xffff;
    if ((words[at + 2] & 7) < Form.values) return;
    const block = this.slab.copyTo(other, words[at + 1], words[at + 2] >>> 3);
    // The copy may have replaced the chunk.
    other.chunks[entry >>> 16][at + 1] = block;
  }

  /** Writes an entry; `merge` of any instance reads it. */
  encode(entry: number, out: SnapshotWriter): void {
    const form = this.form(entry);
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    out.u32(form);
    out.u32(words[at + 3]);
    const block = words[at + 1];
    if (form === Form.single) {
      out.array(words.subarray(at + 1, at + 2));
      return;
    }
    const base = block & 0xffff;
    const content = this.slab.chunks[block >>> 16];
    const length = form === Form.values ? words[at + 3] : form === Form.digest ? 2 + 2 * content[base] : wordsAt(content, base);
    out.array(content.subarray(base, base + length));
  }

  /** Reads what `encode` wrote into an entry that is no digest. A digest is appended to `digests` instead; returns whether it was one. */
  merge(entry: number, from: SnapshotReader, digests: CentroidList): boolean {
    const form = from.u32();
    from.u32();
    const content = from.u32s();
    const floats = new Float32Array(content.buffer);
    if (form === Form.single || form === Form.values) {
      for (const value of floats) this.add(entry, value);
    } else if (form === Form.digest) {
      for (let i = 0; i < content[0]; i++) digests.push(floats[2 + 2 * i], content[3 + 2 * i]);
      return true;
    } else {
      this.mergeHistogram(entry, content);
    }
    return false;
  }

  private mergeHistogram(entry: number, content: Uint32Array): void {
    if (this.form(entry) !== Form.histogram) this.toHistogram(entry);
    this.load(entry);
    addWords(content, 0, this.histogram);
    this.store(entry);
  }

  private addToHistogram(entry: number, value: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const block = words[(entry & 0xffff) + 1];
    if (countInWords(this.slab.chunks[block >>> 16], block & 0xffff, value)) {
      words[(entry & 0xffff) + 3]++;
      return;
    }
    this.load(entry);
    this.histogram.add(value);
    this.store(entry);
  }

  private toHistogram(entry: number): void {
    const count = this.count(entry);
    const numbers = new Float32Array(count);
    if (count > 0) this.copy(entry, numbers, 0);
    this.histogram.reset();
    for (const number of numbers) this.histogram.add(number);
    this.store(entry);
  }

  /** Reads the entry's histogram into `this.histogram`. */
  private load(entry: number): void {
    this.histogram.reset();
    this.addTo(this.histogram, entry, this.held);
  }

  /** Writes `this.histogram` over what the entry holds. */
  private store(entry: number): void {
    const log2 = log2For(wordsFor(this.histogram));
    const words = this.slab.chunks[entry >>> 16];
    let block = words[(entry & 0xffff) + 1];
    if (this.form(entry) !== Form.histogram || words[(entry & 0xffff) + 2] >>> 3 !== log2) {
      this.release(entry);
      block = this.slab.allocate(log2);
    }
    putWords(this.histogram, this.slab.chunks[block >>> 16], block & 0xffff);
    this.set(entry, block, Form.histogram, log2, this.histogram.total);
  }

  /** Gives an entry of single numbers a block of 2^log2 words. */
  private widen(entry: number, log2: number): void {
    const block = this.slab.allocate(log2);
    const count = this.copy(entry, this.slab.floats[block >>> 16], block & 0xffff) - (block & 0xffff);
    this.release(entry);
    this.set(entry, block, Form.values, log2, count);
  }

  private set(entry: number, content: number, form: number, log2: number, count: number): void {
    const words = this.slab.chunks[entry >>> 16];
    const at = entry & 0xffff;
    words[at + 1] = content;
    words[at + 2] = form | (log2 << 3);
    words[at + 3] = count;
  }
}

function log2For(words: number): number {
  return 32 - Math.clz32(words - 1);
}
