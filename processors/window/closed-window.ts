/**
 * What the window stage hands to the detectors: one key's window at the close of a pane. Reused for every key; a detector copies what
 * it keeps.
 */
export interface ClosedWindow {
  /** The key's number in its rule's state. */
  slot: number;
  startMs: number;
  endMs: number;
  /** NaN if the measure has none (no data in the window, too few for a ratio). */
  value: number;
  /** Relative standard error of `value`. */
  valueError: number;
  /** Newest event time of this key in closed panes: what `silence` looks at. */
  lastEventMs: number;
  /** Records that came late, or for a pane a tick had closed, while the window's panes were open; of all keys of the rule. */
  late: number;
  /** Matches of this key that may have come in the window before it got a place: `value` is without them. */
  countErr: number;
  /** Loss touched the window: late records, or messages lost upstream. */
  degraded: boolean;
  /** True if the pane is still open: the verdict may only announce what the close will confirm. */
  provisional: boolean;
  evidence: Evidence;
}

/** What a finding asks for beyond the numbers; computed only then. */
export interface Evidence {
  keyText(slot: number): string;
  samples(slot: number): SampleRef[];
  /** About how many keys of the rule were refused or evicted in the window, because its memory was spent. */
  evicted(): number;
}

/** Where a record lies: an index into the watermark's table of partitions, and its offset. */
export interface SampleRef {
  readonly partition: number;
  readonly offset: number;
  readonly hash: number;
}

/** What a judge says of a key it has seen, as bits. */
export const Interest = {
  none: 0,
  /** Judge it again at the next close although nothing new may have come, and keep its slot. */
  watch: 1,
  /** It is half way to firing: keep the samples of its panes. */
  samples: 2,
} as const;

/**
 * Which keys that nothing new came for are judged all the same: none; those from whose window an old pane has gone since (a falling
 * average); all of them, because time alone may change the verdict (a silence), or because every window is asked for (scores).
 */
export type QuietKeys = 'none' | 'changed' | 'all';

export interface WindowJudge {
  /** A window whose value is not at least this, of a slot that is neither watched nor has samples kept, need not be judged. */
  readonly quietBelow: number;
  /** Returns `Interest` bits. */
  judge(window: ClosedWindow): number;
  /** The slot is given up; state kept for it is forgotten. */
  release(slot: number): void;
}
