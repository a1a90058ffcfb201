import type { Match } from '../match/match.ts';
import { PaneScalar } from './pane-scalar.ts';

/**
 * The newest number: of the greatest (time, hash of the partition, offset), whatever order the matches came in. Events of one record that have the
 * same time are told apart by the number alone: the greater wins. Entry: pane, the partition's hash (0: empty), time, offset, number (f64).
 */
export class Last extends PaneScalar {
  readonly monotone = false;
  protected readonly name = 'last';
  private readonly words = new Uint32Array(8);
  private readonly doubles = new Float64Array(this.words.buffer);

  constructor() {
    super(3);
  }

  add(slot: number, pane: number, match: Match): boolean {
    if (!Number.isFinite(match.number)) return false;
    const address = this.table.ensure(slot, pane);
    this.words[1] = match.partitionHash;
    this.doubles[1] = match.timeMs;
    this.doubles[2] = match.offset;
    this.doubles[3] = match.number + 0;
    this.absorb(this.slab.chunks[address >>> 16], this.slab.doubles[address >>> 16], address & 0xffff, this.words, this.doubles, 0);
    return true;
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    const length = this.table.length(slot);
    if (length === 0) return Number.NaN;
    const address = this.table.address(slot);
    const words = this.slab.chunks[address >>> 16];
    const end = (address & 0xffff) + 8 * length;
    let newest = -1;
    // A later pane has later times: only the newest pane counts.
    for (let at = address & 0xffff; at < end; at += 8) {
      if (words[at] >= firstPane && words[at] <= lastPane && (newest < 0 || words[at] > words[newest])) newest = at;
    }
    return newest < 0 ? Number.NaN : this.slab.doubles[address >>> 16][(newest >> 1) + 3];
  }

  protected absorb(
    words: Uint32Array,
    doubles: Float64Array,
    at: number,
    from: Uint32Array,
    fromDoubles: Float64Array,
    fromAt: number,
  ): void {
    const to = at >> 1;
    const source = fromAt >> 1;
    const order =
      doubles[to + 1] - fromDoubles[source + 1] ||
      words[at + 1] - from[fromAt + 1] ||
      doubles[to + 2] - fromDoubles[source + 2] ||
      doubles[to + 3] - fromDoubles[source + 3];
    if (words[at + 1] !== 0 && order >= 0) return;
    words[at + 1] = from[fromAt + 1];
    for (let i = 1; i <= 3; i++) doubles[to + i] = fromDoubles[source + i];
  }
}
