/** What happens to the keys of a pane when it closes: what they hold is folded, and they are judged, in slices. */
import type { Measure } from '../measure/measure.ts';
import type { ClosedWindow } from './closed-window.ts';
import type { Flaws } from './flaws.ts';
import { JudgedEvidence } from './judged-evidence.ts';
import type { OpenPane } from './open-pane.ts';
import type { Places } from './places.ts';
import type { View } from './view.ts';

/** Keys handled between two chances for others to run: about a millisecond. */
export const sliceKeys = 512;

export class PaneClose {
  private readonly slideMs: number;
  private readonly measure: Measure;
  private readonly places: Places;
  private readonly flaws: Flaws;
  private readonly window: ClosedWindow & { evidence: JudgedEvidence };

  constructor(slideMs: number, measure: Measure, places: Places, flaws: Flaws) {
    this.slideMs = slideMs;
    this.measure = measure;
    this.places = places;
    this.flaws = flaws;
    this.window = {
      slot: 0,
      startMs: 0,
      endMs: 0,
      value: 0,
      valueError: 0,
      lastEventMs: 0,
      late: 0,
      countErr: 0,
      degraded: false,
      provisional: false,
      evidence: new JudgedEvidence(places.keys, places.pressure),
    };
  }

  *fold(open: OpenPane, pane: number): Generator<void, void> {
    const { keys, columns } = this.places;
    const { closingPane, closingPlace, lastEventMs } = columns;
    for (let place = 0; place < open.length; place++) {
      if (place % sliceKeys === sliceKeys - 1) yield;
      const slot = open.slot(place);
      // The key was evicted since.
      if (!keys.holds(slot) || !open.isOf(place, keys.low(slot))) continue;
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

  *judgeAll(view: View, open: OpenPane | undefined, pane: number): Generator<void, void> {
    const { keys, columns } = this.places;
    const { closingPane, closingPlace, lastEventMs } = columns;
    this.fillFlaws(view, pane);
    if (view.quietKeys !== 'none') {
      for (let slot = 0; slot < keys.slotLimit; slot++) {
        if (slot % sliceKeys === sliceKeys - 1) yield;
        // A key of which only open panes know something is not there yet.
        if (!keys.holds(slot) || lastEventMs[slot] === Number.NEGATIVE_INFINITY) continue;
        if (closingPane[slot] !== pane && !view.mayChange(slot, pane)) continue;
        if (this.isFarBelow(view, slot, pane)) {
          // Only a new match can lift the bound.
          view.unchangedSince(slot, Number.POSITIVE_INFINITY);
          continue;
        }
        this.judgeSlot(view, slot, pane, open);
        if (view.quietKeys === 'changed') view.unchangedSince(slot, this.measure.oldestPane(slot, pane - view.panesPerWindow + 1));
      }
      return;
    }
    const watched = [...view.watched];
    for (let place = 0; open !== undefined && place < open.length; place++) {
      if (place % sliceKeys === sliceKeys - 1) yield;
      const slot = open.slot(place);
      if (closingPlace[slot] !== place || closingPane[slot] !== pane) continue;
      if (!this.isFarBelow(view, slot, pane)) this.judgeSlot(view, slot, pane, open);
    }
    for (let i = 0; i < watched.length; i++) {
      if (i % sliceKeys === sliceKeys - 1) yield;
      if (closingPane[watched[i]] !== pane) this.judgeSlot(view, watched[i], pane, open);
    }
  }

  /** Judges one key's window as it stands, open panes included. */
  peek(view: View, slot: number, pane: number, open: OpenPane | undefined): void {
    const { window } = this;
    this.fillWindow(view, slot, pane, this.measure.value(slot, pane - view.panesPerWindow + 1, pane));
    this.fillFlaws(view, pane);
    window.evidence.at(view, pane, open, this.places.columns.touchedPlace(slot));
    window.provisional = true;
    view.judgeOpen(window);
    window.provisional = false;
  }

  /** Whether a bound is enough to say that the key is nowhere near what the view looks for, and was not before. */
  private isFarBelow(view: View, slot: number, pane: number): boolean {
    const most = this.measure.atMost?.(slot, pane - view.panesPerWindow + 1);
    return most !== undefined && most < view.quietBelow && !view.knows(slot);
  }

  private judgeSlot(view: View, slot: number, pane: number, open: OpenPane | undefined): void {
    const firstPane = pane - view.panesPerWindow + 1;
    const { columns } = this.places;
    const { evidence } = this.window;
    const value = this.measure.value(slot, firstPane, pane);
    // Nearly every key, at nearly every close.
    if (view.quietBelow > Number.NEGATIVE_INFINITY && !(value >= view.quietBelow) && !view.knows(slot)) return;
    this.fillWindow(view, slot, pane, value);
    evidence.at(view, pane, columns.closingPane[slot] === pane ? open : undefined, columns.closingPlace[slot]);
    view.judgeClosed(this.window, firstPane, pane, evidence.fresh);
  }

  private fillWindow(view: View, slot: number, pane: number, value: number): void {
    const firstPane = pane - view.panesPerWindow + 1;
    const { window } = this;
    const { slideMs, measure } = this;
    const { columns, admission } = this.places;
    window.slot = slot;
    window.endMs = (pane + 1) * slideMs;
    window.startMs = firstPane * slideMs;
    window.value = value;
    window.valueError = Number.isNaN(value) ? 0 : measure.valueError(slot, firstPane, pane);
    window.lastEventMs = columns.lastEventMs[slot];
    window.countErr = admission.countErr(slot, firstPane);
  }

  private fillFlaws(view: View, pane: number): void {
    const firstPane = pane - view.panesPerWindow + 1;
    const { flaws } = this;
    this.window.late = flaws.lateIn(firstPane, pane);
    this.window.degraded = this.window.late > 0 || flaws.lostIn(firstPane, pane);
  }
}
