/**
 * Sources that are away for a while, or stand still although records wait: findings of their own, with a closing when it is over. To be
 * looked at every second or so, in the engine's turn: while a sink is away that is held, and nobody is to blame for standing still.
 */
import type { Finding } from '../processors/detect/finding.ts';
import type { HealthReason } from './http/health.ts';
import { sourceFailedFinding, sourceStalledFinding } from './self-finding.ts';
import type { Source } from './source/source.ts';

/** How long a source may be away before it is a finding: a broker that restarts is back before. */
const failedAfterMs = 30_000;
/** How long nothing may come although something waits. */
const stalledAfterMs = 60_000;
/** Two looks are a second apart; more than this, and something kept us from looking. */
const heldAfterMs = 20_000;

interface Trouble {
  /** By the clock that only passes. */
  readonly atMs: number;
  /** By the wall clock. */
  readonly sinceMs: number;
  told: boolean;
}

interface Watched {
  readonly source: Source;
  /** When it last handed in something, by the clock that only passes. */
  progressMs: number;
  failing: Trouble | undefined;
  stalled: Trouble | undefined;
}

export interface Now {
  /** Ms since the epoch. */
  readonly wallMs: number;
  /** Ms that only pass. */
  readonly steadyMs: number;
}

export class SourceWatch {
  private readonly watched: readonly Watched[];
  private lastLookMs: number;

  constructor(sources: readonly Source[], { steadyMs }: Now) {
    this.lastLookMs = steadyMs;
    this.watched = sources.map((source) => ({ source, progressMs: steadyMs, failing: undefined, stalled: undefined }));
  }

  /** A source has handed in a batch. */
  progressed(source: Source, steadyMs: number): void {
    for (const each of this.watched) if (each.source === source) each.progressMs = steadyMs;
  }

  look(now: Now): Finding[] {
    // The engine's turn was held (a sink was away, the machine slept): nothing could come, and what waits may come now.
    if (now.steadyMs - this.lastLookMs > heldAfterMs) for (const each of this.watched) each.progressMs = now.steadyMs;
    this.lastLookMs = now.steadyMs;
    return this.watched.flatMap((each) => [...this.lookAtHealth(each, now), ...this.lookAtProgress(each, now)]);
  }

  /** A source gave up, and with it the run: told if it was not yet. */
  gaveUp(source: Source, error: unknown, now: Now): Finding[] {
    const each = this.watched.find((one) => one.source === source);
    if (each === undefined || each.failing?.told) return [];
    const sinceMs = each.failing?.sinceMs ?? now.wallMs;
    return [sourceFailedFinding(source.name, `${reasonOf(error)}; the process stops`, sinceMs, now.wallMs)];
  }

  reasons(): HealthReason[] {
    return this.watched
      .filter(({ stalled }) => stalled?.told)
      .map(({ source }) => ({
        reason: 'source_stalled',
        severity: 'failing',
        detail: `${source.name}: ${source.health().lagRecords} records wait and none has come for a minute; look at the broker's log, and restart if it lasts`,
      }));
  }

  private lookAtHealth(each: Watched, { wallMs, steadyMs }: Now): Finding[] {
    const { source, failing } = each;
    const { ok, reason } = source.health();
    if (ok) {
      each.failing = undefined;
      return failing?.told ? [sourceFailedFinding(source.name, '', failing.sinceMs, wallMs, 'close')] : [];
    }
    each.failing ??= { atMs: steadyMs, sinceMs: wallMs, told: false };
    if (each.failing.told || steadyMs - each.failing.atMs < failedAfterMs) return [];
    each.failing.told = true;
    return [sourceFailedFinding(source.name, reason ?? 'no reason given', each.failing.sinceMs, wallMs)];
  }

  private lookAtProgress(each: Watched, { wallMs, steadyMs }: Now): Finding[] {
    const { source, stalled, progressMs } = each;
    const { ok, lagRecords = 0 } = source.health();
    // One that is away is told as that; one with nothing to read stands still rightly.
    if (!ok || lagRecords === 0 || (stalled !== undefined && progressMs > stalled.atMs)) {
      each.stalled = undefined;
      if (stalled === undefined) each.progressMs = Math.max(progressMs, steadyMs);
      return stalled === undefined ? [] : [sourceStalledFinding(source.name, lagRecords, stalled.sinceMs, wallMs, 'close')];
    }
    if (stalled !== undefined || steadyMs - progressMs < stalledAfterMs) return [];
    each.stalled = { atMs: progressMs, sinceMs: wallMs - (steadyMs - progressMs), told: true };
    return [sourceStalledFinding(source.name, lagRecords, each.stalled.sinceMs, wallMs)];
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
