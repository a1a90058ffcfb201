/**
 * `silence: { after, during }`: fires when nothing has come for a key for longer than `after`, counting only the hours named by
 * `during`. A window that loss has touched proves no silence. A key is watched from its first event; a rule with `key: all` from the
 * first event of the input.
 */
import type { DetectorSpec } from '../rule.ts';
import type { ClosedWindow } from '../window/closed-window.ts';
import { exposureMs, isDuring } from './business-hours.ts';
import type { Detector, Verdict } from './detector.ts';

export type SilenceSpec = Extract<DetectorSpec, { kind: 'silence' }>;

/** A key that has been silent for this long past its finding is forgotten; it is watched again from its next event. */
const forgetAfterMs = 24 * 3_600_000;

export class Silence implements Detector {
  readonly name = 'silence';
  readonly measureName = 'silence (ms)';
  readonly quietKeys = 'all';
  readonly quietBelow = Number.NEGATIVE_INFINITY;
  private readonly spec: SilenceSpec;
  /** Slots whose silence is long over the limit; nothing but this is state, and it follows from the next judgement. */
  private readonly given = new Set<number>();

  constructor(spec: SilenceSpec) {
    this.spec = spec;
  }

  judge(window: ClosedWindow, verdict: Verdict): void {
    // A window that is looked at before its close is one that an event has just come for.
    const silentMs = window.provisional ? 0 : exposureMs(window.lastEventMs, window.endMs, this.spec.during);
    verdict.value = silentMs;
    verdict.threshold = this.spec.afterMs;
    verdict.near = true;
    verdict.fired = silentMs > this.spec.afterMs && isDuring(window.endMs - 1, this.spec.during) && !window.degraded;
    if (silentMs > this.spec.afterMs + forgetAfterMs) this.given.add(window.slot);
    else this.given.delete(window.slot);
  }

  holds(slot: number): boolean {
    return !this.given.has(slot);
  }

  release(slot: number): void {
    this.given.delete(slot);
  }

  snapshot(): void {}

  restore(): void {}
}
