import type { Rejects } from '../processors/decode/decoder.ts';
import type { RecordBatch } from '../processors/record.ts';
import type { DeadRecord } from './sink/dead-letter.ts';

/** The records that could not be decoded, each with its place and the reason. */
export function deadRecords(batch: RecordBatch, rejects: Rejects): DeadRecord[] {
  return rejects.recordIndexes.map((index, i) => {
    const { value, offset, cutFromBytes } = batch.records[index];
    return { topic: batch.topic, partition: batch.partition, offset, reason: rejects.reasons[i], value, cutFromBytes };
  });
}
