import type { Match } from '../match/match.ts';
import { estimateFromHistogram, estimateFromRegisters, relativeError } from '../sketch/ertl-estimator.ts';
import { ExactDistinct } from '../sketch/exact-distinct.ts';
import { Frontiers } from '../sketch/frontiers.ts';
import { PaneTokens } from '../sketch/pane-tokens.ts';
import { countRanks, expireFrontier, foldPane, frontierOf, maxPanes, newestPane, raiseRegisters } from '../sketch/pareto-hll.ts';
import { noBlock, Slab } from '../sketch/slab.ts';
import { tokenOf } from '../sketch/token.ts';
import { SnapshotError, type SnapshotReader, type SnapshotWriter } from '../snapshot.ts';
import type { Measure } from './measure.ts';
import { PaneTable } from './pane-table.ts';

/** A key is counted exactly while its window holds at most this many distinct values. */
export const exactLimit = 256;
export const defaultPrecision = 11;

const form = { nothing: 0, tokens: 1, registers: 2 } as const;

/**
 * Distinct values of a window: a table of (token, last pane) while there are at most 256, a Pareto-HLL from then on.
 *
 * Open panes are kept apart: each holds its own set, which depends on nothing but its values. At its close a pane is folded into the
 * closed state, oldest first; only there a slot changes from exact to dense (more than 256 values in the window that ends with the pane)
 * and back (nothing in a whole window before the pane). So how far another partition has run ahead cannot show.
 */
export class Distinct implements Measure {
  readonly monotone = true;
  private readonly slab = new Slab();
  private readonly open = new PaneTable(this.slab, 2);
  private readonly exact = new ExactDistinct(this.slab);
  private readonly paneTokens: PaneTokens;
  /** Dense slots; `exact` keeps the index here in place of a table. */
  private readonly frontiers = new Frontiers();
  private readonly precision: number;
  private readonly windowPanes: number;
  private readonly registers: Uint8Array;
  private readonly rankCounts = new Uint32Array(66);
  private readonly tokens = new Uint32Array(exactLimit);
  private readonly releaseEntry = (entry: number): void => this.paneTokens.release(entry);

  /**
   * @param windowPanes panes in a window
   * @param precision log2 of the registers of the dense form, 10 … 14. Throws a RangeError outside of that, or for too many panes.
   */
  constructor(windowPanes: number, precision = defaultPrecision) {
    if (!Number.isInteger(precision) || precision < 10 || precision > 14) {
      throw new RangeError(`the precision of a distinct count is ${precision}, expected a whole number from 10 to 14`);
    }
    if (windowPanes > maxPanes(precision)) {
      throw new RangeError(
        `a window of ${windowPanes} panes is too long for a distinct count (at most ${maxPanes(precision)}): use a longer slide`,
      );
    }
    this.windowPanes = windowPanes;
    this.precision = precision;
    this.registers = new Uint8Array(2 ** precision);
    this.paneTokens = new PaneTokens(this.slab, precision, exactLimit);
  }

  add(slot: number, pane: number, match: Match): boolean {
    this.paneTokens.add(this.open.ensure(slot, pane), tokenOf(match.valueLow, match.valueHigh));
    return true;
  }

  close(slot: number, pane: number): void {
    for (;;) {
      const entry = this.open.oldestEntry(slot, pane);
      if (entry === noBlock) return;
      this.fold(slot, entry);
      this.paneTokens.release(entry);
      this.open.remove(slot, entry);
    }
  }

  value(slot: number, firstPane: number, lastPane: number): number {
    if (this.open.holdsAny(slot, firstPane, lastPane)) return this.provisional(slot, firstPane, lastPane);
    const id = this.exact.foreign(slot);
    if (id < 0) return this.exact.count(slot, firstPane, lastPane) || Number.NaN;
    const frontier = this.frontiers.get(id);
    const any = countRanks(frontier, firstPane, lastPane, this.precision, this.rankCounts);
    return any ? estimateFromHistogram(this.rankCounts, this.precision) : Number.NaN;
  }

