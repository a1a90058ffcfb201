/**
 * Where records come from. One contract for a Kafka topic, a drain's journal, files and stdin; `test/contracts/source-laws.ts` is its law.
 *
 * Duties of a source: hand in each partition's records in order, one batch of a partition at a time; wait for `batch` to resolve before
 * handing in that partition's next one (that is how a slow sink slows the source); after `stop` resolves, hand in nothing more. `commit`
 * is told only of a finished prefix; a source never commits by itself.
 * Duties of the engine: `start` once; `commit` only what is durable downstream; `stop` once.
 */
import type { RecordBatch } from '../../processors/record.ts';

/** The next offset to read, by partition key (`topic/partition`). */
export type Positions = Readonly<Record<string, number>>;

/** Where topics lie, and in whose name they are read. */
export interface Origin {
  /** The id of a Kafka cluster, which no other one has. */
  readonly cluster: string;
  readonly group: string;
}

export interface Source {
  /** As the user knows it: `kafka:logs`, `drain:/drain/logplex`, `file:./logs/*.log`. */
  readonly name: string;
  /**
   * A position p means: the first record whose offset is p or more, so the last offset + 1 is right for every source, also where offsets
   * have gaps (bytes of a file). Reads from `positions` where it has one for a partition, else from where its config says. Resolves when the input has ended (files
   * without `follow`, stdin, a bounded replay) or `stop` was called; rejects with a `DependencyError` when it cannot be reached any more.
   */
  run(positions: Positions, into: RecordIntake): Promise<void>;
  /** Everything before these offsets is durable downstream. */
  commit(positions: Positions): Promise<void>;
  /** Reads one record's text again, for a finding's samples. Null if it is gone. */
  read(topic: string, partition: number, offset: number): Promise<Uint8Array | null>;
  stop(): Promise<void>;
  health(): SourceHealth;
  /** Whether partitions of this topic are its own, if there are any. Left out by one that cannot tell. */
  reads?(topic: string): boolean;
  /** Asked once, before `run`, and rejects like it. Undefined, or left out, where it cannot be told. */
  origin?(): Promise<Origin | undefined>;
}

export interface RecordIntake {
  /**
   * These partitions exist and may lag: the pipeline's watermark must wait for them although nothing was read from them yet. Duty of a
   * source: announce a partition before its first batch, and before a partition that another one's end makes room for is `ended`.
   * Announcing one again is harmless. Keys as `partitionKey` makes them.
   */
  partitions(keys: readonly string[]): void;
  /**
   * This partition has no more records: the watermark need not wait for it any longer. Duty of a source: call it once its last batch
   * resolved, and hand in nothing of it afterwards. Only inputs that end do so (a file read to its end, a rotated one, stdin). Duty of
   * the engine: its position stays in the checkpoint, else a restart would read it again.
   */
  ended(key: string): void;
  /** Resolves when the batch has gone through the pipeline and what came of it has been handed to the sinks. */
  batch(records: RecordBatch): Promise<void>;
  /**
   * Records of this partition are missing between what was handed in before and what comes next. Duty of a source: say so before the next
   * batch of that partition. Duty of the engine: the windows they may have belonged to are degraded, and it is counted and told. Left
   * out by an intake that judges no windows.
   */
  lost?(loss: RecordLoss): void;
  /** Partitions this process is about to lose; resolves when what they led to is durable and committed. */
  revoked(partitions: readonly string[]): Promise<void>;
  /** Left out by an intake that keeps no windows. */
  readonly rebuild?: RebuildIntake;
}

/**
 * Windows made again from the records of a while. The state of an intake is made of what it was given, so when a source gets partitions that
 * another process has worked on, or loses some that it had, its windows hold too little or too much, and nobody can hand them over.
 * Duty of a source: `begin`; `batch` with what each partition that it holds now had in `lookbackMs` up to where it goes on, as evenly in
 * time as it can, one batch at a time; `done`; and only then something new. One that is given up ends with the next `begin`.
 * Duty of the intake: until `done` nothing is committed; what was told before is not told again.
 */
export interface RebuildIntake {
  /** By the timestamps of records. */
  lookbackMs(): number;
  begin(from: RebuildStart): Promise<void>;
  batch(records: RecordBatch): Promise<void>;
  /** Where each partition goes on. */
  done(positions: Positions): Promise<void>;
}

export interface RebuildStart {
  /** All topics of the source: what was known of others of their partitions is forgotten. */
  readonly topics: readonly string[];
  /** As that of a loss. */
  readonly dataset: string;
  /** `whole`: from the partition's very first record. */
  readonly partitions: readonly { readonly key: string; readonly whole: boolean }[];
  /** Timestamp from which on the first of them is read; findings from there on come again. */
  readonly sinceMs: number;
}

export interface RecordLoss {
  /** As `partitionKey` makes it. */
  readonly key: string;
  /** Of events that did not name their own; `anyDataset` where they may have. */
  readonly dataset: string;
  /** `expired`: gone before they were read; `reset`: the partition began anew; `damaged`: they cannot be read any more. */
  readonly kind: 'expired' | 'reset' | 'damaged';
  /** How many; undefined where it cannot be known. */
  readonly records?: number;
}

export interface SourceHealth {
  readonly ok: boolean;
  /** Why not, or what is worth knowing (`rebalancing`, `end of input`). */
  readonly reason?: string;
  /** Records known to wait upstream; undefined where it cannot be known. */
  readonly lagRecords?: number;
  /** e.g. `kafkajs`. */
  readonly driver?: string;
  /** The other side does not answer, so that silence says nothing. It gives up by itself if that lasts. */
  readonly away?: boolean;
}
