import type { Evidence, SampleRef } from './closed-window.ts';
import type { KeyIndex } from './key-index.ts';
import type { OpenPane } from './open-pane.ts';
import type { Pressure } from './pressure.ts';
import type { View } from './view.ts';

/** What a finding may ask about the key that is being judged. */
export class JudgedEvidence implements Evidence {
  private readonly keys: KeyIndex;
  private readonly pressure: Pressure;
  private view: View | undefined;
  private lastPane = 0;
  private pane: OpenPane | undefined;
  private place = 0;

  constructor(keys: KeyIndex, pressure: Pressure) {
    this.keys = keys;
    this.pressure = pressure;
  }

  /** @param lastPane of the window; `pane` is what is still open of it, if the key is in it, at `place`. */
  at(view: View, lastPane: number, pane: OpenPane | undefined, place: number): void {
    this.view = view;
    this.lastPane = lastPane;
    this.pane = pane;
    this.place = place;
  }

  /** Samples of the pane that closes. */
  readonly fresh = (): SampleRef[] => this.pane?.samples(this.place) ?? [];

  keyText(slot: number): string {
    return this.keys.text(slot);
  }

  samples(slot: number): SampleRef[] {
    return this.view?.kept.lowest(slot, this.firstPane, this.fresh()) ?? [];
  }

  evicted(): number {
    return this.pressure.lostIn(this.firstPane, this.lastPane).keys;
  }

  private get firstPane(): number {
    return this.lastPane - (this.view?.panesPerWindow ?? 1) + 1;
  }
}
