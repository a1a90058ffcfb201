/** The windows of all rules: takes matches, and closes panes in one order (due time, then rule) whatever the order they filled in. */
import { type Counters, countBy } from '../counters.ts';
import type { Match } from '../match/match.ts';
import type { Rule } from '../rule.ts';
import type { KeyedWindows, KeyText } from './keyed-windows.ts';
import type { Watermark } from './watermark.ts';

export class WindowStage {
  /** The watermark from which on a pane may be due; below it there is nothing to close. */
  nextDueMs = Number.NEGATIVE_INFINITY;
  private readonly rules: readonly Rule[];
  private readonly windows: readonly KeyedWindows[];
  private readonly watermark: Watermark;
  private readonly counters: Counters;

  constructor(rules: readonly Rule[], windows: readonly KeyedWindows[], watermark: Watermark, counters: Counters) {
    this.rules = rules;
    this.windows = windows;
    this.watermark = watermark;
    this.counters = counters;
  }

  /**
   * Adds a match to its rule's windows, or counts why not. Late is what lies before the watermark of its own partition; that the pane
   * is closed although the event is not late happens only where a tick passed the partition by. Returns true if a finding may have been
   * announced early.
   */
  add(match: Match, key: KeyText): boolean {
    const windows = this.windows[match.rule];
    const { slideMs, latenessMs } = windows.spec;
    const watermarkMs = this.watermark.newest(match.partition) - latenessMs;
    const rule = this.rules[match.rule];
    if (match.timeMs < watermarkMs) {
      countBy(this.counters.late, rule.id);
      windows.late(watermarkMs);
      return false;
    }
    const slot = windows.add(match, key);
    if (slot < 0) {
      countBy(slot === -1 ? this.counters.wrongType : this.counters.afterTick, rule.id);
      if (slot === -2) windows.late(watermarkMs);
      return false;
    }
    this.counters.matches++;
    const dueMs = (Math.floor(match.timeMs / slideMs) + 1) * slideMs + latenessMs;
    if (dueMs < this.nextDueMs) this.nextDueMs = dueMs;
    if (!rule.early) return false;
    windows.peek(slot, match.timeMs);
    return true;
  }

  /** Messages of this dataset, or of datasets below it, were lost upstream between these times, as an event of this partition says. */
  lost(dataset: string, partition: number, sinceMs: number, untilMs: number): void {
    this.rules.forEach((rule, index) => {
      if (!touches(rule, dataset)) return;
      const windows = this.windows[index];
      windows.lost(sinceMs, untilMs, this.watermark.newest(partition) - windows.spec.latenessMs);
    });
  }

  /** Closes what the watermark has passed; `closed` is told after each pane of each rule. */
  close(lowMs: number, closed: (rule: number) => void): void {
    this.closeWhile(() => lowMs, closed);
    for (const windows of this.windows) windows.passed(lowMs);
  }

  /** End of input: closes every pane up to the one that holds `highMs`. */
  closeAll(highMs: number, closed: (rule: number) => void): void {
    this.closeWhile(({ spec }) => highMs + spec.slideMs + spec.latenessMs, closed);
  }

  private closeWhile(limitMs: (windows: KeyedWindows) => number, closed: (rule: number) => void): void {
    for (;;) {
      let first = -1;
      let firstMs = Number.POSITIVE_INFINITY;
      this.nextDueMs = Number.POSITIVE_INFINITY;
      for (let rule = 0; rule < this.windows.length; rule++) {
        const dueMs = this.windows[rule].nextDueMs;
        if (dueMs < this.nextDueMs) this.nextDueMs = dueMs;
        if (dueMs < firstMs && dueMs <= limitMs(this.windows[rule])) {
          first = rule;
          firstMs = dueMs;
        }
      }
      if (first === -1) return;
      this.windows[first].closeNext();
      closed(first);
    }
  }
}

/** Whether a loss in `dataset` can have taken events from the rule: it reads that dataset, one below it, or one above it. */
function touches(rule: Rule, dataset: string): boolean {
  if (rule.from.length === 0) return true;
  return rule.from.some((name) => name === dataset || name.startsWith(`${dataset}.`) || dataset.startsWith(`${name}.`));
}
