/**
 * What a window accumulates, for all keys of one rule. State is addressed by slot (a key's number) and pane (floor(timeMs / slideMs)),
 * lives in typed arrays, and is a set, a sum or a maximum: the order in which matches arrive cannot show in any value.
 *
 * Duties of a measure: `add` and `merge` into different panes or in any order commute; matches of panes later than `lastPane` never
 * show in `value(slot, firstPane, lastPane)`; `encode` of a slot and `merge` into an empty slot of another instance give equal values.
 * A window that begins on real time (`recent-count.ts`) reaches into the pane before `firstPane`; all others stay within their panes.
 * Duties of the caller: panes of one slot are closed in increasing order; `value` is asked for closed panes (or, provisionally, for
 * open ones), and before they are expired; a slot is released before it is given to another key.
 */
import type { Match } from '../match/match.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

export interface Measure {
  /** True if more matches can only raise the value (count, distinct, max, sum of non-negatives): it may be announced early. */
  readonly monotone: boolean;
  /** Adds one match. Returns false if the match has no value this measure can use (counted by the caller as a wrong type). */
  add(slot: number, pane: number, match: Match): boolean;
  /** All matches of panes up to and including `pane` have come: what only an open pane needs may be folded. */
  close(slot: number, pane: number): void;
  /** The value over panes firstPane..lastPane, both inclusive. NaN if there is none (no data; too few for a ratio). */
  value(slot: number, firstPane: number, lastPane: number): number;
  /** Standard error of that value, relative (0.023 = 2.3 %); 0 where it is exact. */
  valueError(slot: number, firstPane: number, lastPane: number): number;
  /** A bound that no window which begins with `firstPane` or later exceeds, if one costs less than its value: most keys are far below any threshold. */
  atMost?(slot: number, firstPane: number): number;
  /**
   * The oldest pane from `firstPane` on that holds something of the slot, Infinity if none does: while it stays in the window, only new
   * matches change the value. An earlier pane than that is right too, but costs a judgement.
   */
  oldestPane(slot: number, firstPane: number): number;
  /** Forgets panes before `firstPane`. Returns true if nothing is left in the slot. */
  expire(slot: number, firstPane: number): boolean;
  /** Gives the slot's memory back. */
  release(slot: number): void;
  /** Writes one pane of one slot as a mergeable partial state (a pane delta). */
  encode(slot: number, pane: number, out: SnapshotWriter): void;
  /** Adds a pane delta, written by `encode` of any instance with the same spec, to a slot. */
  merge(slot: number, pane: number, from: SnapshotReader): void;
  /** Bytes of state held, slack included: the same after a restore. Quick to ask for, however many slots there are. */
  bytes(): number;
  /** Bytes among those that slots can still take without more being held. */
  spareBytes(): number;
  /** Moves what slots hold together, so that spare bytes are held no longer. Changes no value. */
  compact(): void;
  /** Bytes held beside the state, to be quicker; no decision may depend on them. */
  cacheBytes?(): number;
  dropCache?(): void;
  snapshot(out: SnapshotWriter): void;
  /** Replaces the whole state. Throws `SnapshotError` if what it reads is of another kind. */
  restore(from: SnapshotReader): void;
}
