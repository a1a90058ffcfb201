import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';

/** Generations are kept modulo this. */
const wrap = 256;
const infinite = 255;
/** Codes are the exponent and two bits of the mantissa of an f32, less this: from 2^-23 to 2^40, four to an octave. */
const firstCode = (127 - 24) << 2;
const float = new Float32Array(1);
const floatWord = new Uint32Array(float.buffer);

/** Of a slot: the generation of its newest pane, the peak of that one, the peak of the one before. */
const slotBytes = 3;

/**
 * The highest number of each slot, rounded up to the next of four steps an octave, for this generation of panes and the one before: a bound on
 * any quantile of a window that costs one look. A generation is at least as long as the longest window, aligned to the epoch.
 */
export class PanePeaks {
  private readonly panesPerGeneration: number;
  private slots = new Uint8Array(0);
  /** The newest generation of all slots: says when one that was kept modulo `wrap` may be a later one. */
  private newest = 0;

  constructor(panesPerGeneration: number) {
    this.panesPerGeneration = panesPerGeneration;
  }

  /** A number counts in the pane; Infinity says that some number does. */
  note(slot: number, pane: number, value: number): void {
    const at = slotBytes * slot;
    if (at >= this.slots.length) this.grow(slot);
    const { slots } = this;
    const generation = Math.floor(pane / this.panesPerGeneration);
    if (generation > this.newest) this.newest = generation;
    if (this.newest - generation >= wrap / 2) {
      // So far behind another partition that it cannot be told from later.
      slots.fill(infinite, at + 1, at + slotBytes);
      return;
    }
    // What seems to be later than the newest is of long ago.
    const beyond = (slots[at] - this.newest) & (wrap - 1);
    if (beyond > 0 && beyond <= wrap / 2) this.forget(slot, generation);
    const passed = (generation - slots[at]) & (wrap - 1);
    const peak = codeOf(value);
    if (passed === 0) {
      if (peak > slots[at + 1]) slots[at + 1] = peak;
    } else if (passed === wrap - 1) {
      if (peak > slots[at + 2]) slots[at + 2] = peak;
    } else if (passed < wrap / 2) {
      slots[at + 2] = passed === 1 ? slots[at + 1] : 0;
      slots[at + 1] = peak;
      slots[at] = generation & (wrap - 1);
    }
  }

  /** No number of the slot in `firstPane` or later is higher; at least 0, Infinity where it is not known. */
  atMost(slot: number, firstPane: number): number {
    const at = slotBytes * slot;
    if (at >= this.slots.length) return 0;
    const { slots } = this;
    const generation = Math.floor(firstPane / this.panesPerGeneration);
    const ahead = (slots[at] - generation) & (wrap - 1);
    // A slot may be further ahead than can be told where another partition is.
    if (ahead > 1 || this.newest - generation >= wrap / 2) return Number.POSITIVE_INFINITY;
    return peakOf(ahead === 0 ? slots[at + 1] : Math.max(slots[at + 1], slots[at + 2]));
  }

  forget(slot: number, generation = 0): void {
    const at = slotBytes * slot;
    if (at >= this.slots.length) return;
    this.slots.fill(0, at, at + slotBytes);
    this.slots[at] = generation & (wrap - 1);
  }

  bytes(): number {
    return this.slots.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('pane-peaks 2');
    out.u32(this.panesPerGeneration);
    out.u32(this.newest);
    out.array(this.slots);
  }

  restore(from: SnapshotReader): void {
    from.section('pane-peaks 2');
    const panes = from.u32();
    this.newest = from.u32();
    this.slots = from.u8s();
    if (panes === this.panesPerGeneration) return;
    // Generations of another length: nothing is known until two of ours have passed.
    this.newest = Math.floor(((this.newest + 1) * panes) / this.panesPerGeneration);
    this.slots.fill(infinite);
    for (let at = 0; at < this.slots.length; at += slotBytes) this.slots[at] = this.newest & (wrap - 1);
  }

  private grow(slot: number): void {
    // By a quarter only: room that is not used is room that keys do not get.
    const slots = Math.max(16, slot + 1, Math.ceil((this.slots.length / slotBytes) * 1.25));
    this.slots = widen(this.slots, new Uint8Array(slotBytes * slots));
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
