/** One rule's look at windows that several rules may share: its own length of window, its judge, the keys it watches and their samples. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';
import { type ClosedWindow, Interest, type QuietKeys, type SampleRef, type WindowJudge } from './closed-window.ts';
import { KeptSamples } from './kept-samples.ts';

/** An entry of `watched`, an episode with its entry, a mute or a hold: some 400 bytes of objects and Map entries in V8. */
const bytesPerWatched = 400;

export interface ViewSpec {
  readonly panesPerWindow: number;
  readonly judge: WindowJudge;
  readonly quietKeys: QuietKeys;
  /** Judge a key as soon as a match comes for it. */
  readonly early: boolean;
}

export class View {
  readonly panesPerWindow: number;
  readonly quietKeys: QuietKeys;
  readonly early: boolean;
  /** A window whose value is not at least this, of a slot nothing is known of, need not be judged. */
  readonly quietBelow: number;
  /** Slots to judge again at the next close although nothing new may come. */
  readonly watched = new Set<number>();
  readonly kept = new KeptSamples();
  private readonly judge: WindowJudge;
  /** By slot: the pane whose close is the first that changes the window of a key nothing new comes for. A cache; 0 = not known. */
  private changesAt = new Uint32Array(0);

  constructor(spec: ViewSpec) {
    this.panesPerWindow = spec.panesPerWindow;
    this.judge = spec.judge;
    this.quietKeys = spec.quietKeys;
    this.early = spec.early;
    this.quietBelow = spec.judge.quietBelow;
  }

  /** Judges a closed window; `fresh` are the samples of the closing pane, asked for only if they are to be kept. */
  judgeClosed(window: ClosedWindow, firstPane: number, pane: number, fresh: () => SampleRef[]): void {
    const { slot } = window;
    const interest = this.judge.judge(window);
    if (interest & Interest.watch) this.watched.add(slot);
    else this.watched.delete(slot);
    if ((interest & Interest.samples) === 0) {
      this.kept.drop(slot);
      return;
    }
    this.kept.expire(slot, firstPane);
    const samples = fresh();
    if (samples.length > 0) this.kept.keep(slot, pane, samples);
  }

  /** Whether the slot is watched or has samples: then it must be judged however low its value. */
  knows(slot: number): boolean {
    return this.isWatched(slot) || this.kept.has(slot);
  }

  isWatched(slot: number): boolean {
    return this.watched.size > 0 && this.watched.has(slot);
  }

  /** Whether a key that nothing new came for may be judged otherwise at this pane than at the last one. */
  mayChange(slot: number, pane: number): boolean {
    return this.quietKeys === 'all' || slot >= this.changesAt.length || pane >= this.changesAt[slot] || this.isWatched(slot);
  }

  /** The oldest data in the window of a key that was judged lies in `oldestPane`. */
  unchangedSince(slot: number, oldestPane: number): void {
    if (slot >= this.changesAt.length)
      this.changesAt = widen(this.changesAt, new Uint32Array(Math.max(32, slot + 1, this.changesAt.length * 2)));
    this.changesAt[slot] = Math.min(oldestPane + this.panesPerWindow, 0xffffffff);
  }

  /** Judges a window that is still open. */
  judgeOpen(window: ClosedWindow): void {
    if (this.judge.judge(window) & Interest.watch) this.watched.add(window.slot);
  }

  release(slot: number): void {
    this.judge.release(slot);
    this.kept.drop(slot);
    this.watched.delete(slot);
    if (slot < this.changesAt.length) this.changesAt[slot] = 0;
  }

  /** About what is held for keys that are watched or half way to firing: an episode, a mute, the start of a hold, samples. */
  bytes(): number {
    return this.watched.size * bytesPerWatched + this.kept.bytes();
  }

  snapshot(out: SnapshotWriter): void {
    this.kept.snapshot(out);
    out.u32s(this.watched);
  }

  restore(from: SnapshotReader): void {
    this.kept.restore(from);
    this.watched.clear();
    for (const slot of from.u32s()) this.watched.add(slot);
    this.changesAt.fill(0);
  }
}
