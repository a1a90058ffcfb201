/**
 * Whether a group has room for more keys, by the bytes it holds. Two lines are drawn just below its limit: past the first one new keys are
 * admitted only in exchange for others; past the second (keys that are there have grown) keys must go, until there is room to grow again.
 * What is held but spare (blocks and slots that were given back) is room; what open panes took at their fullest is not, although they
 * give it back at every close.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { MemoryShare } from './memory-share.ts';

const fullAt = 29 / 32;
/** Below 1 because memory comes in pieces of up to 256 KiB, and is looked at only now and then. */
const tooMuchAt = 31 / 32;
const clearTo = 30 / 32;
/** What is kept by slot is never given back, so it may not take more: young keys are small, and would leave no room to grow. */
const slotsAt = 1 / 4;
/** Fewer keys than this say nothing about what a key takes. */
const fewKeys = 64;

/** What a group holds, in bytes. */
export interface Holdings {
  readonly held: number;
  /** The part that is held but free, and of that the part that is held no longer once the measure has been moved together. */
  readonly spare: number;
  readonly movable: number;
  /** The part that open panes take, now and once columns that are nearly full have grown. */
  readonly panes: number;
  readonly panesSoon: number;
  readonly keys: number;
  /** What the next new key would make the columns by slot grow by, and what they would take then; 0 if they need not grow. */
  readonly growth: number;
  readonly grown: number;
  /** What the first sign of pressure will take. */
  readonly reserve: number;
  /** Number of the window's length that the group's time is in. */
  readonly generation: number;
}

interface Peak {
  bytes: number;
  bytesPerKey: number;
}

export class Room {
  /** New keys must ask. */
  full = false;
  private readonly share: MemoryShare;
  /** The most that open panes took, in all and for a key, in this generation and the one before. */
  private peak: Peak = { bytes: 0, bytesPerKey: 0 };
  private peakBefore: Peak = { bytes: 0, bytesPerKey: 0 };
  private generation = 0;

  constructor(share: MemoryShare) {
    this.share = share;
  }

  /** Looks at what is held; returns how many bytes have to be freed (0: only to be moved together), -1 if it is not too much. */
  check({ held, spare, movable, panes, panesSoon, growth, grown, reserve, keys, generation }: Holdings): number {
    this.advance(generation);
    this.peak.bytes = Math.max(this.peak.bytes, panesSoon);
    this.peak.bytesPerKey = Math.max(this.peak.bytesPerKey, panesSoon / Math.max(keys, fewKeys));
    this.share.holds(held);
    const used = held - spare - panes + Math.max(panesSoon, this.panesAtPeak(keys)) + reserve;
    const heldSoon = held - panes + panesSoon;
    let limit = this.share.limitBytes;
    const isFull = () => used + growth > limit * fullAt || grown > limit * slotsAt || heldSoon > limit * tooMuchAt;
    while (isFull() && this.share.ask()) limit = this.share.limitBytes;
    this.full = isFull();
    return heldSoon > limit * tooMuchAt ? Math.max(0, heldSoon - movable - limit * clearTo) : -1;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('room');
    out.u32(this.full ? 1 : 0);
    out.f64(this.generation);
    for (const { bytes, bytesPerKey } of [this.peak, this.peakBefore]) {
      out.f64(bytes);
      out.f64(bytesPerKey);
    }
    this.share.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('room');
    this.full = from.u32() === 1;
    this.generation = from.f64();
    this.peak = { bytes: from.f64(), bytesPerKey: from.f64() };
    this.peakBefore = { bytes: from.f64(), bytesPerKey: from.f64() };
    this.share.restore(from);
  }

  /** The state that was restored is of generations this many times as long as ours. */
  rescale(times: number): void {
    this.generation = Math.floor(this.generation * times);
  }

  /** What open panes may come to again: not more than they did, nor more for each key. */
  private panesAtPeak(keys: number): number {
    const bytes = Math.max(this.peak.bytes, this.peakBefore.bytes);
    return Math.min(bytes, keys * Math.max(this.peak.bytesPerKey, this.peakBefore.bytesPerKey));
  }

  private advance(generation: number): void {
    if (generation <= this.generation) return;
    this.peakBefore = generation === this.generation + 1 ? this.peak : { bytes: 0, bytesPerKey: 0 };
    this.peak = { bytes: 0, bytesPerKey: 0 };
    this.generation = generation;
  }
}
