/**
 * RecordBatch -> EventBatch. A decoder fills the slots of the batch's field plan and nothing else.
 *
 * Duties of a decoder: never throw on any bytes; every record ends in rows, in `rejects`, or as the held part of a later row; time,
 * dataset and fields are functions of the record's bytes, headers and place alone. Duties of the caller: `out.reset(records)` before
 * the call; nothing of the records is kept after it.
 */
import type { RecordBatch } from '../record.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import type { EventBatch } from './event-batch.ts';

export interface Decoder {
  decode(records: RecordBatch, out: EventBatch, rejects: Rejects): void;
  /** Carries the held first parts of split lines, the only state a decoder has. */
  snapshot(out: SnapshotWriter): void;
  restore(from: SnapshotReader): void;
}

export type RejectReason =
  | 'empty'
  | 'too_long'
  | 'bad_utf8'
  | 'bad_json'
  | 'not_an_object'
  | 'too_deep'
  | 'bad_frame'
  | 'bad_syslog'
  | 'bad_cri'
  | 'bad_logfmt'
  | 'bad_access_log'
  | 'no_match'
  | 'no_time'
  | 'future_dated';

/** What could not be decoded, by record; the engine keeps those records in the dead letter with their offset and this reason. */
export class Rejects {
  readonly recordIndexes: number[] = [];
  readonly reasons: RejectReason[] = [];

  add(recordIndex: number, reason: RejectReason): void {
    this.recordIndexes.push(recordIndex);
    this.reasons.push(reason);
  }

  reset(): void {
    this.recordIndexes.length = 0;
    this.reasons.length = 0;
  }
}
