/**
 * What may be committed: of each partition, the prefix that is finished. Work may finish in any order; an offset is given out only when
 * everything before it in its partition has finished too.
 */
import type { Positions } from '../source/source.ts';

/** One piece of a partition, in the order it was read. */
export interface Piece {
  readonly partition: string;
  readonly nextOffset: number;
  finished: boolean;
}

export class OffsetTracker {
  /** Unfinished pieces and finished ones behind them, oldest first. */
  private readonly open = new Map<string, Piece[]>();
  private readonly done = new Map<string, number>();

  /** @param positions what was committed before, kept until something later is finished. */
  constructor(positions: Positions = {}) {
    for (const [partition, offset] of Object.entries(positions)) this.done.set(partition, offset);
  }

  /** A piece was read: `nextOffset` is where the one after it begins. Throws where it does not lie behind the piece before it. */
  begin(partition: string, nextOffset: number): Piece {
    const pieces = this.open.get(partition) ?? [];
    const before = pieces.at(-1)?.nextOffset ?? this.done.get(partition) ?? -1;
    if (nextOffset < before)
      throw new Error(`${partition}: a piece up to offset ${nextOffset} came after one up to ${before}; pieces come in order`);
    const piece = { partition, nextOffset, finished: false };
    pieces.push(piece);
    this.open.set(partition, pieces);
    return piece;
  }

  /** What the piece led to is durable. Once more is harmless; so is a piece of a partition that was dropped since. */
  finish(piece: Piece): void {
    piece.finished = true;
    const pieces = this.open.get(piece.partition);
    if (!pieces) return;
    let finished = 0;
    while (finished < pieces.length && pieces[finished]!.finished) finished++;
    if (finished === 0) return;
    this.done.set(piece.partition, pieces[finished - 1]!.nextOffset);
    pieces.splice(0, finished);
    if (pieces.length === 0) this.open.delete(piece.partition);
  }

  /** The partition went to another process: nothing of it is committed from here. */
  drop(partition: string): void {
    this.open.delete(partition);
    this.done.delete(partition);
  }

  /** The next offset to read, by partition, as far as everything before it is finished. */
  committable(): Record<string, number> {
    return Object.fromEntries(this.done);
  }

  /** Pieces that are not finished, of one partition or of all. */
  pending(partition?: string): number {
    if (partition !== undefined) return (this.open.get(partition) ?? []).filter((piece) => !piece.finished).length;
    let count = 0;
    for (const key of this.open.keys()) count += this.pending(key);
    return count;
  }
}
