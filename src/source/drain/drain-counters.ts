/** How a request to a drain ended. */
export type DrainOutcome =
  | 'accepted'
  | 'repeat'
  | 'aborted'
  | 'bad_content'
  | 'unauthorized'
  | 'wrong_method'
  | 'slow'
  | 'too_large'
  | 'unsupported'
  | 'rate_limited'
  | 'unavailable';

/** What a drain counted since it was made: plain numbers, read by `/metrics`. */
export class DrainCounters {
  readonly requests: Record<DrainOutcome, number> = {
    accepted: 0,
    repeat: 0,
    aborted: 0,
    bad_content: 0,
    unauthorized: 0,
    wrong_method: 0,
    slow: 0,
    too_large: 0,
    unsupported: 0,
    rate_limited: 0,
    unavailable: 0,
  };
  records = 0;
  /** Bytes of bodies as they were sent. */
  bytes = 0;
  /** Pieces of bodies that were no message. */
  rejects = 0;
  /** Batches whose `Logplex-Msg-Count` is not what they held. */
  countMismatches = 0;
  /** Requests that had to wait, for the journal or their rate. */
  held = 0;
}
