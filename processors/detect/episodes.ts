/**
 * An episode is one anomaly of one key from its first firing pane on: it opens, is updated when the statistic has doubled, and closes
 * after two window lengths without a firing pane, or after 24 hours. Only openings are news; everything else is the same finding.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Activity } from './finding.ts';

const longestMs = 24 * 3_600_000;

export interface Episode {
  /** Start of the opening pane: with rule and key, the finding's identity. */
  readonly openedMs: number;
  readonly early: boolean;
  /** Which detector opened it, by index. */
  readonly detector: number;
  sequence: number;
  lastFiredMs: number;
  /** The value last told; an update comes when it has doubled (or halved, for a detector that looks down). */
  toldValue: number;
}

export interface Firing {
  readonly detector: number;
  readonly value: number;
  /** Whether low values are the bad ones. */
  readonly down: boolean;
}

export class Episodes {
  private readonly open = new Map<number, Episode>();
  private readonly mutedUntilMs = new Map<number, number>();
  private readonly windowMs: number;
  private readonly slideMs: number;
  private readonly muteMs: number;

  constructor(windowMs: number, slideMs: number, muteMs: number) {
    this.windowMs = windowMs;
    this.slideMs = slideMs;
    this.muteMs = muteMs;
  }

  get(slot: number): Episode | undefined {
    return this.open.get(slot);
  }

  /** What a firing pane that ends at `endMs` leads to; undefined if it says nothing new. `provisional` opens an early one. */
  fired(slot: number, endMs: number, firing: Firing, provisional: boolean): Activity | undefined {
    const episode = this.open.get(slot);
    if (episode === undefined) {
      if ((this.mutedUntilMs.get(slot) ?? Number.NEGATIVE_INFINITY) > endMs) return undefined;
      this.open.set(slot, {
        openedMs: endMs - this.slideMs,
        early: provisional,
        detector: firing.detector,
        sequence: 0,
        lastFiredMs: endMs,
        toldValue: firing.value,
      });
      if (this.muteMs > 0) this.mutedUntilMs.set(slot, endMs + this.muteMs);
      return 'open';
    }
    if (provisional) return undefined;
    episode.lastFiredMs = endMs;
    const doubled = firing.down ? firing.value <= episode.toldValue / 2 : firing.value >= episode.toldValue * 2;
    if (!doubled || firing.value === episode.toldValue) return this.pastLongest(episode, endMs);
    episode.toldValue = firing.value;
    episode.sequence++;
    return 'update';
  }

  /** What a pane without a firing leads to. */
  quiet(slot: number, endMs: number): Activity | undefined {
    const episode = this.open.get(slot);
    if (episode === undefined) return undefined;
    if (endMs - episode.lastFiredMs < 2 * this.windowMs) return this.pastLongest(episode, endMs);
    episode.sequence++;
    return 'close';
  }

  /** After its closing finding was made. */
  forget(slot: number): void {
    this.open.delete(slot);
  }

  /** True while the slot must be kept: an open episode, or a mute that still holds. */
  holds(slot: number, endMs: number): boolean {
    if (this.open.has(slot)) return true;
    const until = this.mutedUntilMs.get(slot);
    if (until === undefined) return false;
    if (until > endMs) return true;
    this.mutedUntilMs.delete(slot);
    return false;
  }

  release(slot: number): void {
    this.open.delete(slot);
    this.mutedUntilMs.delete(slot);
  }

  get openCount(): number {
    return this.open.size;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('episodes');
    out.u32(this.open.size);
    out.each(this.open, ([slot, episode]) => {
      out.u32(slot);
      out.f64(episode.openedMs);
      out.u32(episode.early ? 1 : 0);
      out.u32(episode.detector);
      out.u32(episode.sequence);
      out.f64(episode.lastFiredMs);
      out.f64(episode.toldValue);
    });
    out.f64Pairs(this.mutedUntilMs);
  }

  restore(from: SnapshotReader): void {
    from.section('episodes');
    this.open.clear();
    this.mutedUntilMs.clear();
    const count = from.u32();
    for (let i = 0; i < count; i++) {
      const slot = from.u32();
      this.open.set(slot, {
        openedMs: from.f64(),
        early: from.u32() === 1,
        detector: from.u32(),
        sequence: from.u32(),
        lastFiredMs: from.f64(),
        toldValue: from.f64(),
      });
    }
    const pairs = from.f64s();
    for (let i = 0; i < pairs.length; i += 2) this.mutedUntilMs.set(pairs[i], pairs[i + 1]);
  }

  private pastLongest(episode: Episode, endMs: number): Activity | undefined {
    if (endMs - episode.openedMs < longestMs) return undefined;
    episode.sequence++;
    return 'close';
  }
}
