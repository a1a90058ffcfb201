/** What was lost or dropped lately, for `/healthz`: a stream of garbage degrades every window it touches, and must not do so unsaid. */
import type { Counters } from '../processors/counters.ts';
import type { HealthReason } from './http/health.ts';

/** How long after the last of its kind a loss is worth a word. */
const recentMs = 5 * 60_000;

/** Why records were dropped, or went missing (nothing is missing where an empty record was dropped), and what senders lost. */
type CounterName = 'rejected' | 'losses' | 'lostUpstream';

export class LossLog {
  private readonly seen = new Map<string, { counter: CounterName; kind: string; count: number; atMs: number }>();

  /** To be called when something was processed; `nowMs` by the wall clock. */
  look(counters: Readonly<Counters>, nowMs: number): void {
    for (const counter of ['rejected', 'losses'] as const) {
      for (const kind in counters[counter]) if (kind !== 'empty') this.note(counter, kind, counters[counter][kind], nowMs);
    }
    if (counters.lostUpstream > 0) this.note('lostUpstream', 'messages', counters.lostUpstream, nowMs);
  }

  private note(counter: CounterName, kind: string, count: number, atMs: number): void {
    const key = `${counter} ${kind}`;
    if (this.seen.get(key)?.count !== count) this.seen.set(key, { counter, kind, count, atMs });
  }

  reasons(nowMs: number): HealthReason[] {
    const recent = [...this.seen.values()].filter(({ atMs }) => nowMs - atMs < recentMs);
    const told = (wanted: CounterName) =>
      recent
        .filter(({ counter }) => counter === wanted)
        .map(({ kind, count }) => `${kind} ${count}`)
        .join(', ');
    const [rejected, losses, upstream] = [told('rejected'), told('losses'), told('lostUpstream')];
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
    if (upstream !== '') {
      const detail = `senders say that they lost, since the start: ${upstream}; ${degraded}`;
      reasons.push({ reason: 'messages_lost_upstream', severity: 'degraded', detail });
    }
    return reasons;
  }
}
