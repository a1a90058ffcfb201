import type { EventBatch } from '../decode/event-batch.ts';

/** Where the record of an event lies. */
export interface RecordPlace {
  /** Index into the pipeline's table of partitions: short, but of this process alone. */
  partition: number;
  /** Hash of the partition's name, never 0: the same everywhere, so it may decide between equals. */
  partitionHash: number;
  offset: number;
  /** Hash of (topic, partition, offset): which records become samples. */
  sampleHash: number;
}

/**
 * One event that a rule (or several that count the same) applies to: group, key, value, time. One object is reused for every match; the window stage copies what it
 * keeps. The 64-bit keyed hash of the key is its identity; `keyText` is only asked for when the key is new.
 */
export interface Match extends RecordPlace {
  /** Index of the group of rules that count the same. */
  group: number;
  timeMs: number;
  keyLow: number;
  keyHigh: number;
  /** The measured number; 1 for `count`, NaN where the measure wants none. */
  number: number;
  /** Keyed hash of the measured value, for `distinct`. */
  valueLow: number;
  valueHigh: number;
  /** For `ratio`: whether the event is one of the counted part. */
  counted: boolean;
  events: EventBatch;
  row: number;
}
