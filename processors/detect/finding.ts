import type { RuleStatus, Severity } from '../rule.ts';

/** A record that led to a finding: where it is, and its text once it has been read again. */
export interface Sample {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** At most 1 KiB; absent until it is read. */
  text?: string;
  /** Why the text could not be read. */
  unreadable?: string;
}

export type Activity = 'open' | 'update' | 'close';

/**
 * An anomaly with its evidence. A function of rules and records alone: no clock, no process, no interleaving shows in it. `ocsf.ts`
 * turns it into the bytes that go out.
 */
export interface Finding {
  /** Hash of rule, key and opening pane: a repeat is harmless, and open, update and close share it. */
  readonly id: string;
  readonly activity: Activity;
  /** 0 for the opening, then counts up. */
  readonly sequence: number;
  /** When it was decided, in event time: the end of the pane whose close decided it. */
  readonly timeMs: number;
  readonly rule: string;
  readonly title: string;
  readonly category: string;
  readonly severity: Severity;
  readonly status: RuleStatus;
  readonly summary: string;
  /** Field names (as the rule wrote them, transforms included) to values; empty for `all`. */
  readonly key: Readonly<Record<string, string>>;
  /** e.g. `distinct(user.email)`. */
  readonly measure: string;
  readonly detector: string;
  readonly value: number;
  /** Relative standard error of `value`; 0 = exact. */
  readonly valueError: number;
  readonly threshold?: number;
  readonly expected?: number;
  readonly p?: number;
  readonly chanceRatePerDay?: number;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  /** The opening pane's start. */
  readonly openedMs: number;
  readonly early: boolean;
  /** Loss upstream touched the window. */
  readonly degraded: boolean;
  /** Late records and records for panes a tick had closed, counted in the panes of the window. */
  readonly late: number;
  readonly evicted: number;
  readonly countErr: number;
  readonly samples: Sample[];
}

/** One evaluated window and key: what tuning, plots and evaluation read. */
export interface Score {
  readonly rule: string;
  readonly key: Readonly<Record<string, string>>;
  readonly start: number;
  readonly end: number;
  readonly value: number;
  readonly expected?: number;
  readonly p?: number;
  readonly threshold?: number;
  readonly fired: boolean;
}
