/**
 * What a group lost because its memory was spent: how many events found no place, how many keys had to go, and about how many different
 * keys these were, in a sliding window. Kept only while there is something to keep.
 */
import type { Match } from '../match/match.ts';
import { estimateFromRegisters, relativeError } from '../sketch/ertl-estimator.ts';
import { expireFrontier, type Frontier, foldPane, maxPanes, newestPane, raiseRegisters } from '../sketch/pareto-hll.ts';
import { rankOf, tokenOf } from '../sketch/token.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { SampleRef } from './closed-window.ts';
import { OpenPane } from './open-pane.ts';

const precision = 10;
const registerCount = 2 ** precision;
/** Relative standard error of `keys`. */
export const lostKeysError = relativeError(registerCount);

/** What a window lost. */
export interface Lost {
  /** Events that were not counted anywhere. */
  untracked: number;
  /** Keys that made room for others. */
  evicted: number;
  /** About how many different keys were refused or evicted. */
  keys: number;
  /** Keys with more matches than this in a window were never refused. */
  hidden: number;
}

/** A pane of a group that closes under pressure, or while the pressure is still told of. */
export interface PressurePane {
  readonly startMs: number;
  readonly endMs: number;
  /** Whether this pane itself lost anything. */
  readonly lost: boolean;
  /** What the window that ends with it lost. */
  readonly window: Lost;
  /** Keys that are held. */
  readonly keys: number;
  readonly samples: readonly SampleRef[];
}

export interface PressureJudge {
  /** Returns whether panes are to be shown it although nothing is lost in them. */
  judge(pane: PressurePane): boolean;
}

interface PaneLoss {
  untracked: number;
  evicted: number;
  hidden: number;
}

/** A pane that is not closed yet. */
interface OpenLoss extends PaneLoss {
  readonly registers: Uint8Array;
  readonly samples: OpenPane;
}

export class Pressure {
  private readonly windowPanes: number;
  private readonly open = new Map<number, OpenLoss>();
  /** Closed panes of the window. */
  private readonly closed = new Map<number, PaneLoss>();
  private frontier: Frontier | undefined;
  private readonly registers = new Uint8Array(registerCount);

  constructor(windowPanes: number) {
    this.windowPanes = Math.min(windowPanes, maxPanes(precision));
  }

  /** The first pane with losses that is not closed; Infinity if there is none. */
  get nextPane(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const pane of this.open.keys()) if (pane < next) next = pane;
    return next;
  }

  /** Whether anything was lost in a pane that is open, or in a window of closed ones. */
  get any(): boolean {
    return this.open.size > 0 || this.closed.size > 0;
  }

  /** A match found no place: the least-counted of the keys it could have taken the place of had `hidden` matches. */
  refused(match: Match, pane: number, hidden: number): void {
    const loss = this.lossOf(pane);
    loss.untracked++;
    if (hidden > loss.hidden) loss.hidden = hidden;
    loss.samples.offer(0, match.timeMs, match.sampleHash, match.partition, match.offset);
    note(loss.registers, match.keyLow, match.keyHigh);
  }

  /** A key had to go. */
  evicted(low: number, high: number, pane: number): void {
    const loss = this.lossOf(pane);
    loss.evicted++;
    note(loss.registers, low, high);
  }

  /** Closes a pane; panes that no window holds any more are forgotten. */
  close(pane: number): void {
    const firstPane = pane - this.windowPanes + 1;
    for (const old of this.closed.keys()) if (old < firstPane) this.closed.delete(old);
    const loss = this.open.get(pane);
    if (loss !== undefined) {
      this.open.delete(pane);
      this.closed.set(pane, { untracked: loss.untracked, evicted: loss.evicted, hidden: loss.hidden });
      this.frontier = foldPane(this.frontier ?? new Uint32Array(3), loss.registers, pane, firstPane, precision);
    } else if (this.frontier !== undefined) {
      this.frontier = newestPane(this.frontier) < firstPane ? undefined : expireFrontier(this.frontier, firstPane, precision);
    }
  }

  /** Samples of the events that an open pane refused. */
  samples(pane: number): SampleRef[] {
    return this.open.get(pane)?.samples.samples(0) ?? [];
  }

  /** What panes firstPane..lastPane lost, open ones included. */
  lostIn(firstPane: number, lastPane: number): Lost {
    const lost: Lost = { untracked: 0, evicted: 0, keys: 0, hidden: 0 };
    if (!this.any) return lost;
    const { registers } = this;
    registers.fill(0);
    if (this.frontier !== undefined) raiseRegisters(this.frontier, firstPane, lastPane, precision, registers);
    for (const [pane, loss] of this.open) {
      if (pane < firstPane || pane > lastPane) continue;
      for (let i = 0; i < registerCount; i++) if (loss.registers[i] > registers[i]) registers[i] = loss.registers[i];
    }
    for (const panes of [this.closed, this.open]) {
      for (const [pane, loss] of panes) {
        if (pane < firstPane || pane > lastPane) continue;
        lost.untracked += loss.untracked;
        lost.evicted += loss.evicted;
        lost.hidden = Math.max(lost.hidden, loss.hidden);
      }
    }
    if (lost.untracked + lost.evicted > 0) lost.keys = Math.max(1, Math.round(estimateFromRegisters(registers, precision)));
    return lost;
  }

  bytes(): number {
    return this.open.size * (registerCount + 1000) + this.closed.size * 100 + (this.frontier?.byteLength ?? 0);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('pressure');
    out.array(Float64Array.from([...this.closed].flatMap(([pane, loss]) => [pane, loss.untracked, loss.evicted, loss.hidden])));
    out.array(this.frontier ?? new Uint32Array(0));
    out.u32(this.open.size);
    for (const [pane, loss] of this.open) {
      for (const number of [pane, loss.untracked, loss.evicted, loss.hidden]) out.f64(number);
      out.array(loss.registers);
      loss.samples.snapshot(out);
    }
  }

  restore(from: SnapshotReader): void {
    from.section('pressure');
    this.closed.clear();
    const closed = from.f64s();
    for (let i = 0; i < closed.length; i += 4) {
      this.closed.set(closed[i], { untracked: closed[i + 1], evicted: closed[i + 2], hidden: closed[i + 3] });
    }
    const frontier = from.u32s();
    this.frontier = frontier.length === 0 ? undefined : frontier;
    this.open.clear();
    for (let count = from.u32(); count > 0; count--) {
      const pane = from.f64();
      const losses = { untracked: from.f64(), evicted: from.f64(), hidden: from.f64() };
      const registers = from.u8s();
      const samples = new OpenPane();
      samples.restore(from);
      this.open.set(pane, { ...losses, registers, samples });
    }
  }

  private lossOf(pane: number): OpenLoss {
    let loss = this.open.get(pane);
    if (loss === undefined) {
      loss = { untracked: 0, evicted: 0, hidden: 0, registers: new Uint8Array(registerCount), samples: new OpenPane() };
      loss.samples.touch(0, 0);
      this.open.set(pane, loss);
    }
    return loss;
  }
}

function note(registers: Uint8Array, low: number, high: number): void {
  const token = tokenOf(low, high);
  const rank = rankOf(token, precision);
  const register = token & (registerCount - 1);
  if (rank > registers[register]) registers[register] = rank;
}
