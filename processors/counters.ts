/** What the pipeline counted since it was made: plain numbers, read by `/metrics`, `/healthz` and the closing line of a run. */
export class Counters {
  records = 0;
  events = 0;
  matches = 0;
  findings = 0;
  /** Records that could not be decoded, by reason. */
  readonly rejected: Record<string, number> = {};
  /** Events older than their own partition's watermark, by rule. */
  readonly late: Record<string, number> = {};
  /** Events for a pane that a tick had closed, by rule. */
  readonly afterTick: Record<string, number> = {};
  /** Events more than `futureSkew` ahead of their record's timestamp: set aside. */
  futureDated = 0;
  /** Events without a usable time of their own: they took their record's. */
  timeFromRecord = 0;
  /** Events that match a rule but lack its key, by rule. */
  readonly keyMissing: Record<string, number> = {};
  /** Events whose measured field has no value the measure can use, by rule. */
  readonly wrongType: Record<string, number> = {};
  /** Events of keys that found no place because the rule's memory is spent, by rule. */
  readonly untracked: Record<string, number> = {};
  /** Keys that had to make room for others, by rule. */
  readonly evictions: Record<string, number> = {};
  /** Messages that senders said they lost. */
  lostUpstream = 0;
  /** Places where records are missing, by kind: `expired`, `reset`, `damaged` (a source says so), `missing` (a batch held fewer than it said). */
  readonly losses: Record<string, number> = {};
  /** Records missing there, where that is known. */
  readonly lostRecords: Record<string, number> = {};
}

/** Adds to one of the labelled counters. */
export function countBy(counter: Record<string, number>, label: string, by = 1): void {
  counter[label] = (counter[label] ?? 0) + by;
}
