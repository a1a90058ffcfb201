/** `above: n` and `below: n`, with `for` to hold: fires when the value has been on the wrong side at every close for that long. */
import type { DetectorSpec } from '../rule.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { ClosedWindow, QuietKeys } from '../window/closed-window.ts';
import type { Detector, Verdict } from './detector.ts';

export type ThresholdSpec = Extract<DetectorSpec, { kind: 'above' | 'below' }>;

export class Threshold implements Detector {
  readonly name: string;
  readonly quietKeys: QuietKeys;
  readonly quietBelow: number;
  private readonly threshold: number;
  private readonly forMs: number;
  private readonly isBelow: boolean;
  /** The end of the first window of the present run on the wrong side, by slot; only for keys that are there, so a Map will do. */
  private readonly sinceMs = new Map<number, number>();

  /** @param monotone whether the measure can only rise while nothing expires: then a key without new matches cannot begin to be above. */
  constructor(spec: ThresholdSpec, monotone: boolean) {
    this.name = spec.kind;
    this.isBelow = spec.kind === 'below';
    this.threshold = spec.threshold;
    this.forMs = spec.forMs;
    // Half the threshold is near; of a negative one it lies on the other side.
    this.quietBelow = this.isBelow || spec.threshold < 0 ? Number.NEGATIVE_INFINITY : spec.threshold / 2;
    this.quietKeys = this.isBelow || !monotone ? 'changed' : 'none';
  }

  judge(window: ClosedWindow, verdict: Verdict): void {
    const { value } = window;
    verdict.value = value;
    verdict.threshold = this.threshold;
    const crossed = this.isBelow ? value < this.threshold : value > this.threshold;
    verdict.near = crossed || (this.isBelow ? value < this.threshold * 2 : value >= this.threshold / 2);
    if (!crossed) {
      if (!window.provisional) this.sinceMs.delete(window.slot);
      verdict.fired = false;
    } else if (this.forMs === 0) {
      verdict.fired = true;
    } else {
      verdict.fired = !window.provisional && this.heldFor(window.slot, window.endMs) >= this.forMs;
    }
  }

  holds(slot: number): boolean {
    return this.sinceMs.has(slot);
  }

  release(slot: number): void {
    this.sinceMs.delete(slot);
  }

  snapshot(out: SnapshotWriter): void {
    out.section(this.name);
    out.f64Pairs(this.sinceMs);
  }

  restore(from: SnapshotReader): void {
    from.section(this.name);
    this.sinceMs.clear();
    const pairs = from.f64s();
    for (let i = 0; i < pairs.length; i += 2) this.sinceMs.set(pairs[i], pairs[i + 1]);
  }

  private heldFor(slot: number, endMs: number): number {
    const since = this.sinceMs.get(slot);
    if (since === undefined) this.sinceMs.set(slot, endMs);
    return endMs - (since ?? endMs);
  }
}
