import type { SourceRecord } from '../record.ts';
import type { RejectReason } from './decoder.ts';

/**
 * On a record that is no message but bytes a source could not cut into any (the rest of a drain's body): the reason. Such a record has an
 * offset like any other and goes to the decoder, which rejects it, so that it ends in the dead letter with its place.
 */
export const rejectHeader = 'streamgauge-reject';

const reasons: ReadonlySet<string> = new Set<RejectReason>(['bad_frame', 'too_long']);

/** Why its source rejected a record; undefined for one to be decoded. Other values of the header, which anybody may send, say nothing. */
export function rejectedBySource(record: SourceRecord): RejectReason | undefined {
  const reason = record.headers?.[rejectHeader];
  return reason !== undefined && reasons.has(reason) ? (reason as RejectReason) : undefined;
}

/** On a record of a batch that held fewer messages than its sender said: how many. */
export const missingHeader = 'streamgauge-missing';

/** Far more than a batch may hold: a number above it is not believed. */
const maxMissing = 1_000_000;

/** How many messages its source missed beside this record; 0 where it says nothing that can be believed. */
export function missingBeside(record: SourceRecord): number {
  const missing = Number(record.headers?.[missingHeader] ?? 0);
  return Number.isSafeInteger(missing) && missing > 0 && missing <= maxMissing ? missing : 0;
}
