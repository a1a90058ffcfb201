import type { Match } from '../match/match.ts';
import { noBlock, Slab } from '../sketch/slab.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Measure } from './measure.ts';
import { PaneTable } from './pane-table.ts';

/**
 * A measure that is a few numbers a pane (a sum, a maximum): one entry of 2^k words for each (slot, pane), summed up over the window when
 * a value is asked for. With some sixty panes a scan costs less than keeping running totals right under late and out-of-order panes.
 */
export abstract class PaneScalar implements Measure {
  abstract readonly monotone: boolean;
  /** Name in snapshots. */
  protected abstract readonly name: string;
  protected readonly slab = new Slab();
  protected readonly table: PaneTable;
  /** One entry, on its way between two instances. */
  private readonly carried: Uint32Array<ArrayBuffer>;
  private readonly carriedDoubles: Float64Array;

  constructor(entryLog2: number) {
    this.table = new PaneTable(this.slab, entryLog2);
    this.carried = new Uint32Array(1 << entryLog2);
    this.carriedDoubles = new Float64Array(this.carried.buffer);
  }

  abstract add(slot: number, pane: number, match: Match): boolean;

  abstract value(slot: number, firstPane: number, lastPane: number): number;

  /** Adds the entry at `from` (word index; doubles at half of it) to the one at `at`, which is all zero if it is new. */
  protected abstract absorb(
    words: Uint32Array,
    doubles: Float64Array,
    at: number,
    from: Uint32Array,
    fromDoubles: Float64Array,
    fromAt: number,
  ): void;

  close(_slot: number, _pane: number): void {}

  valueError(_slot: number, _firstPane: number, _lastPane: number): number {
    return 0;
  }

  oldestPane(slot: number, firstPane: number): number {
    return this.table.oldestPane(slot, firstPane);
  }

  expire(slot: number, firstPane: number): boolean {
    return this.table.expire(slot, firstPane);
  }

  release(slot: number): void {
    this.table.release(slot);
  }

  encode(slot: number, pane: number, out: SnapshotWriter): void {
    const address = this.table.find(slot, pane);
    this.carried.fill(0);
    if (address !== noBlock) {
      const at = address & 0xffff;
      this.carried.set(this.slab.chunks[address >>> 16].subarray(at, at + this.carried.length));
    }
    out.u32(address === noBlock ? 0 : 1);
    for (let i = 1; i < this.carried.length; i++) out.u32(this.carried[i]);
  }

  merge(slot: number, pane: number, from: SnapshotReader): void {
    const present = from.u32();
    for (let i = 1; i < this.carried.length; i++) this.carried[i] = from.u32();
    if (present === 0) return;
    const address = this.table.ensure(slot, pane);
    this.absorb(
      this.slab.chunks[address >>> 16],
      this.slab.doubles[address >>> 16],
      address & 0xffff,
      this.carried,
      this.carriedDoubles,
      0,
    );
  }

  bytes(): number {
    return this.slab.bytes() + this.table.bytes();
  }

  spareBytes(): number {
    return this.slab.spareBytes();
  }

  compact(): void {
    const packed = new Slab();
    this.table.moveTo(packed);
    this.slab.adopt(packed);
  }

  snapshot(out: SnapshotWriter): void {
    out.section(this.name);
    this.table.snapshot(out);
    this.slab.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section(this.name);
    this.table.restore(from);
    this.slab.restore(from);
  }
}
