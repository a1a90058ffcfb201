import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/** Generations are kept modulo this. */
const wrap = 2 ** 16;
const infinite = 255;
/** Codes are the exponent and two bits of the mantissa of an f32, less this: from 2^-23 to 2^40, four to an octave. */
const firstCode = (127 - 24) << 2;
const float = new Float32Array(1);
const floatWord = new Uint32Array(float.buffer);

/**
 * The highest number of each slot, rounded up to the next of four steps an octave, for this generation of panes and the one before: a bound on
 * any quantile of a window that costs one look. A generation is at least as long as the longest window, aligned to the epoch.
 */
export class PanePeaks {
  private readonly panesPerGeneration: number;
  /** Per slot: the generation of its newest pane, then the peak of that one, then of the one before, 16, 8 and 8 bits. */
  private words = new Uint32Array(0);
  /** The newest generation of all slots: says when one that was kept modulo `wrap` may be a later one. */
  private newest = 0;

  constructor(panesPerGeneration: number) {
    this.panesPerGeneration = panesPerGeneration;
  }

  /** A number counts in the pane; Infinity says that some number does. */
  note(slot: number, pane: number, value: number): void {
    if (slot >= this.words.length) this.grow(slot);
    const generation = Math.floor(pane / this.panesPerGeneration);
    if (generation > this.newest) this.newest = generation;
    const word = this.words[slot];
    const passed = (generation - (word >>> 16)) & (wrap - 1);
    const peak = codeOf(value);
    if (passed === 0) {
      if (peak > ((word >>> 8) & 255)) this.words[slot] = (word & ~0xff00) | (peak << 8);
    } else if (passed === wrap - 1) {
      if (peak > (word & 255)) this.words[slot] = (word & ~0xff) | peak;
    } else if (passed < wrap / 2) {
      this.words[slot] = (generation << 16) | (peak << 8) | (passed === 1 ? (word >>> 8) & 255 : 0);
    }
  }

  /** No number of the slot in `firstPane` or later is higher; above 0, Infinity where it is not known. */
  atMost(slot: number, firstPane: number): number {
    if (slot >= this.words.length) return 0;
    const generation = Math.floor(firstPane / this.panesPerGeneration);
    const word = this.words[slot];
    const ahead = ((word >>> 16) - generation) & (wrap - 1);
    // A slot may be further ahead than can be told where another partition is.
    if (ahead > 1 || this.newest - generation >= wrap / 2) return Number.POSITIVE_INFINITY;
    const upper = (word >>> 8) & 255;
    return peakOf(ahead === 0 ? upper : Math.max(upper, word & 255));
  }

  forget(slot: number): void {
    if (slot < this.words.length) this.words[slot] = 0;
  }

  bytes(): number {
    return this.words.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('pane-peaks');
    out.u32(this.panesPerGeneration);
    out.u32(this.newest);
    out.array(this.words);
  }

  restore(from: SnapshotReader): void {
    from.section('pane-peaks');
    const panes = from.u32();
    this.newest = from.u32();
    this.words = from.u32s();
    if (panes === this.panesPerGeneration) return;
    // Generations of another length: nothing is known until two of ours have passed.
    this.newest = Math.floor(((this.newest + 1) * panes) / this.panesPerGeneration);
    this.words.fill((this.newest << 16) | (infinite << 8) | infinite);
  }

  private grow(slot: number): void {
    // By half only: with a million slots, doubling would leave 2 bytes a slot unused on average.
    const wider = new Uint32Array(Math.max(16, slot + 1, Math.ceil(this.words.length * 1.5)));
    wider.set(this.words);
    this.words = wider;
  }
}

/** The first code whose value is not below it: 0 for zero and less. */
function codeOf(value: number): number {
  if (!(value > 0)) return 0;
  float[0] = value;
  const word = floatWord[0];
  const code = (word >>> 21) + ((word & 0x1fffff) === 0 ? 0 : 1) - firstCode;
  return code < 1 ? 1 : code > infinite ? infinite : code;
}

function peakOf(code: number): number {
  if (code === 0) return 0;
  if (code === infinite) return Number.POSITIVE_INFINITY;
  floatWord[0] = (code + firstCode) << 21;
  return float[0];
}
