/**
 * What every source hands in. A source knows where bytes come from; nothing after it does.
 */

/** One message as it was stored, with its place. `value` is only valid while the batch is being processed: whoever keeps it copies it. */
export interface SourceRecord {
  /** The bytes of the message; null is a Kafka tombstone. */
  readonly value: Uint8Array | null;
  /** Position in its partition: a Kafka offset, a byte position in a file, a sequence number in a drain's journal. Below 2^53. */
  readonly offset: number;
  /** When the transport says the record was written, ms since the epoch; NaN where it does not say (a plain file). */
  readonly timestampMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The message's whole length in bytes where the source had to cut it: never decoded, kept in the dead letter as `too_long`. */
  readonly cutFromBytes?: number;
}

/** Some records of one partition, in order. How input is cut into batches changes no finding. */
export interface RecordBatch {
  /** A Kafka topic, a file's path, or a drain's path: with `partition` and `offset` it names a record for good. */
  readonly topic: string;
  readonly partition: number;
  /** The dataset of events that do not name their own. */
  readonly dataset: string;
  /** A decoder's name, or `auto`. */
  readonly format: string;
  readonly records: readonly SourceRecord[];
}

/** In place of a dataset, for a loss of which nobody can say what it took: no dataset has this name. */
export const anyDataset = '';

/** The name of a partition across topics, used as a map key and in checkpoints. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

/** Of a partition's key. */
export function topicOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'));
}
