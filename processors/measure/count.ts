import type { Match } from '../match/match.ts';
import { PaneScalar } from './pane-scalar.ts';

/** How many matches. Entry: pane, count. */
export class Count extends PaneScalar {
  readonly monotone = true;
  protected readonly name = 'count';

  constructor() {
    super(1);
  }

  add(slot: number, pane: number, _match: Match): boolean {
    const address = this.table.ensure(slot, pane);
    this.slab.chunks[address >>> 16][(address & 0xffff) + 1]++;
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const end = (address & 0xffff) + 2 * length;
    let count = 0;
    for (let at = address & 0xffff; at < end; at += 2) {
      if (words[at] >= firstPane && words[at] <= lastPane) count += words[at + 1];
    }
    return count === 0 ? Number.NaN : count;
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
  }
}
