/**
 * What to do with Loki's answer to a push of one stream. Wording differs between versions (3.4 to 3.7 looked at), so parts of it are
 * matched, case aside. Only one stream a request: an ingester that takes several reports what became of the last one alone.
 */

export type LokiVerdict =
  | { readonly kind: 'done' }
  /** Passing; nobody knows how much was stored, and a repeat is stored once. */
  | { readonly kind: 'retry'; readonly reason: string }
  /** These entries are refused for good, the others are stored. */
  | { readonly kind: 'dropped'; readonly entries: number; readonly reason: LokiDropReason }
  /** Nothing was stored and nothing will be of this request: smaller ones find the entry that spoils it. One alone is dropped. */
  | { readonly kind: 'split'; readonly reason: LokiDropReason }
  /** Somebody has to change a setting, here or there. */
  | { readonly kind: 'misconfigured'; readonly reason: string };

export type LokiDropReason = 'too_old' | 'too_new' | 'too_far_behind' | 'too_large' | 'refused' | 'malformed';

/** Refused entry by entry, in the order they are looked for. */
const refusals: readonly (readonly [pattern: RegExp, reason: LokiDropReason])[] = [
  [/too far behind|out of order/i, 'too_far_behind'],
  [/timestamp too old/i, 'too_old'],
  [/timestamp too new/i, 'too_new'],
  [/max entry size|structured metadata too large|too many structured metadata/i, 'too_large'],
  [/has \d+ label names|label (?:name|value) too long|duplicate label name/i, 'refused'],
];

/** @param entries how many were sent, the bound of how many can have been refused. */
export function lokiVerdict(status: number, body: string, entries: number): LokiVerdict {
  const reason = `${status} ${body.trim().slice(0, 300)}`.trim();
  if (status === 204 || status === 200) return { kind: 'done' };
  // No stream in the request: nothing to store.
  if (status === 422) return { kind: 'done' };
  // A limit on streams is not waited out: it takes fewer label values, or a higher limit.
  if (/maximum active stream limit exceeded/i.test(body)) return { kind: 'misconfigured', reason };
  // Whatever the status: one answer may name entries that are too old and others that came too fast.
  if (status === 429 || (status === 400 && /rate limit exceeded/i.test(body))) return { kind: 'retry', reason };
  if (status === 413 || (status === 500 && /larger than max/i.test(body))) return { kind: 'split', reason: 'too_large' };
  if (status === 408 || (status >= 500 && status <= 599)) return { kind: 'retry', reason };
  if (status === 400) return ofBadRequest(body, entries, reason);
  // 401, 403, 404, 405; 260 is "ingestion blocked by config"; anything else is no Loki's answer to a push.
  return { kind: 'misconfigured', reason };
}

function ofBadRequest(body: string, entries: number, reason: string): LokiVerdict {
  if (/no org id|multiple org ids|missing required labels|but this feature is disallowed/i.test(body)) {
    return { kind: 'misconfigured', reason };
  }
  for (const [pattern, dropReason] of refusals) {
    if (pattern.test(body)) return { kind: 'dropped', entries: refused(body, entries), reason: dropReason };
  }
  return { kind: 'split', reason: 'malformed' };
}

/** `total ignored: 3 out of 7`, else `2 errors like: …; 1 errors like: …`, else one. */
function refused(body: string, entries: number): number {
  const total = /total ignored: (\d+) out of/i.exec(body);
  if (total !== null) return Math.min(entries, Number(total[1]));
  let sum = 0;
  for (const [, count] of body.matchAll(/(\d+) errors like:/gi)) sum += Number(count);
  return Math.min(entries, Math.max(1, sum));
}
