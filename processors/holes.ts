import { type Counters, countBy } from './counters.ts';
import type { RejectReason, Rejects } from './decode/decoder.ts';
import type { EventBatch } from './decode/event-batch.ts';
import { missingBeside } from './decode/reject-header.ts';
import type { RecordBatch, SourceRecord } from './record.ts';
import type { Gaps } from './window/gaps.ts';
import type { WindowStage } from './window/window-stage.ts';

export interface HolesParts {
  readonly events: EventBatch;
  readonly rejects: Rejects;
  readonly counters: Counters;
  readonly gaps: Gaps;
  readonly windows: WindowStage;
}

/** Where events of a batch are missing: records that could not be decoded, and what senders say they lost. The windows there must know. */
export class Holes {
  private readonly parts: HolesParts;
  private batch!: RecordBatch;
  private partition = 0;
  /** Rejects of the decoder, and how many of them the rows have passed. */
  private undecoded = 0;
  private passed = 0;
  private told: SourceRecord | undefined;

  constructor(parts: HolesParts) {
    this.parts = parts;
  }

  /** The batch has been decoded, and its rows come in order. */
  begin(batch: RecordBatch, partition: number): void {
    this.batch = batch;
    this.partition = partition;
    this.undecoded = this.parts.rejects.recordIndexes.length;
    this.passed = 0;
  }

  /** A row of the record with this index comes next. */
  before(recordIndex: number): void {
    const { recordIndexes } = this.parts.rejects;
    while (this.passed < this.undecoded && recordIndexes[this.passed] < recordIndex) this.rejected(this.passed++);
    const record = this.batch.records[recordIndex];
    if (record.headers !== undefined) this.missing(record);
  }

  /** No more rows come. */
  end(): void {
    while (this.passed < this.undecoded) this.rejected(this.passed++);
  }

  /** The sender says in this row that messages were lost. */
  lost(row: number): void {
    const { lost, lostSinceMs, timeMs, records } = this.parts.events;
    this.parts.counters.lostUpstream += lost[row];
    const sinceMs = Number.isNaN(lostSinceMs[row]) ? timeMs[row] : lostSinceMs[row];
    this.parts.windows.lost(records.dataset, this.partition, sinceMs, timeMs[row]);
  }

  /** A record was dropped as undecodable: some event is missing here. Where there was nothing in it, nothing is. */
  private rejected(place: number): void {
    const { rejects, gaps } = this.parts;
    const reason: RejectReason = rejects.reasons[place];
    if (reason !== 'empty') gaps.open(this.partition, this.batch.dataset);
    this.missing(this.batch.records[rejects.recordIndexes[place]]);
  }

  /** Its sender said that more messages came with this record than did. Told once, however many rows it has. */
  private missing(record: SourceRecord): void {
    const missing = missingBeside(record);
    if (missing === 0 || this.told === record) return;
    this.told = record;
    const { counters, gaps } = this.parts;
    countBy(counters.losses, 'missing');
    countBy(counters.lostRecords, 'missing', missing);
    gaps.open(this.partition, this.batch.dataset);
  }
}
