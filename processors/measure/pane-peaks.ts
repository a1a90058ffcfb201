import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/** bfloat16 of infinity. */
const infinite = 0x7f80;
const half = new Float32Array(1);
const halfWord = new Uint32Array(half.buffer);

/**
 * The highest number of each slot, rounded up to 8 bits, for this generation of panes and the one before: a bound on any quantile of a window
 * that costs one look. A generation is at least as long as the longest window, aligned to the epoch.
 */
export class PanePeaks {
  private readonly panesPerGeneration: number;
  /** Per slot: the generation of its newest pane; the peak of that one in the upper half of a word, of the one before in the lower. */
  private words = new Uint32Array(0);

  constructor(panesPerGeneration: number) {
    this.panesPerGeneration = panesPerGeneration;
  }

  /** A number counts in the pane; Infinity says that some number does. */
  note(slot: number, pane: number, value: number): void {
    const at = 2 * slot;
    if (at >= this.words.length) this.grow(slot);
    const { words } = this;
    const generation = Math.floor(pane / this.panesPerGeneration);
    const passed = generation - words[at];
    const peaks = words[at + 1];
    const peak = roundedUp(value);
    if (passed === 0) {
      if (peak > peaks >>> 16) words[at + 1] = (peak << 16) | (peaks & 0xffff);
    } else if (passed > 0) {
      words[at] = generation;
      words[at + 1] = (peak << 16) | (passed === 1 ? peaks >>> 16 : 0);
    } else if (passed === -1 && peak > (peaks & 0xffff)) {
      words[at + 1] = peaks - (peaks & 0xffff) + peak;
    }
  }

  /** No number of the slot in `firstPane` or later is higher; at least 0, Infinity where it is not known. */
  atMost(slot: number, firstPane: number): number {
    const at = 2 * slot;
    if (at >= this.words.length) return 0;
    const behind = this.words[at] - Math.floor(firstPane / this.panesPerGeneration);
    if (behind > 1) return Number.POSITIVE_INFINITY;
    if (behind < 0) return 0;
    const peaks = this.words[at + 1];
    const peak = behind === 0 ? peaks >>> 16 : Math.max(peaks >>> 16, peaks & 0xffff);
    halfWord[0] = peak << 16;
    return half[0];
  }

  forget(slot: number): void {
    if (2 * slot < this.words.length) this.words.fill(0, 2 * slot, 2 * slot + 2);
  }

  bytes(): number {
    return this.words.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('pane-peaks');
    out.u32(this.panesPerGeneration);
    out.array(this.words);
  }

  restore(from: SnapshotReader): void {
    from.section('pane-peaks');
    const panes = from.u32();
    this.words = from.u32s();
    if (panes === this.panesPerGeneration) return;
    // Generations of another length: nothing is known until two of ours have passed.
    for (let at = 0; at < this.words.length; at += 2) {
      this.words[at] = Math.floor(((this.words[at] + 1) * panes) / this.panesPerGeneration);
      this.words[at + 1] = (infinite << 16) | infinite;
    }
  }

  private grow(slot: number): void {
    // By half only: with a million slots, doubling would leave 4 bytes a slot unused on average.
    const wider = new Uint32Array(2 * Math.max(16, slot + 1, Math.ceil((this.words.length / 2) * 1.5)));
    wider.set(this.words);
    this.words = wider;
  }
}

/** The bfloat16 that is not below the value, as its 16 bits; of a negative one 0. */
function roundedUp(value: number): number {
  if (!(value > 0)) return 0;
  half[0] = value;
  const word = halfWord[0];
  return (word >>> 16) + ((word & 0xffff) === 0 ? 0 : 1);
}
