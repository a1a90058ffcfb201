/** Builders for records and batches, so that a test shows only what matters to it. */
import type { RecordBatch, SourceRecord } from '../../processors/record.ts';

export interface TestEvent {
  readonly timeMs: number;
  readonly partition?: number;
  readonly [field: string]: unknown;
}

/** One batch per run of events of one partition; offsets count up in each partition across calls with the same `offsets`. */
export function batchesOf(
  events: readonly TestEvent[],
  maxRecords = Number.POSITIVE_INFINITY,
  offsets = new Map<number, number>(),
): RecordBatch[] {
  const batches: { partition: number; records: SourceRecord[] }[] = [];
  for (const { timeMs, partition = 0, ...fields } of events) {
    const offset = offsets.get(partition) ?? 0;
    offsets.set(partition, offset + 1);
    let last = batches.at(-1);
    if (last === undefined || last.partition !== partition || last.records.length >= maxRecords) {
      last = { partition, records: [] };
      batches.push(last);
    }
    last.records.push({ value: Buffer.from(JSON.stringify({ time: timeMs, ...fields })), offset, timestampMs: Number.NaN });
  }
  return batches.map(({ partition, records }) => ({ topic: 'logs', partition, dataset: 'app', format: 'json', records }));
}
