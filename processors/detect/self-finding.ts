/** What the watcher says of itself: findings of rules named `streamgauge.*`, never a silent zero. */
import type { Finding } from './finding.ts';
import { findingId } from './write-finding.ts';

export interface SelfFinding {
  readonly rule: `streamgauge.${string}`;
  readonly title: string;
  readonly key: Readonly<Record<string, string>>;
  readonly summary: string;
  /** Default: a duration in ms. */
  readonly measure?: string;
  readonly value: number;
  /** What it is known by, where the clock must not show in it; else its key and `sinceMs`. */
  readonly identity?: string;
  readonly sinceMs: number;
  readonly nowMs: number;
  /** Default: `open`. A closing has the `sinceMs` of its opening. */
  readonly activity?: 'open' | 'close';
}

export function selfFinding(told: SelfFinding): Finding {
  const { rule, title, key, summary, measure = 'duration (ms)', value, identity, sinceMs, nowMs, activity = 'open' } = told;
  return {
    id: identity === undefined ? findingId(rule, JSON.stringify(key), sinceMs) : findingId(rule, identity, 0),
    activity,
    sequence: activity === 'open' ? 0 : 1,
    timeMs: nowMs,
    rule,
    title,
    category: 'streamgauge',
    severity: 'high',
    status: 'live',
    summary,
    key,
    measure,
    detector: 'self',
    value,
    valueError: 0,
    windowStartMs: sinceMs,
    windowEndMs: nowMs,
    openedMs: sinceMs,
    early: false,
    degraded: false,
    late: 0,
    evicted: 0,
    countErr: 0,
    samples: [],
  };
}