  valueError(slot: number, firstPane: number, lastPane: number): number {
    const closedExact = this.exact.foreign(slot) < 0;
    if (closedExact && !this.open.holdsAny(slot, firstPane, lastPane)) return 0;
    return closedExact && this.exactUnion(slot, firstPane, lastPane) >= 0 ? 0 : relativeError(this.registers.length);
  }

  /** Which pane a value was last seen in moves; only the start of the window is known without looking at all of them. */
  oldestPane(_slot: number, firstPane: number): number {
    return firstPane;
  }

  expire(slot: number, firstPane: number): boolean {
    const noneOpen = this.open.expire(slot, firstPane, this.releaseEntry);
    const id = this.exact.foreign(slot);
    if (id < 0) return this.exact.expire(slot, firstPane) === 0 && noneOpen;
    const frontier = this.frontiers.get(id);
    if (newestPane(frontier) >= firstPane) {
      this.frontiers.replace(id, expireFrontier(frontier, firstPane, this.precision));
      return false;
    }
    this.dropFrontier(slot, id);
    return noneOpen;
  }

  release(slot: number): void {
    this.open.expire(slot, 2 ** 32, this.releaseEntry);
    const id = this.exact.foreign(slot);
    if (id >= 0) this.dropFrontier(slot, id);
    this.exact.clear(slot);
  }

  /**
   * A pane is the set of its values while it is open, and until the next pane of its slot closes: flush a pane before that. (Values that
   * came again later count for the later pane only.)
   */
  encode(slot: number, pane: number, out: SnapshotWriter): void {
    const entry = this.open.find(slot, pane);
    const id = this.exact.foreign(slot);
    this.registers.fill(0);
    const inFrontier = id >= 0 && raiseRegisters(this.frontiers.get(id), pane, pane, this.precision, this.registers);
    if (inFrontier || (entry !== noBlock && this.paneTokens.isDense(entry))) {
      if (entry !== noBlock) this.paneTokens.raiseRegisters(entry, this.registers, this.tokens);
      out.u32(form.registers);
      out.array(this.registers);
      return;
    }
    const union = this.unionOf(slot, pane, pane);
    out.u32(union.size === 0 ? form.nothing : form.tokens);
    if (union.size > 0) out.array(Uint32Array.from(union));
  }

  merge(slot: number, pane: number, from: SnapshotReader): void {
    const kind = from.u32();
    if (kind === form.nothing) return;
    const entry = this.open.ensure(slot, pane);
    if (kind === form.tokens) {
      for (const token of from.u32s()) this.paneTokens.add(entry, token);
      return;
    }
    const registers = from.u8s();
    if (kind !== form.registers || registers.length !== this.registers.length) {
      throw new SnapshotError(
        `a pane of a distinct count has kind ${kind} and ${registers.length} registers, expected ${this.registers.length}`,
      );
    }
    this.paneTokens.mergeRegisters(entry, registers);
  }

  bytes(): number {
    return this.slab.bytes() + this.open.bytes() + this.exact.bytes() + this.frontiers.bytes();
  }

  spareBytes(): number {
    return this.slab.spareBytes();
  }

  compact(): void {
    const packed = new Slab();
    this.open.moveTo(packed, (entry) => this.paneTokens.moveTo(packed, entry));
    this.exact.moveTo(packed);
    this.slab.adopt(packed);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('distinct');
    out.u32(this.precision);
    this.open.snapshot(out);
    this.exact.snapshot(out);
    this.slab.snapshot(out);
    this.frontiers.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('distinct');
    const precision = from.u32();
    if (precision !== this.precision)
      throw new SnapshotError(`the snapshot's distinct count has precision ${precision}, expected ${this.precision}`);
    this.open.restore(from);
    this.exact.restore(from);
    this.slab.restore(from);
    this.frontiers.restore(from);
  }

