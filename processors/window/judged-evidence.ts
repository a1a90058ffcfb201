import type { Evidence, SampleRef } from './closed-window.ts';
import type { KeyIndex } from './key-index.ts';
import type { OpenPane } from './open-pane.ts';
import type { View } from './view.ts';

/** What a finding may ask about the key that is being judged. */
export class JudgedEvidence implements Evidence {
  private readonly keys: KeyIndex;
  private view: View | undefined;
  private firstPane = 0;
  private pane: OpenPane | undefined;
  private place = 0;

  constructor(keys: KeyIndex) {
    this.keys = keys;
  }

  at(view: View, firstPane: number, pane: OpenPane | undefined, place: number): void {
    this.view = view;
    this.firstPane = firstPane;
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
}
