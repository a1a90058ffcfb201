import { type Counters, countBy } from './counters.ts';
import { datasetOf } from './decode/dataset-header.ts';
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

/** Messages that never came, as their senders say. */
export interface SaidLoss {
  /** `upstream`: a line in the stream says so; `missing`: a batch held fewer than it was said to. */
  readonly kind: 'upstream' | 'missing';
  messages: number;
  /** The record that said it first. */
  readonly offset: number;
  /** The drain it came through, where it has a name. */
  readonly token: string | undefined;
}

/** Where events of a batch are missing: records that could not be decoded, and what senders say they lost. The windows there must know. */
export class Holes {
  /** In the last batch, one of a kind. */
  readonly said: SaidLoss[] = [];
  private readonly parts: HolesParts;
  private batch!: RecordBatch;
  private partition = 0;
  /** Rejects of the decoder, and how many of them the rows have passed. */
  private undecoded = 0;
  private passed = 0;
  private counted: SourceRecord | undefined;

  constructor(parts: HolesParts) {
    this.parts = parts;
  }

  /** The batch has been decoded, and its rows come in order. */
  begin(batch: RecordBatch, partition: number): void {
    this.batch = batch;
    this.partition = partition;
    this.undecoded = this.parts.rejects.recordIndexes.length;
    this.passed = 0;
    this.said.length = 0;
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
    const { lost, lostSinceMs, timeMs, recordIndex, records } = this.parts.events;
    this.parts.counters.lostUpstream += lost[row];
    const sinceMs = Number.isNaN(lostSinceMs[row]) ? timeMs[row] : lostSinceMs[row];
    const record = records.records[recordIndex[row]];
    this.parts.windows.lost(datasetOf(record, records), this.partition, sinceMs, timeMs[row]);
    this.say('upstream', lost[row], record);
  }

  /** A record was dropped as undecodable: some event is missing here. Where there was nothing in it, nothing is. */
  private rejected(place: number): void {
    const { rejects, gaps } = this.parts;
    const reason: RejectReason = rejects.reasons[place];
    const record = this.batch.records[rejects.recordIndexes[place]];
    if (reason !== 'empty') gaps.open(this.partition, datasetOf(record, this.batch));
    this.missing(record);
  }

  /** Its sender said that more messages came with this record than did. Told once, however many rows it has. */
  private missing(record: SourceRecord): void {
    const missing = missingBeside(record);
    if (missing === 0 || this.counted === record) return;
    this.counted = record;
    const { counters, gaps } = this.parts;
    countBy(counters.losses, 'missing');
    countBy(counters.lostRecords, 'missing', missing);
    gaps.open(this.partition, datasetOf(record, this.batch));
    this.say('missing', missing, record);
  }

  private say(kind: SaidLoss['kind'], messages: number, { offset, headers }: SourceRecord): void {
    const known = this.said.find((each) => each.kind === kind);
    if (known !== undefined) known.messages += messages;
    else this.said.push({ kind, messages, offset, token: headers?.['logplex-drain-token'] });
  }
}
