import type { Match } from '../match/match.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { PaneScalar } from './pane-scalar.ts';

const unit = 2 ** 32;

/** Numbers of this size and more are refused: below it, four million of them in one window still add up exactly. */
export const maxSummand = 2 ** 53;

/**
 * A sum, or the average. Sums are fixed-point, so that order cannot show: the whole part in an f64 that holds an integer, the rest in
 * units of 2^-32. (Units of 2^-10 would round a duration of 0.4 ms, in seconds, to nothing.) Each number is rounded to 2^-33 on its way
 * in; the sum itself is exact while its whole part stays below 2^53.
 * Entry: pane, fraction, whole (f64); the average has the count and three unused words behind it.
 */
export class Sum extends PaneScalar {
  protected readonly name: string;
  private readonly averages: boolean;
  private readonly entryWords: number;
  private sawNegative = false;

  constructor(kind: 'sum' | 'avg') {
    super(kind === 'avg' ? 3 : 2);
    this.name = kind;
    this.averages = kind === 'avg';
    this.entryWords = kind === 'avg' ? 8 : 4;
  }

  /** A sum only grows as long as no number was below zero. */
  get monotone(): boolean {
    return !this.averages && !this.sawNegative;
  }

  add(slot: number, pane: number, match: Match): boolean {
    const number = match.number;
    if (!(Math.abs(number) < maxSummand)) return false;
    if (number < 0) this.sawNegative = true;
    const address = this.table.ensure(slot, pane);
    const at = address & 0xffff;
    const words = this.slab.chunks[address >>> 16];
    const whole = Math.floor(number);
    addFixed(words, this.slab.doubles[address >>> 16], at, whole, Math.round((number - whole) * unit));
    if (this.averages) words[at + 4]++;
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const doubles = this.slab.doubles[address >>> 16];
    const end = (address & 0xffff) + this.entryWords * length;
    let panes = 0;
    let whole = 0;
    let fraction = 0;
    let count = 0;
    for (let at = address & 0xffff; at < end; at += this.entryWords) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      panes++;
      fraction += words[at + 1];
      whole += doubles[(at >> 1) + 1];
      if (this.averages) count += words[at + 4];
    }
    if (panes === 0) return Number.NaN;
    const sum = whole + fraction / unit;
    return this.averages ? sum / count : sum;
  }

  protected absorb(
    words: Uint32Array,
    doubles: Float64Array,
    at: number,
    from: Uint32Array,
    fromDoubles: Float64Array,
    fromAt: number,
  ): void {
    const whole = fromDoubles[(fromAt >> 1) + 1];
    if (whole < 0) this.sawNegative = true;
    addFixed(words, doubles, at, whole, from[fromAt + 1]);
    if (this.averages) words[at + 4] += from[fromAt + 4];
  }

  override snapshot(out: SnapshotWriter): void {
    super.snapshot(out);
    out.u32(this.sawNegative ? 1 : 0);
  }

  override restore(from: SnapshotReader): void {
    super.restore(from);
    this.sawNegative = from.u32() === 1;
  }
}

function addFixed(words: Uint32Array, doubles: Float64Array, at: number, whole: number, fraction: number): void {
  const sum = words[at + 1] + fraction;
  const carry = sum >= unit ? 1 : 0;
  words[at + 1] = sum - carry * unit;
  doubles[(at >> 1) + 1] += whole + carry;
}
