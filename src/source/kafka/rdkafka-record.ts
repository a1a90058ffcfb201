/** librdkafka's messages as batches of source records. */
import { partitionKey, type RecordBatch, type SourceRecord } from '../../../processors/record.ts';
import type { WaitingBatch } from './hand-in-queue.ts';
import type { RdMessage } from './rdkafka-client.ts';

export interface BatchLimits {
  readonly maxRecords: number;
  /** One record may be larger. */
  readonly maxBytes: number;
}

interface OpenBatch {
  readonly batch: RecordBatch;
  readonly records: SourceRecord[];
  bytes: number;
}

/** A round's messages by partition, each in order, in batches within the limits. */
export function toBatches(
  messages: readonly RdMessage[],
  { dataset, format }: { readonly dataset: string; readonly format: string },
  { maxRecords, maxBytes }: BatchLimits,
): WaitingBatch[] {
  const batches: OpenBatch[] = [];
  const open = new Map<string, OpenBatch>();
  let last: OpenBatch | undefined;
  for (const message of messages) {
    const { topic, partition } = message;
    const bytes = bytesOf(message);
    // They come in runs of a partition.
    if (last?.batch.partition !== partition || last.batch.topic !== topic) last = open.get(partitionKey(topic, partition));
    if (last === undefined || last.records.length === maxRecords || last.bytes + bytes > maxBytes) {
      const records: SourceRecord[] = [];
      last = { batch: { topic, partition, dataset, format, records }, records, bytes: 0 };
      open.set(partitionKey(topic, partition), last);
      batches.push(last);
    }
    last.records.push(toRecord(message));
    last.bytes += bytes;
  }
  return batches;
}

/** Of all that came with it. */
function bytesOf({ value, key, headers = [] }: RdMessage): number {
  let bytes = (value?.length ?? 0) + (key?.length ?? 0);
  for (const header of headers) for (const name in header) bytes += name.length + header[name].length;
  return bytes;
}

function toRecord({ value, offset, timestamp, headers }: RdMessage): SourceRecord {
  // -1 where a producer gave no time.
  const timestampMs = timestamp >= 0 ? timestamp : Number.NaN;
  if (headers === undefined || headers.length === 0) return { value, offset, timestampMs };
  // Values are bytes; of a header that comes more than once the last counts.
  const text = Object.fromEntries(headers.flatMap((header) => Object.entries(header)).map(([name, bytes]) => [name, bytes.toString()]));
  return { value, offset, timestampMs, headers: text };
}
