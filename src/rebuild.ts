/**
 * An engine whose windows are being made again from the records of a while (`RebuildIntake`). Until that is done nothing is saved or
 * committed, the clock closes nothing, and nothing is told that was told before:
 *
 * - dead letters were written when the records were read the first time;
 * - a finding whose window reaches behind what is read again is judged by a part of its records. It was judged by all of them before, so it
 *   is left out;
 * - every other finding is what it was before, by its id, and a sink that can tell leaves out what it has (`Sink.recall`).
 */
import type { Finding } from '../processors/detect/finding.ts';
import type { Pipeline } from '../processors/pipeline.ts';
import type { Rule } from '../processors/rule.ts';
import type { RebuildStart } from './source/source.ts';

/** However long the windows of a rule are: what that leaves out of a window makes it degraded. */
const longestLookbackMs = 24 * 3_600_000;
/** Past the longest window, so that what has begun lately gets the id it had. */
const episodesMs = 2 * 3_600_000;

/**
 * How far back to read for windows that are whole, ms: three times the longest of any rule (and of what else its decisions hang on), at
 * most two hours more than once; and how long the watermark may have waited for a silent partition.
 */
export function lookbackMs(rules: readonly Rule[], idleMs: number): number {
  let longest = 0;
  for (const { window, detect, finding } of rules) {
    longest = Math.max(longest, window.sizeMs + window.latenessMs, finding.muteMs);
    for (const spec of detect) longest = Math.max(longest, spec.kind === 'silence' ? spec.afterMs : window.sizeMs + spec.forMs);
  }
  const waited = Number.isFinite(idleMs) ? 2 * idleMs : 0;
  return Math.min(longestLookbackMs, Math.min(3 * longest, longest + episodesMs) + waited);
}

export class Rebuild {
  private readonly lateKeys: readonly string[];

  constructor({ partitions }: RebuildStart) {
    this.lateKeys = partitions.filter(({ whole }) => !whole).map(({ key }) => key);
  }

  /** What may go out of what a pipeline found while it is made again. */
  told(findings: readonly Finding[], { watermark }: Pipeline): readonly Finding[] {
    if (findings.length === 0) return findings;
    const firstMs = Math.max(...this.lateKeys.map((key) => watermark.first(watermark.partition(key))), Number.NEGATIVE_INFINITY);
    return findings.filter(({ windowStartMs }) => windowStartMs >= firstMs);
  }
}
