import type { Match } from '../match/match.ts';
import { PaneScalar } from './pane-scalar.ts';

/** The least or the greatest number. Entry: pane, whether there is one, number (f64). */
export class Extreme extends PaneScalar {
  readonly monotone: boolean;
  protected readonly name: string;

  constructor(kind: 'min' | 'max') {
    super(2);
    this.name = kind;
    this.monotone = kind === 'max';
  }

  add(slot: number, pane: number, match: Match): boolean {
    if (!Number.isFinite(match.number)) return false;
    const address = this.table.ensure(slot, pane);
    // + 0 makes 0 of -0, so that which of the two came first cannot show.
    this.take(this.slab.chunks[address >>> 16], this.slab.doubles[address >>> 16], address & 0xffff, match.number + 0);
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const doubles = this.slab.doubles[address >>> 16];
    const end = (address & 0xffff) + 4 * length;
    let found = Number.NaN;
    for (let at = address & 0xffff; at < end; at += 4) {
      if (words[at] < firstPane || words[at] > lastPane) continue;
      const number = doubles[(at >> 1) + 1];
      if (!(this.monotone ? number <= found : number >= found)) found = number;
    }
    return found;
  }

  protected absorb(
    words: Uint32Array,
    doubles: Float64Array,
    at: number,
    _from: Uint32Array,
    fromDoubles: Float64Array,
    fromAt: number,
  ): void {
    this.take(words, doubles, at, fromDoubles[(fromAt >> 1) + 1]);
  }

  private take(words: Uint32Array, doubles: Float64Array, at: number, number: number): void {
    const held = doubles[(at >> 1) + 1];
    if (words[at + 1] === 1 && (this.monotone ? number <= held : number >= held)) return;
    words[at + 1] = 1;
    doubles[(at >> 1) + 1] = number;
  }
}
