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
import type { ClosedWindow } from './closed-window.ts';
import { Flaws } from './flaws.ts';
import { JudgedEvidence } from './judged-evidence.ts';
import { KeyIndex } from './key-index.ts';
import { OpenPane } from './open-pane.ts';
import { noPane, SlotColumns } from './slot-columns.ts';
import { View, type ViewSpec } from './view.ts';

/** Where the text of a match's key can be had. */
export interface KeyText {
  text(): string;
}

/** Why `add` gave no slot. */
export const NotAdded = { wrongType: -1, closedPane: -2 } as const;

/** Keys handled between two chances for others to run: about a millisecond. */
const sliceKeys = 512;

export interface PaneSpec {
  readonly slideMs: number;
  readonly latenessMs: number;
}

export class KeyedWindows {
  readonly spec: PaneSpec;
  private readonly measure: Measure;
  private readonly views: readonly View[];
  private readonly longestPanes: number;
  private readonly keys = new KeyIndex();
  private readonly columns = new SlotColumns();
  private readonly flaws = new Flaws();
  private readonly open = new Map<number, OpenPane>();
  /** The newest pane that is closed, -1 before the first. */
  private lastClosed = -1;
  private nextSweep = 0;
  private readonly window: ClosedWindow & { evidence: JudgedEvidence };

  constructor(spec: PaneSpec, measure: Measure, views: readonly ViewSpec[]) {
    this.spec = spec;
    this.measure = measure;
    this.views = views.map((view) => new View(view));
    this.longestPanes = Math.max(...views.map(({ panesPerWindow }) => panesPerWindow));
    this.window = {
      slot: 0,
      startMs: 0,
      endMs: 0,
      value: 0,
      valueError: 0,
      lastEventMs: 0,
      late: 0,
      degraded: false,
      provisional: false,
      evidence: new JudgedEvidence(this.keys),
    };
  }

  get keyCount(): number {
    return this.keys.size;
  }

  bytes(): number {
    let panes = 0;
    for (const pane of this.open.values()) panes += pane.bytes();
    return this.keys.bytes() + this.columns.bytes() + this.measure.bytes() + panes;
  }

  /** Adds a match to its open pane. Returns its slot, or one of `NotAdded`. The key's text is asked for only when the key is new. */
  add(match: Match, key: KeyText): number {
    const pane = Math.floor(match.timeMs / this.spec.slideMs);
    if (pane <= this.lastClosed) return NotAdded.closedPane;
    const { columns } = this;
    let slot = this.keys.find(match.keyLow, match.keyHigh);
    if (slot === -1) slot = this.newSlot(match.keyLow, match.keyHigh, key.text());
    if (!this.measure.add(slot, pane, match)) {
      if (columns.newestPane[slot] === noPane) this.release(slot);
      return NotAdded.wrongType;
    }
    const open = this.openPane(pane);
    if (columns.touchedPane[slot] !== pane) {
      columns.touchedPane[slot] = pane;
      columns.touchedPlace[slot] = open.touch(slot);
      if (columns.newestPane[slot] === noPane || pane > columns.newestPane[slot]) columns.newestPane[slot] = pane;
    }
    open.offer(columns.touchedPlace[slot], match.timeMs, match.sampleHash, match.partition, match.offset);
    return slot;
  }

  /** Watches a key before anything has come for it, as if its last event had been at `sinceMs`. */
  watch(low: number, high: number, text: string, sinceMs: number): void {
    if (this.keys.find(low, high) !== -1) return;
    const slot = this.newSlot(low, high, text);
    this.columns.lastEventMs[slot] = sinceMs;
    this.columns.newestPane[slot] = Math.floor(sinceMs / this.spec.slideMs);
    for (const view of this.views) view.watched.add(slot);
    this.lastClosed = Math.max(this.lastClosed, this.columns.newestPane[slot] - 1);
  }

  /** A record came too late, when the watermark of its partition stood at `watermarkMs`: the pane there says so. */
  late(watermarkMs: number): void {
    this.flaws.late(Math.max(this.lastClosed + 1, Math.floor(watermarkMs / this.spec.slideMs)));
  }

  /** Messages were lost upstream between these times; the watermark of the partition that says so stood at `watermarkMs`. */
  lost(sinceMs: number, untilMs: number, watermarkMs: number): void {
    const { slideMs } = this.spec;
    const fromPane = Math.max(this.lastClosed + 1, Math.floor(watermarkMs / slideMs));
    this.flaws.lost(Math.floor(sinceMs / slideMs), Math.floor(untilMs / slideMs), fromPane);
  }

  /** Judges one key's windows as they stand, open panes included, for the views that announce early. */
  peek(slot: number, timeMs: number): void {
    const pane = Math.floor(timeMs / this.spec.slideMs);
    for (const view of this.views) {
      if (!view.early) continue;
      this.fillWindow(view, slot, pane);
      this.window.evidence.at(view, pane - view.panesPerWindow + 1, this.open.get(pane), this.columns.touchedPlace[slot]);
      this.window.provisional = true;
      view.judgeOpen(this.window);
      this.window.provisional = false;
    }
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
    this.lastClosed = pane;
    if (open !== undefined) yield* this.fold(open, pane);
    for (const view of this.views) yield* this.judgeAll(view, open, pane);
    if (pane >= this.nextSweep) yield* this.sweep(pane);
  }

