import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { Frontier } from './pareto-hll.ts';

/** With what an array costs beside its words. */
const overheadBytes = 120;

/** The frontiers of the few slots that are dense, by number; numbers are used again. */
export class Frontiers {
  private frontiers: (Frontier | undefined)[] = [];
  private free: number[] = [];
  private held = 0;

  get(id: number): Frontier {
    return this.frontiers[id] as Frontier;
  }

  /** Returns its number. */
  add(frontier: Frontier): number {
    const id = this.free.pop() ?? this.frontiers.length;
    this.set(id, frontier);
    return id;
  }

  replace(id: number, frontier: Frontier): void {
    this.set(id, frontier);
  }

  drop(id: number): void {
    this.set(id, undefined);
    this.free.push(id);
  }

  bytes(): number {
    return this.frontiers.length * 8 + this.held;
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.frontiers.length);
    out.each(this.frontiers, (frontier) => out.array(frontier ?? new Uint32Array(0)));
  }

  restore(from: SnapshotReader): void {
    const count = from.u32();
    this.frontiers = [];
    this.free = [];
    this.held = 0;
    for (let id = 0; id < count; id++) {
      const frontier = from.u32s();
      this.set(id, frontier.length === 0 ? undefined : frontier);
      if (frontier.length === 0) this.free.push(id);
    }
  }

  private set(id: number, frontier: Frontier | undefined): void {
    this.held += heldBytes(frontier) - heldBytes(this.frontiers[id]);
    this.frontiers[id] = frontier;
  }
}

function heldBytes(frontier: Frontier | undefined): number {
  return frontier === undefined ? 0 : frontier.byteLength + overheadBytes;
}
