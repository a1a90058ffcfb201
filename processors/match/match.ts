import type { EventBatch } from '../decode/event-batch.ts';

/**
 * One event that a rule applies to: rule, key, value, time. One object is reused for every match; the window stage copies what it
 * keeps. The 64-bit keyed hash of the key is its identity; `keyText` is only asked for when the key is new.
 */
export interface Match {
  /** Index of the rule in its rule set. */
  rule: number;
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
  /** Where the record is: an index into the pipeline's table of partitions, and its offset there. */
  partition: number;
  offset: number;
  /** Hash of (topic, partition, offset): which records become samples. */
  sampleHash: number;
  events: EventBatch;
  row: number;
}
