import type { Match } from '../match/match.ts';
import { leadingDigit } from '../sketch/leading-digit.ts';
import { PaneScalar } from './pane-scalar.ts';

/**
 * How many numbers begin with 1, with 2 … with 9. Its value is how many there are in all; a detector reads `counts`. Zeros, and what is
 * not finite, have no first digit and are not taken. Entry: pane, the nine counters, six unused words.
 */
export class Digits extends PaneScalar {
  readonly monotone = true;
  protected readonly name = 'digits';
  private readonly sums = new Float64Array(9);

  constructor() {
    super(4);
  }

  add(slot: number, pane: number, match: Match): boolean {
    const digit = leadingDigit(match.number);
    if (digit === 0) return false;
    const address = this.table.ensure(slot, pane);
    this.slab.chunks[address >>> 16][(address & 0xffff) + digit]++;
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    return this.counts(slot, firstPane, lastPane).reduce((sum, count) => sum + count, 0) || Number.NaN;
  }

  /** How many numbers of these panes begin with 1 … 9; valid until the next call. */
  counts(slot: number, firstPane: number, lastPane: number): Float64Array {
    const { sums } = this;
    sums.fill(0);
    const length = this.table.length(slot);
    if (length === 0) return sums;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const end = (address & 0xffff) + 16 * length;
    for (let at = address & 0xffff; at < end; at += 16) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      for (let digit = 1; digit <= 9; digit++) sums[digit - 1] += words[at + digit];
    }
    return sums;
  }

  protected absorb(
    words: Uint32Array,
    _doubles: Float64Array,
    at: number,
    from: Uint32Array,
    _fromDoubles: Float64Array,
    fromAt: number,
  ): void {
    for (let digit = 1; digit <= 9; digit++) words[at + digit] += from[fromAt + digit];
  }
}
