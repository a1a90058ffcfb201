/** Offsets, watermarks and state of one instant, kept so that a restart goes on as if it had not happened. */
import type { Snapshot } from '../../processors/snapshot.ts';
import { UsageError } from '../errors.ts';
import type { Origin, Positions } from '../source/source.ts';

/** A checkpoint that must not be used: damaged, of another hash key or deployment, or written by a newer version. Says what to do. */
export class CheckpointError extends UsageError {
  override name = 'CheckpointError';
}

export interface Checkpoint {
  /** The next offset to read, by partition key. */
  readonly positions: Positions;
  /** Where topics of `positions` lie, as far as it can be told. */
  readonly origins?: readonly TopicsOf[];
  /**
   * What `Pipeline.snapshotInSlices()` gave when exactly the records before `positions` had gone through it. Valid until the save has
   * ended; a part that is handed in again, the same object, holds what it held.
   */
  readonly state: Snapshot;
  /** Where each sink's findings ended then, by sink name: what lies past it was written after this checkpoint. */
  readonly marks?: Readonly<Record<string, string>>;
}

export interface TopicsOf extends Origin {
  readonly topics: readonly string[];
}

/** Why a checkpoint with these positions is not ours: what was found, what was expected. Undefined where it may be. */
export type Refuse = (checkpoint: Pick<Checkpoint, 'positions' | 'origins'>) => string | undefined;

export interface CheckpointStore {
  /** The newest whole checkpoint, or undefined if there is none. Throws `CheckpointError` by name on a damaged, foreign or refused one. */
  load(refuse?: Refuse): Promise<Checkpoint | undefined>;
  /** Resolves when it is durable; the one before it stays until then. Parts of the state that are there already are not written again. */
  save(checkpoint: Checkpoint): Promise<void>;
  /** Of the last save that ended well. */
  readonly lastSave?: SaveSize;
  /** Lets go of connections, after the last save. */
  close?(): Promise<void>;
}

export interface SaveSize {
  readonly stateBytes: number;
  /** What had to be written of it: its new parts, and the list of all. */
  readonly writtenBytes: number;
}
