/** The keys that have a place in a group's state: gives them slots while memory lasts, in exchange for others when it is spent. */
import type { Match } from '../match/match.ts';
import type { Measure } from '../measure/measure.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { Admission } from './admission.ts';
import { KeyIndex } from './key-index.ts';
import type { MemoryShare } from './memory-share.ts';
import type { OpenPane } from './open-pane.ts';
import { Pressure } from './pressure.ts';
import { Room } from './room.ts';
import { bytesPerSlot, SlotColumns, slotGrowth } from './slot-columns.ts';
import type { View } from './view.ts';

/** Where the text of a match's key can be had. */
export interface KeyText {
  text(): string;
}

/** Matches between two looks at the memory; a new key counts for more, since it takes more. */
const checkEvery = 4096;
const newKeyWeighs = 64;
/** What a slot has in the key index, the text arena and the measure, beside its columns. */
const otherBytesPerSlot = 24;
/** Picks in a row without a key that may go, after which no more are tried. */
const vainPicks = 8;
/** Part of the limit that must be spare in the measure for it to be moved together, which copies it. */
const worthMoving = 1 / 32;

export interface PlacesSpec {
  readonly share: MemoryShare;
  readonly measure: Measure;
  readonly views: readonly View[];
  readonly open: ReadonlyMap<number, OpenPane>;
  /** Of the longest window. */
  readonly windowPanes: number;
  /** Counts of keys are kept by generations of this many panes. */
  readonly generationPanes: number;
  /** A key had to make room. */
  evicted(): void;
}

export class Places {
  readonly keys = new KeyIndex();
  readonly columns = new SlotColumns();
  readonly admission: Admission;
  readonly pressure: Pressure;
  private readonly spec: PlacesSpec;
  private readonly room: Room;
  private sinceCheck = 0;

  constructor(spec: PlacesSpec) {
    const { keys, columns } = this;
    const { share, windowPanes } = spec;
    this.spec = spec;
    this.room = new Room(share);
    this.admission = new Admission({ ...spec, keys, columns, mostBytes: share.mostBytes });
    this.pressure = new Pressure(windowPanes);
  }

  /** All state that the group holds. */
  bytes(): number {
    const { measure, views, open } = this.spec;
    let bytes = this.keys.bytes() + this.columns.bytes() + measure.bytes() + this.admission.bytes() + this.pressure.bytes();
    for (const view of views) bytes += view.bytes();
    for (const pane of open.values()) bytes += pane.bytes();
    return bytes;
  }

  /** Whether anything is kept because memory was spent. */
  get pressed(): boolean {
    return this.pressure.any || this.admission.bytes() > 0;
  }

  /** A match is about to be added in `pane`: now and then the moment to look at the memory. */
  next(pane: number): void {
    if (++this.sinceCheck >= checkEvery) this.check(pane);
  }

  /** The slot that a new key gets, or -1. Its text is only asked for if it gets one. */
  admit(match: Match, pane: number, key: KeyText): number {
    const { keyLow, keyHigh } = match;
    this.sinceCheck += newKeyWeighs;
    if (this.keys.nextGrows && !this.room.full) this.check(pane);
    let missed: number;
    if (this.room.full) {
      const { estimate, victim, hidden } = this.admission.ask(keyLow, keyHigh, pane);
      if (victim === -1) {
        this.pressure.refused(match, pane, hidden);
        return -1;
      }
      this.evict(victim, pane);
      missed = estimate - 1;
    } else {
      missed = this.admission.missed(keyLow, keyHigh, pane);
    }
    const slot = this.give(keyLow, keyHigh, key.text());
    this.admission.admitted(slot, pane, missed);
    // To keep its place it must be worth what it was let in for: else keys that came once would take each other's.
    this.columns.begin(slot, missed);
    return slot;
  }

  /** Gives a new key a slot whatever is held. */
  give(low: number, high: number, text: string): number {
    const slot = this.keys.insert(low, high, text);
    this.columns.clear(slot);
    return slot;
  }

  release(slot: number): void {
    this.spec.measure.release(slot);
    for (const view of this.spec.views) view.release(slot);
    this.keys.remove(slot);
  }

  /** Looks at what is held, and if that is more than may be, lets the least-counted keys go. `pane` is one that is not closed. */
  check(pane: number): void {
    this.sinceCheck = 0;
    const { measure, share } = this.spec;
    if ((measure.cacheBytes?.() ?? 0) > share.limitBytes - this.bytes()) measure.dropCache?.();
    const excess = this.look(pane);
    if (excess < 0) return;
    const enough = this.bytes() - measure.spareBytes() - excess;
    for (let pick = 0, vain = 0; this.bytes() - measure.spareBytes() > enough && vain < vainPicks; pick++) {
      const victim = this.admission.leastCounted(pick, pane, pane);
      if (victim === -1) vain++;
      else this.evict(victim, pane);
    }
    if (measure.spareBytes() > share.limitBytes * worthMoving) measure.compact();
    this.look(pane);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('places');
    out.u32(this.sinceCheck);
    this.keys.snapshot(out);
    this.columns.snapshot(out, this.keys.slotLimit);
    this.room.snapshot(out);
    this.admission.snapshot(out);
    this.pressure.snapshot(out);
  }

  /** @param generationPanes of the snapshot. */
  restore(from: SnapshotReader, generationPanes: number): void {
    from.section('places');
    this.sinceCheck = from.u32();
    this.keys.restore(from);
    this.columns.restore(from);
    this.room.restore(from);
    this.admission.restore(from);
    this.pressure.restore(from);
    if (generationPanes === this.spec.generationPanes) return;
    this.room.rescale(generationPanes / this.spec.generationPanes);
    this.admission.rescale();
  }

  private evict(slot: number, pane: number): void {
    this.pressure.evicted(this.keys.low(slot), this.keys.high(slot), pane);
    this.admission.evicted(slot, pane);
    this.spec.open.get(this.columns.touchedPane(slot))?.forget(this.columns.touchedPlace(slot));
    this.release(slot);
    this.spec.evicted();
  }

  /** Bytes that have to be freed, -1 if none. */
  private look(pane: number): number {
    const { admission, keys } = this;
    let panes = 0;
    let panesSoon = 0;
    for (const open of this.spec.open.values()) {
      panes += open.bytes();
      panesSoon += open.bytesSoon();
    }
    const slots = keys.nextGrows ? keys.slotLimit * (bytesPerSlot + otherBytesPerSlot) : 0;
    return this.room.check({
      held: this.bytes(),
      spare: this.spareBytes(),
      movable: this.spec.measure.spareBytes(),
      panes,
      panesSoon,
      keys: keys.size,
      growth: slots * slotGrowth,
      grown: slots * (1 + slotGrowth),
      reserve: admission.bytes() === 0 ? admission.sketchBytes : 0,
      generation: Math.floor(pane / this.spec.generationPanes),
    });
  }

  private spareBytes(): number {
    return this.spec.measure.spareBytes() + this.keys.freeCount * (bytesPerSlot + otherBytesPerSlot);
  }
}
