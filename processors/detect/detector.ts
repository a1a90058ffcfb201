/**
 * ClosedWindow -> Verdict. A detector judges one key's window at each pane close, in increasing pane order. It may keep state per slot;
 * that state can be snapshotted, and is forgotten with the slot.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { ClosedWindow, QuietKeys } from '../window/closed-window.ts';

/** What a detector says of one window. Reused: the caller copies what it keeps. */
export interface Verdict {
  fired: boolean;
  /** Half way to firing or further: the key's samples are kept. */
  near: boolean;
  /** The value judged: the window's, or the detector's own (a silence in ms). NaN where there is nothing to judge. */
  value: number;
  threshold: number;
}

export interface Detector {
  readonly name: string;
  /** What its value is, for a finding whose value is not the measure's. */
  readonly measureName?: string;
  /** Whether a key can begin to fire without new matches. */
  readonly quietKeys: QuietKeys;
  /** A window whose value is not at least this, of a slot it does not hold, is neither near nor beyond its threshold. */
  readonly quietBelow: number;
  judge(window: ClosedWindow, verdict: Verdict): void;
  /** True while the slot must be kept although its window may be empty. */
  holds(slot: number): boolean;
  release(slot: number): void;
  snapshot(out: SnapshotWriter): void;
  restore(from: SnapshotReader): void;
}
