/**
 * Match -> ClosedWindow: the sliding windows of all keys of one rule.
 *
 * Time is cut into panes of `slideMs`, aligned to the epoch; the window that ends with a pane is the last size/slide panes. Matches go
 * into open panes; when the watermark passes a pane's end by the rule's lateness it closes, and the keys it concerns are judged. What a
 * close sees are the matches of closed panes only, however far ahead other partitions have run: so interleaving cannot show.
 */
import type { Match } from '../match/match.ts';
import type { Measure } from '../measure/measure.ts';
import type { WindowSpec } from '../rule.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';
import { type ClosedWindow, type Evidence, Interest, type SampleRef, type WindowJudge } from './closed-window.ts';
import { Flaws } from './flaws.ts';
import { KeptSamples } from './kept-samples.ts';
import { KeyIndex } from './key-index.ts';
import { OpenPane } from './open-pane.ts';

const noPane = 0xffffffff;

export interface KeyedWindowsOptions {
  /** Judge every key at every close, not only those that something new came for (a falling average, a silence, a score of each window). */
  readonly judgeQuietKeys: boolean;
}

/** Where the text of a match's key can be had. */
export interface KeyText {
  text(): string;
}

export class KeyedWindows implements Evidence {
  readonly spec: WindowSpec;
  readonly measure: Measure;
  private readonly judge: WindowJudge;
  private readonly judgeQuietKeys: boolean;
  private readonly panesPerWindow: number;
  private readonly keys = new KeyIndex();
  private readonly flaws = new Flaws();
  private readonly kept = new KeptSamples();
  private readonly open = new Map<number, OpenPane>();
  /** Slots to judge again at the next close although nothing new may come. */
  private readonly watched = new Set<number>();
  /** The newest pane that is closed, -1 before the first. */
  private lastClosed = -1;
  private nextSweep = 0;

  // Per slot: the pane it was last touched in and its place there, the same for the pane that closes, the newest pane with data, the newest closed event time.
  private touchedPane = new Uint32Array(32).fill(noPane);
  private touchedPlace = new Uint32Array(32);
  private closingPane = new Uint32Array(32).fill(noPane);
  private closingPlace = new Uint32Array(32);
  private newestPane = new Uint32Array(32);
  private lastEventMs = new Float64Array(32);

  private readonly window: ClosedWindow;
  /** Where the samples of the key that is being judged lie. */
  private judgedPane: OpenPane | undefined;
  private judgedPlace = 0;

