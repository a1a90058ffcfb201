/** librdkafka's messages as batches of source records. */
import { partitionKey, type RecordBatch, type SourceRecord } from '../../../processors/record.ts';
import type { RdMessage } from './rdkafka-client.ts';

/** A round's messages by partition, each in order, in batches of at most `maxRecords`. */
export function toBatches(
  messages: readonly RdMessage[],
  { dataset, format }: { readonly dataset: string; readonly format: string },
  maxRecords: number,
): RecordBatch[] {
  const batches: RecordBatch[] = [];
  const open = new Map<string, { batch: RecordBatch; records: SourceRecord[] }>();
  let last: { batch: RecordBatch; records: SourceRecord[] } | undefined;
  for (const message of messages) {
    const { topic, partition } = message;
    // They come in runs of a partition.
    if (last?.batch.partition !== partition || last.batch.topic !== topic) last = open.get(partitionKey(topic, partition));
    if (last === undefined || last.records.length === maxRecords) {
      const records: SourceRecord[] = [];
      last = { batch: { topic, partition, dataset, format, records }, records };
      open.set(partitionKey(topic, partition), last);
      batches.push(last.batch);
    }
    last.records.push(toRecord(message));
  }
  return batches;
}

function toRecord({ value, offset, timestamp, headers }: RdMessage): SourceRecord {
  // -1 where a producer gave no time.
  const timestampMs = timestamp >= 0 ? timestamp : Number.NaN;
  if (headers === undefined || headers.length === 0) return { value, offset, timestampMs };
  // Values are bytes; of a header that comes more than once the last counts.
  const text = Object.fromEntries(headers.flatMap((header) => Object.entries(header)).map(([name, bytes]) => [name, bytes.toString()]));
  return { value, offset, timestampMs, headers: text };
}
