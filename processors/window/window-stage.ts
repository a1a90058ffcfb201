/** The windows of all rule groups: takes matches, and closes panes in one order (due time, then group) whatever the order they filled in. */
import { type Counters, countBy } from '../counters.ts';
import type { Match } from '../match/match.ts';
import { anyDataset } from '../record.ts';
import type { RuleGroup } from '../rule-group.ts';
import { type KeyedWindows, NotAdded } from './keyed-windows.ts';
import type { KeyText } from './places.ts';
import type { Watermark } from './watermark.ts';

export class WindowStage {
  /** The watermark from which on a pane may be due; below it there is nothing to close. */
  nextDueMs = Number.NEGATIVE_INFINITY;
  private readonly groups: readonly RuleGroup[];
  private readonly windows: readonly KeyedWindows[];
  private readonly watermark: Watermark;
  private readonly counters: Counters;
  /** 1: the group threw, and is not run any more. */
  private readonly off: Uint8Array;
  private readonly failed: (group: number, error: unknown, atMs: number) => void;

  /** @param failed is told once of a group that throws; `atMs` by event time. */
  constructor(
    groups: readonly RuleGroup[],
    windows: readonly KeyedWindows[],
    watermark: Watermark,
    counters: Counters,
    failed: (group: number, error: unknown, atMs: number) => void,
  ) {
    this.off = new Uint8Array(groups.length);
    this.failed = failed;
    this.groups = groups;
    this.windows = windows;
    this.watermark = watermark;
    this.counters = counters;
  }

  /**
   * Adds a match to its group's windows, or counts why not. Late is what lies before the watermark of its own partition; that the pane
   * is closed although the event is not late happens only where a tick passed the partition by. Returns true if a finding may have been
   * announced early.
   */
  add(match: Match, key: KeyText): boolean {
    if (this.off[match.group] === 1) return false;
    const windows = this.windows[match.group];
    const group = this.groups[match.group];
    const { slideMs, latenessMs } = windows.spec;
    const watermarkMs = this.watermark.newest(match.partition) - latenessMs;
    if (match.timeMs < watermarkMs) {
      this.count(this.counters.late, group);
      windows.late(watermarkMs);
      return false;
    }
    const slot = windows.add(match, key);
    if (slot < 0) {
      this.count(this.counterOf(slot), group);
      if (slot === NotAdded.closedPane) windows.late(watermarkMs);
      if (slot !== NotAdded.untracked) return false;
    }
    const dueMs = (Math.floor(match.timeMs / slideMs) + 1) * slideMs + latenessMs;
    if (dueMs < this.nextDueMs) this.nextDueMs = dueMs;
    if (slot < 0) return false;
    this.counters.matches++;
    if (!group.early) return false;
    windows.peek(slot, match.timeMs);
    return true;
  }

  /** Whether a group is run. */
  runs(group: number): boolean {
    return this.off[group] === 0;
  }

  /** What a group did threw: its state may be half changed, so it is not touched any more. */
  fail(group: number, error: unknown, atMs: number): void {
    this.off[group] = 1;
    this.failed(group, error, atMs);
  }

  /** Messages of this dataset, or of datasets below it, were lost upstream between these times, as an event of this partition says. */
  lost(dataset: string, partition: number, sinceMs: number, untilMs: number): void {
    this.groups.forEach((group, index) => {
      if (!touches(group.from, dataset)) return;
      const windows = this.windows[index];
      windows.lostUpstream(sinceMs, untilMs, this.watermark.newest(partition) - windows.spec.latenessMs);
    });
  }

  /** Closes what the watermark has passed, in slices; `closed` is told after each pane of each group. */
  *close(lowMs: number, closed: (group: number) => void): Generator<void, void> {
    yield* this.closeWhile(() => lowMs, closed);
    for (const windows of this.windows) windows.passed(lowMs);
  }

  /** End of input: closes every pane up to the one that holds `highMs`. */
  closeAll(highMs: number, closed: (group: number) => void): Generator<void, void> {
    return this.closeWhile(({ spec }) => highMs + spec.slideMs + spec.latenessMs, closed);
  }

  private *closeWhile(limitMs: (windows: KeyedWindows) => number, closed: (group: number) => void): Generator<void, void> {
    for (;;) {
      let first = -1;
      let firstMs = Number.POSITIVE_INFINITY;
      this.nextDueMs = Number.POSITIVE_INFINITY;
      for (let group = 0; group < this.windows.length; group++) {
        if (this.off[group] === 1) continue;
        const dueMs = this.windows[group].nextDueMs;
        if (dueMs < this.nextDueMs) this.nextDueMs = dueMs;
        if (dueMs < firstMs && dueMs <= limitMs(this.windows[group])) {
          first = group;
          firstMs = dueMs;
        }
      }
      if (first === -1) return;
      try {
        yield* this.windows[first].closeNext();
        closed(first);
      } catch (error) {
        this.fail(first, error, firstMs - this.windows[first].spec.latenessMs);
      }
    }
  }

  private counterOf(notAdded: number): Record<string, number> {
    if (notAdded === NotAdded.wrongType) return this.counters.wrongType;
    return notAdded === NotAdded.untracked ? this.counters.untracked : this.counters.afterTick;
  }

  private count(counter: Record<string, number>, group: RuleGroup): void {
    for (const { id } of group.rules) countBy(counter, id);
  }
}

/** Whether a loss in `dataset` can have taken events from a rule that reads `from`: that dataset, one below it, or one above it. */
function touches(from: readonly string[], dataset: string): boolean {
  if (from.length === 0 || dataset === anyDataset) return true;
  return from.some((name) => name === dataset || name.startsWith(`${dataset}.`) || dataset.startsWith(`${name}.`));
}
