import type { KafkaConnection } from './kafka-client.ts';

/** Where to begin a partition that neither the engine's positions nor (for `committed`) the group knows. */
export type KafkaFrom = 'committed' | 'earliest' | 'latest' | { readonly timestampMs: number };

export interface KafkaSourceOptions extends KafkaConnection {
  /** Names, or `/patterns/` of names (JavaScript's syntax), to which topics may come while we run. */
  readonly topics: readonly string[];
  readonly group: string;
  /** Static membership: a restart within the session takes its partitions back without a rebalance. rdkafka only. */
  readonly instanceId?: string;
  /** `consumer`: the group protocol of KIP-848, rdkafka and Kafka 4 only. Default: `classic`. */
  readonly protocol?: 'classic' | 'consumer';
  /** How often to look for new topics and partitions, ms; default 60 s. */
  readonly topicRefreshMs?: number;
  /**
   * `committed` (default): the group's commit, else the beginning. The others say where a run that begins alone in its group starts over;
   * a member that joins others goes on from their commits.
   */
  readonly from?: KafkaFrom;
  readonly dataset: string;
  readonly format: string;
  /**
   * A bounded replay: read to the ends (`end`: as they are at the start; or the first record of that time or later) and finish, without
   * joining the group or committing. `from: committed` then begins where the group stands.
   */
  readonly until?: 'end' | { readonly timestampMs: number };
  /** Records per batch, at most; default 1,000. */
  readonly maxBatchRecords?: number;
  /** Default 30 s. A batch may take longer: heartbeats go on meanwhile. */
  readonly sessionTimeoutMs?: number;
  /** How long the members have to hand back their partitions in a rebalance; default 60 s. */
  readonly rebalanceTimeoutMs?: number;
  /** Offsets that should have come and did not. */
  readonly onGap?: (gap: OffsetGap) => void;
}

/**
 * `expired`: retention took records before they were read, which is a loss. `skipped`: no records there to see (compaction, transaction
 * markers, aborted transactions). `reset`: the partition ends before the place to go on from, so it was recreated or truncated, and is
 * read from its beginning; `toOffset` is below `fromOffset`.
 */
export interface OffsetGap {
  readonly topic: string;
  readonly partition: number;
  readonly fromOffset: number;
  /** Where reading goes on. */
  readonly toOffset: number;
  readonly kind: 'expired' | 'skipped' | 'reset';
}

export const maxBatchRecordsDefault = 1_000;
export const topicRefreshMsDefault = 60_000;
export const sessionTimeoutMsDefault = 30_000;
export const rebalanceTimeoutMsDefault = 60_000;
