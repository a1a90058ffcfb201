/**
 * Match -> ClosedWindow: the sliding windows of all keys of one rule, or of several that count the same.
 *
 * Time is cut into panes of `slideMs`, aligned to the epoch; the window that ends with a pane is the last panes up to it. Matches go
 * into open panes; when the watermark passes a pane's end by the lateness it closes, and the keys it concerns are judged. What a close
 * sees are the matches of closed panes only, however far ahead other partitions have run: so interleaving cannot show.
 */
import type { Match } from '../match/match.ts';
import type { Measure } from '../measure/measure.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { Flaws } from './flaws.ts';
import { MemoryBudget, type MemoryShare } from './memory-share.ts';
import { OpenPane } from './open-pane.ts';
import { PaneClose, sliceKeys } from './pane-close.ts';
import { type KeyText, Places } from './places.ts';
import type { Lost, PressureJudge } from './pressure.ts';
import { noPane } from './slot-columns.ts';
import { View, type ViewSpec } from './view.ts';

/** Why `add` gave no slot. */
export const NotAdded = { wrongType: -1, closedPane: -2, untracked: -3 } as const;

export interface PaneSpec {
  readonly slideMs: number;
  readonly latenessMs: number;
}

/** What bounds a group's memory, and who is told when that was felt. */
export interface MemoryBounds {
  readonly share: MemoryShare;
  readonly judge: PressureJudge;
  evicted(): void;
}

function unbounded(): MemoryBounds {
  return { share: new MemoryBudget(Number.MAX_SAFE_INTEGER, 1).share(), judge: { judge: () => false }, evicted: () => {} };
}

export class KeyedWindows {
  readonly spec: PaneSpec;
  private readonly measure: Measure;
  private readonly views: readonly View[];
  private readonly longestPanes: number;
  private readonly generationPanes: number;
  private readonly places: Places;
  private readonly flaws = new Flaws();
  private readonly open = new Map<number, OpenPane>();
  /** The open pane that was asked for last: nearly always the one that is asked for next. */
  private latest = -1;
  private latestOpen: OpenPane | undefined;
  /** A pane that closed, empty again: the next one need not grow anew. */
  private spare: OpenPane | undefined;
  private readonly paneClose: PaneClose;
  private readonly pressureJudge: PressureJudge;
  /** Pressure is told of: every pane is shown to its judge. */
  private pressureWatched = false;
  /** The newest pane that is closed, -1 before the first. */
  private lastClosed = -1;
  private nextSweep = 0;

  constructor(spec: PaneSpec, measure: Measure, views: readonly ViewSpec[], bounds = unbounded()) {
    this.spec = spec;
    this.measure = measure;
    this.views = views.map((view) => new View(view));
    this.longestPanes = Math.max(...views.map(({ panesPerWindow }) => panesPerWindow));
    this.generationPanes = this.longestPanes + Math.ceil(spec.latenessMs / spec.slideMs) + 1;
    this.pressureJudge = bounds.judge;
    const { share, evicted } = bounds;
    const { open, longestPanes: windowPanes, generationPanes } = this;
    this.places = new Places({ share, evicted, measure, views: this.views, open, windowPanes, generationPanes });
    this.paneClose = new PaneClose(spec.slideMs, measure, this.places, this.flaws);
  }

  get keyCount(): number {
    return this.places.keys.size;
  }

  /** What the newest window has lost for want of memory, the panes that are open included. */
  get lost(): Lost {
    return this.places.pressure.lostIn(this.lastClosed - this.longestPanes + 2, Number.POSITIVE_INFINITY);
  }

  /** Bytes of state, which decide who gets a place: the same after a restore. */
  get stateBytes(): number {
    return this.places.bytes();
  }

  /** Bytes held, caches included. */
  bytes(): number {
    return this.places.bytes() + (this.measure.cacheBytes?.() ?? 0);
  }