  constructor(spec: WindowSpec, measure: Measure, judge: WindowJudge, options: KeyedWindowsOptions) {
    this.spec = spec;
    this.measure = measure;
    this.judge = judge;
    this.judgeQuietKeys = options.judgeQuietKeys;
    this.panesPerWindow = spec.sizeMs / spec.slideMs;
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
      evidence: this,
    };
  }

  get keyCount(): number {
    return this.keys.size;
  }

  bytes(): number {
    return this.keys.bytes() + this.measure.bytes() + this.touchedPane.length * 24;
  }

  /**
   * Adds a match to its open pane. Returns its slot, -1 if the measure could not use its value, -2 if its pane is closed already.
   * The key's text is asked for only when the key is new.
   */
  add(match: Match, key: KeyText): number {
    const pane = Math.floor(match.timeMs / this.spec.slideMs);
    if (pane <= this.lastClosed) return -2;
    let slot = this.keys.find(match.keyLow, match.keyHigh);
    if (slot === -1) slot = this.newSlot(match.keyLow, match.keyHigh, key.text());
    if (!this.measure.add(slot, pane, match)) {
      if (this.newestPane[slot] === noPane) this.release(slot);
      return -1;
    }
    const open = this.openPane(pane);
    if (this.touchedPane[slot] !== pane) {
      this.touchedPane[slot] = pane;
      this.touchedPlace[slot] = open.touch(slot);
      if (this.newestPane[slot] === noPane || pane > this.newestPane[slot]) this.newestPane[slot] = pane;
    }
    open.offer(this.touchedPlace[slot], match.timeMs, match.sampleHash, match.partition, match.offset);
    return slot;
  }

  /** Watches a key before anything has come for it, as if its last event had been at `sinceMs`. */
  watch(low: number, high: number, text: string, sinceMs: number): void {
    if (this.keys.find(low, high) !== -1) return;
    const slot = this.newSlot(low, high, text);
    this.lastEventMs[slot] = sinceMs;
    this.newestPane[slot] = Math.floor(sinceMs / this.spec.slideMs);
    this.watched.add(slot);
    this.lastClosed = Math.max(this.lastClosed, this.newestPane[slot] - 1);
  }

  /** A record of this rule came too late, when the watermark of its partition stood at `watermarkMs`: the pane there says so. */
  late(watermarkMs: number): void {
    this.flaws.late(Math.max(this.lastClosed + 1, Math.floor(watermarkMs / this.spec.slideMs)));
  }

  /** Messages were lost upstream between these times; the watermark of the partition that says so stood at `watermarkMs`. */
  lost(sinceMs: number, untilMs: number, watermarkMs: number): void {
    const { slideMs } = this.spec;
    const fromPane = Math.max(this.lastClosed + 1, Math.floor(watermarkMs / slideMs));
    this.flaws.lost(Math.floor(sinceMs / slideMs), Math.floor(untilMs / slideMs), fromPane);
  }

  /** Judges one key's window as it stands, open panes included: an early announcement of a monotone measure. */
  peek(slot: number, timeMs: number): void {
    const pane = Math.floor(timeMs / this.spec.slideMs);
    this.fillWindow(slot, pane, this.open.get(pane), this.touchedPlace[slot]);
    this.fillFlaws(pane);
    this.window.provisional = true;
    if (this.judge.judge(this.window) & Interest.watch) this.watched.add(slot);
    this.window.provisional = false;
  }

  /** The watermark at which the next pane with work in it closes; Infinity if there is none. */
  get nextDueMs(): number {
    const pane = this.nextPane();
    return pane === Number.POSITIVE_INFINITY ? pane : (pane + 1) * this.spec.slideMs + this.spec.latenessMs;
  }

  /** Closes the next pane with work in it: folds what its keys hold and judges them. */
  closeNext(): void {
    const pane = this.nextPane();
    const open = this.open.get(pane);
    this.open.delete(pane);
    this.lastClosed = pane;
    if (open !== undefined) this.fold(open, pane);
    this.fillFlaws(pane);
    this.judgeAll(open, pane);
    if (pane >= this.nextSweep) this.sweep(pane);
  }

  /** Says that everything before `watermarkMs` is closed, work or none. */
  passed(watermarkMs: number): void {
    const pane = Math.floor((watermarkMs - this.spec.latenessMs) / this.spec.slideMs) - 1;
    if (pane > this.lastClosed) this.lastClosed = pane;
  }

  keyText(slot: number): string {
    return this.keys.text(slot);
  }

  samples(slot: number): SampleRef[] {
    const firstPane = Math.floor(this.window.startMs / this.spec.slideMs);
    return this.kept.lowest(slot, firstPane, this.freshSamples());
  }

  snapshot(out: SnapshotWriter): void {
    out.section('keyed-windows');
    out.f64(this.lastClosed);
    out.f64(this.nextSweep);
    this.keys.snapshot(out);
    this.flaws.snapshot(out);
    this.kept.snapshot(out);
    const slots = this.keys.slotLimit;
    for (const column of [this.touchedPane, this.touchedPlace, this.closingPane, this.closingPlace, this.newestPane])
      out.array(column.subarray(0, slots));
    out.array(this.lastEventMs.subarray(0, slots));
    out.array(Uint32Array.from(this.watched));
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
    this.flaws.restore(from);
    this.kept.restore(from);
    this.touchedPane = from.u32s();
    this.touchedPlace = from.u32s();
    this.closingPane = from.u32s();
    this.closingPlace = from.u32s();
    this.newestPane = from.u32s();
    this.lastEventMs = from.f64s();
    this.watched.clear();
    for (const slot of from.u32s()) this.watched.add(slot);
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
    if (slot >= this.touchedPane.length) this.growSlots(slot + 1);
    this.touchedPane[slot] = noPane;
    this.newestPane[slot] = noPane;
    this.closingPane[slot] = noPane;
    this.lastEventMs[slot] = Number.NEGATIVE_INFINITY;
    return slot;
  }

  /** Closed panes may be skipped where nothing would be judged; with quiet keys to judge, every pane has work. */
  private nextPane(): number {
    const anyKey = this.judgeQuietKeys && this.keys.size > 0;
    let next = (anyKey || this.watched.size > 0) && this.lastClosed >= 0 ? this.lastClosed + 1 : Number.POSITIVE_INFINITY;
    for (const pane of this.open.keys()) if (pane < next) next = pane;
    return next;
  }

  private fold(open: OpenPane, pane: number): void {
    for (let place = 0; place < open.length; place++) {
      const slot = open.slots[place];
      if (open.newestMs[place] > this.lastEventMs[slot]) this.lastEventMs[slot] = open.newestMs[place];
      if (this.closingPane[slot] === pane) {
        open.mergeSamples(this.closingPlace[slot], place);
        continue;
      }
      this.closingPane[slot] = pane;
      this.closingPlace[slot] = place;
      this.measure.close(slot, pane);
    }
  }

  private judgeAll(open: OpenPane | undefined, pane: number): void {
    if (this.judgeQuietKeys) {
      // A key of which only open panes know something is not there yet.
      for (let slot = 0; slot < this.keys.slotLimit; slot++) {
        if (this.keys.holds(slot) && this.lastEventMs[slot] !== Number.NEGATIVE_INFINITY) this.judgeSlot(slot, pane, open);
      }
      return;
    }
    const watched = [...this.watched];
    if (open !== undefined) {
      for (let place = 0; place < open.length; place++) {
        const slot = open.slots[place];
        if (this.closingPlace[slot] === place) this.judgeSlot(slot, pane, open);
      }
    }
    for (const slot of watched) if (this.closingPane[slot] !== pane) this.judgeSlot(slot, pane, open);
  }

  private judgeSlot(slot: number, pane: number, open: OpenPane | undefined): void {
    const touched = this.closingPane[slot] === pane;
    this.fillWindow(slot, pane, touched ? open : undefined, this.closingPlace[slot]);
    const interest = this.judge.judge(this.window);
    if (interest & Interest.watch) this.watched.add(slot);
    else this.watched.delete(slot);
    if ((interest & Interest.samples) === 0) {
      this.kept.drop(slot);
      return;
    }
    this.kept.expire(slot, pane - this.panesPerWindow + 1);
    if (touched) this.kept.keep(slot, pane, this.freshSamples());
  }

  private fillWindow(slot: number, pane: number, open: OpenPane | undefined, place: number): void {
    const firstPane = pane - this.panesPerWindow + 1;
    const { window } = this;
    window.slot = slot;
    window.endMs = (pane + 1) * this.spec.slideMs;
    window.startMs = window.endMs - this.spec.sizeMs;
    window.value = this.measure.value(slot, firstPane, pane);
    window.valueError = Number.isNaN(window.value) ? 0 : this.measure.valueError(slot, firstPane, pane);
    window.lastEventMs = this.lastEventMs[slot];
    this.judgedPane = open;
    this.judgedPlace = place;
  }

  private fillFlaws(pane: number): void {
    const firstPane = pane - this.panesPerWindow + 1;
    this.window.late = this.flaws.lateIn(firstPane, pane);
    this.window.degraded = this.window.late > 0 || this.flaws.lostIn(firstPane, pane);
  }

  private freshSamples(): SampleRef[] {
    return this.judgedPane === undefined ? [] : this.judgedPane.samples(this.judgedPlace);
  }

  /** Lets go of keys with nothing left in the window. When it happens changes no value, so it may be seldom. */
  private sweep(pane: number): void {
    const firstPane = pane - this.panesPerWindow + 1;
    for (let slot = 0; slot < this.keys.slotLimit; slot++) {
      if (!this.keys.holds(slot)) continue;
      this.measure.expire(slot, firstPane);
      if (this.newestPane[slot] < firstPane && !this.watched.has(slot)) this.release(slot);
    }
    this.flaws.expire(firstPane);
    this.nextSweep = pane + Math.max(1, this.panesPerWindow >> 2);
  }

  private release(slot: number): void {
    this.measure.release(slot);
    this.judge.release(slot);
    this.kept.drop(slot);
    this.watched.delete(slot);
    this.keys.remove(slot);
  }

  private growSlots(needed: number): void {
    const length = Math.max(needed, this.touchedPane.length * 2);
    this.touchedPane = widen(this.touchedPane, new Uint32Array(length));
    this.touchedPlace = widen(this.touchedPlace, new Uint32Array(length));
    this.newestPane = widen(this.newestPane, new Uint32Array(length));
    this.closingPane = widen(this.closingPane, new Uint32Array(length));
    this.closingPlace = widen(this.closingPlace, new Uint32Array(length));
    this.lastEventMs = widen(this.lastEventMs, new Float64Array(length));
  }
}
