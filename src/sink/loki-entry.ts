/**
 * A finding as Loki keeps it: labels `job app env severity detector` and no others, because each set of values is a stream; who and what as
 * structured metadata; one compact line of JSON. A function of the finding alone, so that a repeat has the same stream, nanosecond and
 * line, and is stored once.
 */
import { createHash } from 'node:crypto';
import type { DetectorSpec } from '../../processors/rule.ts';
import type { OcsfFinding } from '../../schemas/finding.ts';
import { unbuiltDetectors } from '../../schemas/unbuilt.ts';

export interface LokiLabels {
  readonly app?: string;
  readonly env?: string;
}

export interface LokiEntry {
  readonly labels: Readonly<Record<string, string>>;
  readonly timeMs: number;
  /** Below a million: which of the nanoseconds of `timeMs`. */
  readonly nanos: number;
  readonly line: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Loki takes 128 entries and 64 KB a line; the line has the whole. */
const maxKeyFields = 32;
const maxMetadataLength = 512;
/** Loki's default `max_line_size` is 256 KB. */
const maxLineBytes = 200_000;

const built: Readonly<Record<DetectorSpec['kind'] | 'self', true>> = { above: true, below: true, silence: true, self: true };
/** Also those of a later version, which may write to the same topic. */
const detectors: ReadonlySet<string> = new Set([...Object.keys(built), ...Object.keys(unbuiltDetectors)]);

export function lokiEntry(finding: OcsfFinding, labels: LokiLabels): LokiEntry {
  const { unmapped, finding_info: info, metadata } = finding;
  return {
    labels: {
      job: 'findings',
      ...(labels.app === undefined ? {} : { app: labels.app }),
      ...(labels.env === undefined ? {} : { env: labels.env }),
      // Its schema knows four of them.
      severity: finding.severity.toLowerCase(),
      // Any text, as far as the schema goes: whoever else writes to the topic could make streams without end.
      detector: detectors.has(unmapped.detector) ? unmapped.detector : 'other',
    },
    timeMs: finding.time,
    nanos: nanosOf(info.uid, metadata.sequence),
    line: lineOf(finding),
    metadata: {
      finding_id: info.uid,
      activity: activityOf(finding),
      rule: unmapped.rule,
      status: unmapped.status,
      category: info.types[0] ?? '',
      measure: unmapped.measure,
      value: String(unmapped.value),
      ...(unmapped.threshold === undefined ? {} : { threshold: String(unmapped.threshold) }),
      key: cut(Object.values(unmapped.key).join(', ') || 'all'),
      ...keyFields(unmapped.key),
    },
  };
}

/** Nanoseconds since the epoch as text: past what a double can hold. */
export function lokiTimestamp({ timeMs, nanos }: Pick<LokiEntry, 'timeMs' | 'nanos'>): string {
  return timeMs < 1 ? '0' : `${timeMs}${String(nanos).padStart(6, '0')}`;
}

/**
 * Findings of one millisecond get nanoseconds of their own, so that paging through them by time misses none; what one finding became
 * stays in order.
 */
function nanosOf(uid: string, sequence: number): number {
  const place = createHash('sha256').update(uid).digest().readUInt16BE(0) % 1000;
  return place * 1000 + Math.min(sequence, 999);
}

function activityOf({ activity_id }: OcsfFinding): 'open' | 'update' | 'close' {
  if (activity_id === 1) return 'open';
  return activity_id === 2 ? 'update' : 'close';
}

/** `key_client_address`: dots are not allowed in names, and a field of the key must not pass for one of ours. */
function keyFields(key: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(key)
      .slice(0, maxKeyFields)
      .map(([name, value]) => [`key_${name.replace(/[^a-zA-Z0-9_]/g, '_')}`, cut(value)]),
  );
}

/** Never between the halves of a surrogate pair: Loki would refuse what is not UTF-8. */
function cut(text: string): string {
  return text.length <= maxMetadataLength ? text : Buffer.from(text.slice(0, maxMetadataLength)).toString();
}

function lineOf(finding: OcsfFinding): string {
  const { samples, ...facts } = finding.unmapped;
  const whole = {
    finding_id: finding.finding_info.uid,
    activity: activityOf(finding),
    sequence: finding.metadata.sequence,
    time: finding.time,
    severity: finding.severity.toLowerCase(),
    title: finding.finding_info.title,
    summary: finding.message,
    ...facts,
    samples,
  };
  const line = JSON.stringify(whole);
  if (Buffer.byteLength(line) <= maxLineBytes) return line;
  return JSON.stringify({ ...whole, samples: samples.map(({ topic, partition, offset }) => ({ topic, partition, offset })) });
}
