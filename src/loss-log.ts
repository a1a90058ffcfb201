/** What was lost or dropped lately, for `/healthz`: a stream of garbage degrades every window it touches, and must not do so unsaid. */
import type { Counters } from '../processors/counters.ts';
import type { HealthReason } from './http/health.ts';

/** How long after the last of its kind a loss is worth a word. */
const recentMs = 5 * 60_000;

/** Why records were dropped, or went missing; nothing is missing where an empty record was dropped. */
type CounterName = 'rejected' | 'losses';

export class LossLog {
  private readonly seen = new Map<string, { counter: CounterName; kind: string; count: number; atMs: number }>();

  /** To be called when something was processed; `nowMs` by the wall clock. */
  look(counters: Readonly<Counters>, nowMs: number): void {
    for (const counter of ['rejected', 'losses'] as const) {
      for (const kind in counters[counter]) {
        const count = counters[counter][kind];
        const known = this.seen.get(`${counter} ${kind}`);
        if (kind === 'empty' || known?.count === count) continue;
        this.seen.set(`${counter} ${kind}`, { counter, kind, count, atMs: nowMs });
      }
    }
  }

  reasons(nowMs: number): HealthReason[] {
    const recent = [...this.seen.values()].filter(({ atMs }) => nowMs - atMs < recentMs);
    const told = (wanted: CounterName) =>
      recent
        .filter(({ counter }) => counter === wanted)
        .map(({ kind, count }) => `${kind} ${count}`)
        .join(', ');
    const [rejected, losses] = [told('rejected'), told('losses')];
    const reasons: HealthReason[] = [];
    const degraded = 'the windows around them are degraded, so no silence is proven there';
    if (rejected !== '') {
      const detail = `records that could not be used, since the start: ${rejected}; ${degraded}; the dead letter has them`;
      reasons.push({ reason: 'records_dropped', severity: 'degraded', detail });
    }
    if (losses !== '') {
      const detail = `places where records are missing, since the start: ${losses}; ${degraded}`;
      reasons.push({ reason: 'records_lost', severity: 'degraded', detail });
    }
    return reasons;
  }
}