  /**
   * Adds a match to its open pane. Returns its slot, or one of `NotAdded`. The key's text is asked for only when the key is new and there
   * is room for it.
   */
  add(match: Match, key: KeyText): number {
    const pane = Math.floor(match.timeMs / this.spec.slideMs);
    if (pane <= this.lastClosed) return NotAdded.closedPane;
    const { places } = this;
    const { columns } = places;
    places.next(pane);
    let slot = places.keys.find(match.keyLow, match.keyHigh);
    if (slot === -1) {
      slot = places.admit(match, pane, key);
      if (slot === -1) return NotAdded.untracked;
    }
    if (!this.measure.add(slot, pane, match)) {
      if (columns.newestPane(slot) === noPane) places.release(slot);
      return NotAdded.wrongType;
    }
    const open = this.openPane(pane);
    if (columns.touchedPane(slot) !== pane) columns.touch(slot, pane, open.touch(slot, match.keyLow), this.generationPanes);
    open.offer(columns.count(slot), match.timeMs, match.sampleHash, match.partition, match.offset);
    return slot;
  }

  /** Watches a key before anything has come for it, as if its last event had been at `sinceMs`. */
  watch(low: number, high: number, text: string, sinceMs: number): void {
    const { keys, columns } = this.places;
    if (keys.find(low, high) !== -1) return;
    const slot = this.places.give(low, high, text);
    columns.lastEventMs[slot] = sinceMs;
    const pane = Math.floor(sinceMs / this.spec.slideMs);
    columns.seen(slot, pane);
    for (const view of this.views) view.watched.add(slot);
    this.lastClosed = Math.max(this.lastClosed, pane - 1);
  }

  /** A record came too late, when the watermark of its partition stood at `watermarkMs`: the pane there says so. */
  late(watermarkMs: number): void {
    this.flaws.late(Math.max(this.lastClosed + 1, Math.floor(watermarkMs / this.spec.slideMs)));
  }

  /** Messages were lost upstream between these times; the watermark of the partition that says so stood at `watermarkMs`. */
  lostUpstream(sinceMs: number, untilMs: number, watermarkMs: number): void {
    const { slideMs } = this.spec;
    const fromPane = Math.max(this.lastClosed + 1, Math.floor(watermarkMs / slideMs));
    this.flaws.lost(Math.floor(sinceMs / slideMs), Math.floor(untilMs / slideMs), fromPane);
  }

  /** Judges one key's windows as they stand, open panes included, for the views that announce early. */
  peek(slot: number, timeMs: number): void {
    const pane = Math.floor(timeMs / this.spec.slideMs);
    for (const view of this.views) if (view.early) this.paneClose.peek(view, slot, pane, this.open.get(pane));
  }

  /** The watermark at which the next pane with work in it closes; Infinity if there is none. */
  get nextDueMs(): number {
    const pane = this.nextPane();
    return pane === Number.POSITIVE_INFINITY ? pane : (pane + 1) * this.spec.slideMs + this.spec.latenessMs;
  }

  /** Closes the next pane with work in it, in slices: folds what its keys hold, judges them, and now and then lets go of old ones. */
  *closeNext(): Generator<void, void> {
    const pane = this.nextPane();
    const open = this.open.get(pane);
    this.open.delete(pane);
    this.latestOpen = undefined;
    this.lastClosed = pane;
    if (open !== undefined) yield* this.paneClose.fold(open, pane);
    for (const view of this.views) yield* this.paneClose.judgeAll(view, open, pane);
    if (this.places.pressed || this.pressureWatched) this.closePressure(pane);
    if (pane >= this.nextSweep) yield* this.sweep(pane);
    this.places.check(pane + 1);
    if (open?.filled) {
      open.reset();
      this.spare = open;
    }
  }

  /** Says that everything before `watermarkMs` is closed, work or none. */
  passed(watermarkMs: number): void {
    const pane = Math.floor((watermarkMs - this.spec.latenessMs) / this.spec.slideMs) - 1;
    if (pane > this.lastClosed) this.lastClosed = pane;
  }

