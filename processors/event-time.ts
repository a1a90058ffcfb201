import { type Counters, countBy } from './counters.ts';
import { datasetOf } from './decode/dataset-header.ts';
import type { Rejects } from './decode/decoder.ts';
import type { EventBatch } from './decode/event-batch.ts';
import type { SourceRecord } from './record.ts';
import type { Gaps } from './window/gaps.ts';
import type { Watermark } from './window/watermark.ts';

export interface EventTimeParts {
  readonly events: EventBatch;
  readonly rejects: Rejects;
  readonly counters: Counters;
  readonly gaps: Gaps;
  readonly watermark: Watermark;
}

export interface EventTimeOptions {
  /** An event further ahead of its record's timestamp than this is set aside. Default 5 minutes. */
  readonly futureSkewMs?: number;
  /** Only events of [fromMs, toMs) count; others are passed over. */
  readonly span?: { readonly fromMs: number; readonly toMs: number };
}

/** Which time each row has, and whether it counts. */
export class EventTime {
  private readonly parts: EventTimeParts;
  private readonly futureSkewMs: number;
  private readonly fromMs: number;
  private readonly toMs: number;

  constructor(parts: EventTimeParts, { futureSkewMs = 300_000, span }: EventTimeOptions) {
    this.parts = parts;
    this.futureSkewMs = futureSkewMs;
    this.fromMs = span?.fromMs ?? Number.NEGATIVE_INFINITY;
    this.toMs = span?.toMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Gives an event without a time its record's (or the newest of its partition); sets a future-dated one aside. Returns false if the event
   * does not count.
   */
  place(row: number, record: SourceRecord, partition: number): boolean {
    const { counters, watermark, events } = this.parts;
    const { timeMs } = events;
    if (Number.isNaN(timeMs[row])) {
      timeMs[row] = Number.isNaN(record.timestampMs) ? watermark.newest(partition) : record.timestampMs;
      if (!Number.isFinite(timeMs[row])) return this.setAside(row, 'no_time', partition);
      counters.timeFromRecord++;
    } else if (timeMs[row] > record.timestampMs + this.futureSkewMs) {
      counters.futureDated++;
      return this.setAside(row, 'future_dated', partition);
    }
    return timeMs[row] >= this.fromMs && timeMs[row] < this.toMs;
  }

  private setAside(row: number, reason: 'no_time' | 'future_dated', partition: number): false {
    const { rejects, counters, events, gaps } = this.parts;
    const { records } = events;
    rejects.add(events.recordIndex[row], reason);
    countBy(counters.rejected, reason);
    gaps.open(partition, datasetOf(records.records[events.recordIndex[row]], records));
    return false;
  }
}
