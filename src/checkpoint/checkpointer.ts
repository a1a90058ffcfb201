/** Checkpoints one after the other: each is taken in the engine's turn, made durable beside what goes on, and then committed: in that order. */
import { SnapshotCopies } from '../../processors/snapshot-copies.ts';
import type { Source } from '../source/source.ts';
import type { Checkpoint, CheckpointStore, SaveSize } from './checkpoint.ts';

export interface CheckpointerParts {
  readonly store: CheckpointStore;
  readonly sources: readonly Pick<Source, 'commit'>[];
  /** State, offsets and marks of one instant, the state over these copies; undefined where nothing has come since the last one. */
  take(copies: SnapshotCopies): Promise<Checkpoint | undefined>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Milliseconds that nobody sets. */
  readonly steadyClock: () => number;
}

export class Checkpointer {
  saved = 0;
  /** When the last one was durable, and how long it took; NaN before it. */
  savedMs = Number.NaN;
  tookMs = Number.NaN;
  private readonly parts: CheckpointerParts;
  /** Those of the last checkpoint; its save has ended when the next one begins. */
  private readonly copies = new SnapshotCopies();
  private last: Promise<void> = Promise.resolve();
  private beganMs = Number.NaN;

  constructor(parts: CheckpointerParts) {
    this.parts = parts;
  }

  /** Takes one after the one that is under way; resolves when it is durable and committed. */
  next(): Promise<void> {
    const done = this.last
      .then(() => this.run())
      .finally(() => {
        this.beganMs = Number.NaN;
      });
    this.last = done.catch(() => {});
    return done;
  }

  /** Resolves when none is under way, however the last one ended. */
  settled(): Promise<void> {
    return this.last;
  }

  /** How long the one that is under way has been; 0 where none is. */
  get underWayMs(): number {
    return Number.isNaN(this.beganMs) ? 0 : this.parts.steadyClock() - this.beganMs;
  }

  get lastSave(): SaveSize | undefined {
    return this.parts.store.lastSave;
  }

  private async run(): Promise<void> {
    const { store, sources, clock, steadyClock } = this.parts;
    this.beganMs = steadyClock();
    const checkpoint = await this.parts.take(this.copies);
    if (checkpoint === undefined) return;
    await store.save(checkpoint);
    this.saved++;
    this.savedMs = clock();
    this.tookMs = steadyClock() - this.beganMs;
    for (const source of sources) await source.commit(checkpoint.positions);
  }
}