  /** What is counted, whoever looks at it: without the state of the views. */
  snapshot(out: SnapshotWriter): void {
    out.section('keyed-windows');
    out.u32(this.generationPanes);
    out.f64(this.lastClosed);
    out.f64(this.nextSweep);
    out.u32(this.pressureWatched ? 1 : 0);
    this.places.snapshot(out);
    this.flaws.snapshot(out);
    out.u32(this.open.size);
    for (const [pane, open] of this.open) {
      out.f64(pane);
      open.snapshot(out);
    }
    this.measure.snapshot(out);
  }

  /** The views may be others than those at the snapshot, and the longest window another: what they remember begins empty. */
  restore(from: SnapshotReader): void {
    from.section('keyed-windows');
    const generationPanes = from.u32();
    this.lastClosed = from.f64();
    this.nextSweep = Math.min(from.f64(), this.lastClosed + Math.max(1, this.longestPanes >> 1));
    this.pressureWatched = from.u32() === 1;
    this.places.restore(from, generationPanes);
    this.flaws.restore(from);
    this.open.clear();
    this.latestOpen = undefined;
    const openPanes = from.u32();
    for (let i = 0; i < openPanes; i++) {
      const open = new OpenPane();
      this.open.set(from.f64(), open);
      open.restore(from);
    }
    this.measure.restore(from);
  }

  /** What the view with this index remembers of the keys. */
  snapshotView(index: number, out: SnapshotWriter): void {
    this.views[index].snapshot(out);
  }

  /** To be called after `restore`. */
  restoreView(index: number, from: SnapshotReader): void {
    this.views[index].restore(from);
  }

  private openPane(pane: number): OpenPane {
    if (pane === this.latest && this.latestOpen !== undefined) return this.latestOpen;
    let open = this.open.get(pane);
    if (open === undefined) {
      open = this.spare ?? new OpenPane();
      this.spare = undefined;
      this.open.set(pane, open);
    }
    this.latest = pane;
    this.latestOpen = open;
    return open;
  }

  private closePressure(pane: number): void {
    const { slideMs } = this.spec;
    const { pressure, admission, keys } = this.places;
    const samples = pressure.samples(pane);
    const lost = pressure.nextPane <= pane;
    pressure.close(pane);
    admission.closed(pane);
    this.pressureWatched = this.pressureJudge.judge({
      startMs: (pane - this.longestPanes + 1) * slideMs,
      endMs: (pane + 1) * slideMs,
      lost,
      window: pressure.lostIn(pane - this.longestPanes + 1, pane),
      keys: keys.size,
      samples,
    });
  }

  /** Closed panes may be skipped where nothing would be judged; with quiet keys to judge, every pane has work. */
  private nextPane(): number {
    const anyQuiet = this.views.some((view) => view.watched.size > 0 || (view.quietKeys !== 'none' && this.places.keys.size > 0));
    const every = (anyQuiet || this.pressureWatched) && this.lastClosed >= 0;
    let next = every ? this.lastClosed + 1 : this.places.pressure.nextPane;
    for (const pane of this.open.keys()) if (pane < next) next = pane;
    return next;
  }

  /** Lets go of keys with nothing left in any window. When it happens changes no value, so it may be seldom. */
  private *sweep(pane: number): Generator<void, void> {
    const firstPane = pane - this.longestPanes + 1;
    this.nextSweep = pane + Math.max(1, this.longestPanes >> 1);
    this.flaws.expire(firstPane);
    const { keys, columns } = this.places;
    for (let slot = 0; slot < keys.slotLimit; slot++) {
      if (slot % sliceKeys === sliceKeys - 1) yield;
      if (!keys.holds(slot)) continue;
      this.measure.expire(slot, firstPane);
      if (columns.newestPane(slot) < firstPane && !this.watches(slot)) this.places.release(slot);
    }
  }

  private watches(slot: number): boolean {
    for (let i = 0; i < this.views.length; i++) if (this.views[i].isWatched(slot)) return true;
    return false;
  }
}
