import type { Match } from '../match/match.ts';
import { PaneScalar } from './pane-scalar.ts';

/** Counted matches over all matches; NaN while the window holds fewer than `minCount`. Entry: pane, counted, all, unused. */
export class Ratio extends PaneScalar {
  readonly monotone = false;
  protected readonly name = 'ratio';
  private readonly minCount: number;

  constructor(minCount: number) {
    super(2);
    this.minCount = minCount;
  }

  add(slot: number, pane: number, match: Match): boolean {
    const address = this.table.ensure(slot, pane);
    const words = this.slab.chunks[address >>> 16];
    const at = address & 0xffff;
    if (match.counted) words[at + 1]++;
    words[at + 2]++;
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const end = (address & 0xffff) + 4 * length;
    let counted = 0;
    let all = 0;
    for (let at = address & 0xffff; at < end; at += 4) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      counted += words[at + 1];
      all += words[at + 2];
    }
    return all === 0 || all < this.minCount ? Number.NaN : counted / all;
  }

  protected absorb(
    words: Uint32Array,
    _doubles: Float64Array,
    at: number,
    from: Uint32Array,
    _fromDoubles: Float64Array,
    fromAt: number,
  ): void {
    words[at + 1] += from[fromAt + 1];
    words[at + 2] += from[fromAt + 2];
  }
}