  /** Folds one open pane into the closed state of its slot. */
  private fold(slot: number, entry: number): void {
    const pane = this.slab.chunks[entry >>> 16][entry & 0xffff];
    let id = this.exact.foreign(slot);
    if (id >= 0 && newestPane(this.frontiers.get(id)) + this.windowPanes <= pane) {
      this.dropFrontier(slot, id);
      id = -1;
    }
    if (id < 0 && !this.paneTokens.isDense(entry)) {
      this.foldExact(slot, entry, pane);
      return;
    }
    if (id < 0) id = this.promote(slot, pane - this.windowPanes + 1);
    const frontier = this.frontiers.get(id);
    this.registers.fill(0);
    this.paneTokens.raiseRegisters(entry, this.registers, this.tokens);
    const firstPane = Math.max(pane, newestPane(frontier)) - this.windowPanes + 1;
    // A pane that is late by more than a window shows in no window any more.
    if (pane >= firstPane) this.frontiers.replace(id, foldPane(frontier, this.registers, pane, firstPane, this.precision));
  }

  private foldExact(slot: number, entry: number, pane: number): void {
    const firstPane = pane - this.windowPanes + 1;
    const count = this.paneTokens.tokens(entry, this.tokens);
    for (let i = 0; i < count; i++) this.exact.put(slot, this.tokens[i], pane, firstPane);
    if (this.exact.size(slot) > exactLimit && this.exact.expire(slot, firstPane) > exactLimit) this.promote(slot, firstPane);
  }

  /** Makes a slot dense, from its tokens of `firstPane` and later; returns the number of its frontier. */
  private promote(slot: number, firstPane: number): number {
    const count = this.exact.collect(slot, firstPane);
    const id = this.frontiers.add(frontierOf(this.exact.tokens, this.exact.panes, count, this.precision));
    this.exact.putForeign(slot, id);
    return id;
  }

  private dropFrontier(slot: number, id: number): void {
    this.frontiers.drop(id);
    this.exact.clear(slot);
  }

  private eachOpen(slot: number, firstPane: number, lastPane: number, visit: (entry: number, pane: number) => void): void {
    const length = this.open.length(slot);
    for (let i = 0; i < length; i++) {
      const entry = this.open.address(slot) + 4 * i;
      const pane = this.slab.chunks[entry >>> 16][entry & 0xffff];
      if (pane >= firstPane && pane <= lastPane) visit(entry, pane);
    }
  }

  /** The value with panes that are still open in it: what their close would give. */
  private provisional(slot: number, firstPane: number, lastPane: number): number {
    const exact = this.exact.foreign(slot) < 0 ? this.exactUnion(slot, firstPane, lastPane) : -1;
    if (exact >= 0) return exact === 0 ? Number.NaN : exact;
    this.registers.fill(0);
    const id = this.exact.foreign(slot);
    if (id >= 0) {
      raiseRegisters(this.frontiers.get(id), firstPane, lastPane, this.precision, this.registers);
    } else {
      const count = this.exact.collect(slot, firstPane);
      const frontier = frontierOf(this.exact.tokens, this.exact.panes, count, this.precision);
      raiseRegisters(frontier, firstPane, lastPane, this.precision, this.registers);
    }
    this.eachOpen(slot, firstPane, lastPane, (entry) => this.paneTokens.raiseRegisters(entry, this.registers, this.tokens));
    return estimateFromRegisters(this.registers, this.precision);
  }

  /** How many different tokens, open panes included, if nothing in the range is dense and there are at most `exactLimit`; else -1. */
  private exactUnion(slot: number, firstPane: number, lastPane: number): number {
    let anyDense = false;
    this.eachOpen(slot, firstPane, lastPane, (entry) => {
      if (this.paneTokens.isDense(entry)) anyDense = true;
    });
    if (anyDense) return -1;
    const size = this.unionOf(slot, firstPane, lastPane).size;
    return size > exactLimit ? -1 : size;
  }

  private unionOf(slot: number, firstPane: number, lastPane: number): Set<number> {
    const union = new Set<number>();
    if (this.exact.foreign(slot) < 0) {
      const count = this.exact.collect(slot, firstPane);
      for (let i = 0; i < count; i++) if (this.exact.panes[i] <= lastPane) union.add(this.exact.tokens[i]);
    }
    this.eachOpen(slot, firstPane, lastPane, (entry) => {
      const count = this.paneTokens.tokens(entry, this.tokens);
      for (let i = 0; i < count; i++) union.add(this.tokens[i]);
    });
    return union;
  }
}