  /** Says that everything before `watermarkMs` is closed, work or none. */
  passed(watermarkMs: number): void {
    const pane = Math.floor((watermarkMs - this.spec.latenessMs) / this.spec.slideMs) - 1;
    if (pane > this.lastClosed) this.lastClosed = pane;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('keyed-windows');
    out.f64(this.lastClosed);
    out.f64(this.nextSweep);
    this.keys.snapshot(out);
    this.columns.snapshot(out, this.keys.slotLimit);
    this.flaws.snapshot(out);
    for (const view of this.views) view.snapshot(out);
    out.u32(this.open.size);
    for (const [pane, open] of this.open) {
      out.f64(pane);
      open.snapshot(out);
    }
    this.measure.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('keyed-windows');
    this.lastClosed = from.f64();
    this.nextSweep = from.f64();
    this.keys.restore(from);
    this.columns.restore(from);
    this.flaws.restore(from);
    for (const view of this.views) view.restore(from);
    this.open.clear();
    const openPanes = from.u32();
    for (let i = 0; i < openPanes; i++) {
      const open = new OpenPane();
      this.open.set(from.f64(), open);
      open.restore(from);
    }
    this.measure.restore(from);
  }

  private openPane(pane: number): OpenPane {
    let open = this.open.get(pane);
    if (open === undefined) {
      open = new OpenPane();
      this.open.set(pane, open);
    }
    return open;
  }

  private newSlot(low: number, high: number, text: string): number {
    const slot = this.keys.insert(low, high, text);
    this.columns.clear(slot);
    return slot;
  }

  /** Closed panes may be skipped where nothing would be judged; with quiet keys to judge, every pane has work. */
  private nextPane(): number {
    const anyQuiet = this.views.some((view) => view.watched.size > 0 || (view.judgeQuietKeys && this.keys.size > 0));
    let next = anyQuiet && this.lastClosed >= 0 ? this.lastClosed + 1 : Number.POSITIVE_INFINITY;
    for (const pane of this.open.keys()) if (pane < next) next = pane;
    return next;
  }

  private *fold(open: OpenPane, pane: number): Generator<void, void> {
    const { closingPane, closingPlace, lastEventMs } = this.columns;
    for (let place = 0; place < open.length; place++) {
      if (place % sliceKeys === sliceKeys - 1) yield;
      const slot = open.slots[place];
      if (open.newestMs[place] > lastEventMs[slot]) lastEventMs[slot] = open.newestMs[place];
      if (closingPane[slot] === pane) {
        open.mergeSamples(closingPlace[slot], place);
        continue;
      }
      closingPane[slot] = pane;
      closingPlace[slot] = place;
      this.measure.close(slot, pane);
    }
  }

  private *judgeAll(view: View, open: OpenPane | undefined, pane: number): Generator<void, void> {
    const { closingPane, closingPlace, lastEventMs } = this.columns;
    this.fillFlaws(view, pane);
    if (view.judgeQuietKeys) {
      for (let slot = 0; slot < this.keys.slotLimit; slot++) {
        if (slot % sliceKeys === sliceKeys - 1) yield;
        // A key of which only open panes know something is not there yet.
        if (this.keys.holds(slot) && lastEventMs[slot] !== Number.NEGATIVE_INFINITY) this.judgeSlot(view, slot, pane, open);
      }
      return;
    }
    const watched = [...view.watched];
    for (let place = 0; open !== undefined && place < open.length; place++) {
      if (place % sliceKeys === sliceKeys - 1) yield;
      const slot = open.slots[place];
      if (closingPlace[slot] === place) this.judgeSlot(view, slot, pane, open);
    }
    for (let i = 0; i < watched.length; i++) {
      if (i % sliceKeys === sliceKeys - 1) yield;
      if (closingPane[watched[i]] !== pane) this.judgeSlot(view, watched[i], pane, open);
    }
  }

  private judgeSlot(view: View, slot: number, pane: number, open: OpenPane | undefined): void {
    const firstPane = pane - view.panesPerWindow + 1;
    const touched = this.columns.closingPane[slot] === pane;
    const { evidence } = this.window;
    this.fillWindow(view, slot, pane);
    evidence.at(view, firstPane, touched ? open : undefined, this.columns.closingPlace[slot]);
    view.judgeClosed(this.window, firstPane, pane, evidence.fresh);
  }

  private fillWindow(view: View, slot: number, pane: number): void {
    const firstPane = pane - view.panesPerWindow + 1;
    const { window } = this;
    window.slot = slot;
    window.endMs = (pane + 1) * this.spec.slideMs;
    window.startMs = firstPane * this.spec.slideMs;
    window.value = this.measure.value(slot, firstPane, pane);
    window.valueError = Number.isNaN(window.value) ? 0 : this.measure.valueError(slot, firstPane, pane);
    window.lastEventMs = this.columns.lastEventMs[slot];
  }

  private fillFlaws(view: View, pane: number): void {
    const firstPane = pane - view.panesPerWindow + 1;
    this.window.late = this.flaws.lateIn(firstPane, pane);
    this.window.degraded = this.window.late > 0 || this.flaws.lostIn(firstPane, pane);
  }

  /** Lets go of keys with nothing left in any window. When it happens changes no value, so it may be seldom. */
  private *sweep(pane: number): Generator<void, void> {
    const firstPane = pane - this.longestPanes + 1;
    this.nextSweep = pane + Math.max(1, this.longestPanes >> 2);
    this.flaws.expire(firstPane);
    for (let slot = 0; slot < this.keys.slotLimit; slot++) {
      if (slot % sliceKeys === sliceKeys - 1) yield;
      if (!this.keys.holds(slot)) continue;
      this.measure.expire(slot, firstPane);
      const watched = this.views.some((view) => view.watched.has(slot));
      if (this.columns.newestPane[slot] < firstPane && !watched) this.release(slot);
    }
  }

  private release(slot: number): void {
    this.measure.release(slot);
    for (const view of this.views) view.release(slot);
    this.keys.remove(slot);
  }
}
