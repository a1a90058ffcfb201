/** Offsets, watermarks and state of one instant, kept so that a restart goes on as if it had not happened. */
import { UsageError } from '../errors.ts';
import type { Positions } from '../source/source.ts';

/** A checkpoint that must not be used: damaged, of another hash key, or written by a newer version. Says what to do. */
export class CheckpointError extends UsageError {
  override name = 'CheckpointError';
}

export interface Checkpoint {
  /** The next offset to read, by partition key. */
  readonly positions: Positions;
  /** What `Pipeline.snapshot()` gave when exactly the records before `positions` had gone through it. */
  readonly state: Uint8Array;
  /** Where each sink's findings ended then, by sink name: what lies past it was written after this checkpoint. */
  readonly marks?: Readonly<Record<string, string>>;
}

export interface CheckpointStore {
  /** The newest whole checkpoint, or undefined if there is none. Throws `CheckpointError` by name on a damaged or foreign one. */
  load(): Promise<Checkpoint | undefined>;
  /** Resolves when it is durable; the one before it stays until then. */
  save(checkpoint: Checkpoint): Promise<void>;
}
