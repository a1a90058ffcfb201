/**
 * Whether a group has room for more keys, by the bytes it holds. Two lines are drawn below its limit: past the first one new keys are
 * admitted only in exchange for others; when the limit itself is passed (keys that are there have grown), keys must go until the second.
 * What is held but spare (blocks and slots that were given back) is room; what open panes took at their fullest is not, although they
 * give it back at every close.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { MemoryShare } from './memory-share.ts';

const fullAt = 15 / 16;
const clearTo = 7 / 8;
/** Fewer keys than this say nothing about what a key takes. */
const fewKeys = 64;

/** What a group holds, in bytes. */
export interface Holdings {
  readonly held: number;
  /** The part that is held but free. */
  readonly spare: number;
  /** The part that open panes take, now and once columns that are nearly full have grown. */
  readonly panes: number;
  readonly panesSoon: number;
  readonly keys: number;
  /** What the next new key would make the columns grow by. */
  readonly growth: number;
  /** What the first sign of pressure will take. */
  readonly reserve: number;
  /** Number of the window's length that the group's time is in. */
  readonly generation: number;
}

export class Room {
  /** New keys must ask. */
  full = false;
  private readonly share: MemoryShare;
  /** The most that open panes took for a key, in this generation and the one before. */
  private panesPeak = 0;
  private panesPeakBefore = 0;
  private generation = 0;

  constructor(share: MemoryShare) {
    this.share = share;
  }

  /** Looks at what is held; returns how many bytes have to be freed (0: only to be moved together), -1 if it is not too much. */
  check({ held, spare, panes, panesSoon, growth, reserve, keys, generation }: Holdings): number {
    this.advance(generation);
    this.panesPeak = Math.max(this.panesPeak, panesSoon / Math.max(keys, fewKeys));
    this.share.holds(held);
    const used = held - spare - panes + Math.max(panesSoon, keys * Math.max(this.panesPeak, this.panesPeakBefore)) + reserve;
    while (used + growth > this.share.limitBytes * fullAt && this.share.ask());
    const limit = this.share.limitBytes;
    const tooMuch = held - panes + panesSoon > limit;
    this.full = tooMuch || used + growth > limit * fullAt;
    return tooMuch ? Math.max(0, used - limit * clearTo) : -1;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('room');
    out.u32(this.full ? 1 : 0);
    out.f64(this.generation);
    out.f64(this.panesPeak);
    out.f64(this.panesPeakBefore);
    this.share.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('room');
    this.full = from.u32() === 1;
    this.generation = from.f64();
    this.panesPeak = from.f64();
    this.panesPeakBefore = from.f64();
    this.share.restore(from);
  }

  private advance(generation: number): void {
    if (generation <= this.generation) return;
    this.panesPeakBefore = generation === this.generation + 1 ? this.panesPeak : 0;
    this.panesPeak = 0;
    this.generation = generation;
  }
}
