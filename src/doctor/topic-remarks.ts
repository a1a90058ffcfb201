/** What a topic's settings mean for what is read from it or written to it, and what to do about it. */
import type { Rule } from '../../processors/rule.ts';

/** Settings of a topic by name, as the broker says them. */
export type TopicSettings = Readonly<Record<string, string>>;

export const readSettings = ['retention.ms', 'retention.bytes', 'cleanup.policy'] as const;
export const writtenSettings = ['cleanup.policy', 'max.message.bytes', 'retention.ms'] as const;

/** An outage over a day is one that a weekend makes. */
const shortRetentionMs = 24 * 3_600_000;
/** A finding with its samples stays far below it. */
const findingBytes = 256 * 1024;

/** How far back the rules look at the most, and which rule it is. */
export interface Reach {
  readonly rule: string;
  readonly ms: number;
}

export function longestReach(rules: readonly Rule[]): Reach | undefined {
  let longest: Reach | undefined;
  for (const { id, window, detect } of rules) {
    const waits = detect.map((detector) => (detector.kind === 'silence' ? detector.afterMs : window.sizeMs + detector.forMs));
    const ms = Math.max(window.sizeMs, ...waits) + window.latenessMs;
    if (longest === undefined || ms > longest.ms) longest = { rule: id, ms };
  }
  return longest;
}

/** Of a topic that is read. */
export function readRemarks(settings: TopicSettings, reach: Reach | undefined): string[] {
  const remarks: string[] = [];
  const retentionMs = Number(settings['retention.ms'] ?? -1);
  const deletes = (settings['cleanup.policy'] ?? 'delete').includes('delete');
  if (deletes && retentionMs >= 0 && retentionMs < shortRetentionMs) {
    remarks.push(
      `retention.ms is ${retentionMs}: after an outage longer than that records are gone before they are read; raise it to a day or more`,
    );
  }
  if (deletes && reach !== undefined && retentionMs >= 0 && retentionMs < reach.ms) {
    const lacking = 'a backtest, or a start without a checkpoint, cannot fill its window';
    remarks.push(`retention.ms is ${retentionMs}, and rule ${reach.rule} looks ${reach.ms} ms back: ${lacking}; raise it to at least that`);
  }
  const retentionBytes = Number(settings['retention.bytes'] ?? -1);
  if (deletes && retentionBytes >= 0) {
    remarks.push(
      `retention.bytes is ${retentionBytes} a partition: when traffic rises records go earlier than retention.ms says; see that it holds a day at the peak, or set it to -1`,
    );
  }
  if ((settings['cleanup.policy'] ?? '').includes('compact')) {
    remarks.push(
      'cleanup.policy compacts it: of records with equal keys only the last is kept, so a replay counts less than the live run did; use delete for logs',
    );
  }
  return remarks;
}

/** Of a topic that findings or dead letters are written to. */
export function writtenRemarks(settings: TopicSettings): string[] {
  const remarks: string[] = [];
  if ((settings['cleanup.policy'] ?? '').includes('compact')) {
    remarks.push(
      'cleanup.policy compacts it: the key is the finding, so only the last word on each is kept, and who reads late (a Loki shipper too) misses openings; use delete',
    );
  }
  const maxBytes = Number(settings['max.message.bytes'] ?? findingBytes);
  if (maxBytes < findingBytes)
    remarks.push(`max.message.bytes is ${maxBytes}: long findings may be refused; raise it to ${findingBytes} or more`);
  const retentionMs = Number(settings['retention.ms'] ?? -1);
  if (retentionMs >= 0 && retentionMs < shortRetentionMs) {
    remarks.push(`retention.ms is ${retentionMs}: who reads it seldom misses what went in between; raise it to a day or more`);
  }
  return remarks;
}
