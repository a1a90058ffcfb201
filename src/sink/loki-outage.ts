/** Loki was away while findings waited for it: `streamgauge.sink_failed`, as the other sinks have it, but nobody else had to wait. */
import type { Finding } from '../../processors/detect/finding.ts';
import { selfFinding } from '../self-finding.ts';

export interface LokiOutage {
  readonly sinceMs: number;
  /** When it took something again. */
  readonly untilMs: number;
  /** What it said last, or what was said of it. */
  readonly reason: string;
}

/** @param waitedIn the log that kept the findings; @param nowMs when it is told. */
export function lokiOutageFinding(sink: string, waitedIn: string, { sinceMs, untilMs, reason }: LokiOutage, nowMs: number): Finding {
  return selfFinding({
    rule: 'streamgauge.sink_failed',
    title: 'Loki did not take findings',
    key: { sink },
    summary: `${sink} was away for ${Math.round((untilMs - sinceMs) / 1000)} s; findings waited in ${waitedIn}: ${reason}`,
    value: untilMs - sinceMs,
    sinceMs,
    nowMs,
  });
}
