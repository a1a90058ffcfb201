/**
 * What the window stage hands to the detectors: one key's window at the close of a pane. Reused for every key; a detector copies what
 * it keeps.
 */
export interface ClosedWindow {
  rule: number;
  /** The key's number in its rule's state. */
  slot: number;
  startMs: number;
  endMs: number;
  /** NaN if the measure has none (no data in the window, too few for a ratio). */
  value: number;
  /** Relative standard error of `value`. */
  valueError: number;
  /** Newest event time of this key up to the close; what `silence` looks at. */
  lastEventMs: number;
  /** Whether this key holds anything in the window. */
  active: boolean;
}
