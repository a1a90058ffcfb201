/**
 * ClosedWindow -> Verdict. A detector judges one key's window at each pane close, in increasing pane order. It may keep state per slot;
 * that state can be snapshotted, and is forgotten with the slot.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { ClosedWindow } from '../window/closed-window.ts';

export interface Verdict {
  fired: boolean;
  /** What the value was held against; undefined where there is no value to hold against anything. */
  threshold: number | undefined;
  /** The value judged: the window's, or the detector's own (a silence in ms). */
  value: number;
}

export interface Detector {
  readonly name: string;
  /** True if a key without new matches can begin to fire (a falling average, a silence): then every key is judged at every close. */
  readonly watchesQuietKeys: boolean;
  judge(window: ClosedWindow, verdict: Verdict): void;
  /** True while the slot's state must outlive its data (a silence that is being watched). */
  holds(slot: number, atMs: number): boolean;
  release(slot: number): void;
  snapshot(out: SnapshotWriter): void;
  restore(from: SnapshotReader): void;
}
