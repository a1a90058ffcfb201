/** What an engine is made of, and what it may be told. */
import type { Logger } from 'pino';
import type { Pipeline } from '../processors/pipeline.ts';
import type { CheckpointStore } from './checkpoint/checkpoint.ts';
import type { DeadLetter } from './sink/dead-letter.ts';
import type { Sink } from './sink/sink.ts';
import type { Source } from './source/source.ts';

export interface EngineParts {
  /** The first one: `reload` may put another in its place. */
  readonly pipeline: Pipeline;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly deadLetter?: DeadLetter;
  /** Where state and offsets are kept; without one (a backtest) nothing is restored or committed. */
  readonly checkpoints?: CheckpointStore;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Milliseconds that only pass, for how long something has lasted: a wall clock that is set must not make a partition silent. Default: `clock`. */
  readonly steadyClock?: () => number;
}

export interface EngineOptions {
  readonly checkpointEveryMs: number;
  /** Wall-clock silence after which a partition is passed by. */
  readonly idleMs: number;
  readonly tickEveryMs: number;
  /** How long a sink may be away before the process gives up; what it had not acknowledged is read again at the next start. */
  readonly maxOutageMs: number;
  readonly shutdownMs: number;
  /** Whether a source that gave up or stands still, and a run that ends by itself, are findings: not in a replay, whose findings are the records'. */
  readonly tellsOfItself: boolean;
}

export const engineDefaults: EngineOptions = {
  checkpointEveryMs: 5_000,
  idleMs: 60_000,
  tickEveryMs: 1_000,
  maxOutageMs: 15 * 60_000,
  shutdownMs: 20_000,
  tellsOfItself: true,
};
