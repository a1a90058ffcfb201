/** Makes a Finding (or a Score) of what a detector said about a window. */
import { createHash } from 'node:crypto';
import { keyObject } from '../match/key.ts';
import type { MeasureSpec, Rule } from '../rule.ts';
import type { ClosedWindow, SampleRef } from '../window/closed-window.ts';
import type { Verdict } from './detector.ts';
import type { Episode } from './episodes.ts';
import type { Activity, Finding, Sample, Score } from './finding.ts';

/** What a detector said, and who it was. */
export interface Judged {
  readonly detector: number;
  readonly name: string;
  readonly measureName?: string;
  readonly value: number;
  readonly threshold: number;
}

export function writeFinding(
  rule: Rule,
  window: ClosedWindow,
  episode: Episode,
  activity: Activity,
  judged: Judged,
  partitionName: (index: number) => string,
): Finding {
  const keyText = window.evidence.keyText(window.slot);
  const key = keyObject(rule.key, keyText);
  const samples = window.evidence.samples(window.slot).map((ref) => sampleOf(ref, partitionName));
  return {
    id: findingId(rule.id, keyText, episode.openedMs),
    activity,
    sequence: episode.sequence,
    timeMs: window.endMs,
    rule: rule.id,
    title: rule.title,
    category: rule.category,
    severity: rule.severity,
    status: rule.status,
    summary: activity === 'close' ? `over: ${rule.title} (${keyWords(key)})` : fillSummary(rule, key, judged),
    key,
    measure: judged.measureName ?? measureName(rule.measure),
    detector: judged.name,
    value: judged.value,
    valueError: judged.measureName === undefined ? window.valueError : 0,
    threshold: judged.threshold,
    windowStartMs: window.startMs,
    windowEndMs: window.endMs,
    openedMs: episode.openedMs,
    early: episode.early,
    degraded: window.degraded,
    late: window.late,
    evicted: window.evidence.evicted(),
    countErr: window.countErr,
    samples,
  };
}

export function sampleOf(ref: SampleRef, partitionName: (index: number) => string): Sample {
  const name = partitionName(ref.partition);
  const slash = name.lastIndexOf('/');
  return { topic: name.slice(0, slash), partition: Number(name.slice(slash + 1)), offset: ref.offset };
}

export function writeScore(rule: Rule, window: ClosedWindow, verdict: Pick<Verdict, 'value' | 'threshold' | 'fired'>): Score {
  return {
    rule: rule.id,
    key: keyObject(rule.key, window.evidence.keyText(window.slot)),
    start: window.startMs,
    end: window.endMs,
    value: verdict.value,
    threshold: verdict.threshold,
    fired: verdict.fired,
  };
}

/** 32 hexadecimal digits of SHA-256 over rule, key and opening pane: the same wherever and whenever it is found. */
export function findingId(rule: string, keyText: string, openedMs: number): string {
  return createHash('sha256')
    .update(JSON.stringify([rule, keyText, openedMs]))
    .digest('hex')
    .slice(0, 32);
}

/** `distinct(user.email)`, `p99(http.server.request.duration)`, `count`. */
export function measureName(measure: MeasureSpec): string {
  switch (measure.kind) {
    case 'count':
    case 'ratio':
      return measure.kind;
    case 'quantile':
      return `p${Number((measure.q * 100).toPrecision(12))}(${measure.field}) by ${measure.sketch}`;
    default:
      return `${measure.kind}(${measure.field})`;
  }
}

function fillSummary(rule: Rule, key: Readonly<Record<string, string>>, judged: Judged): string {
  const values: Record<string, string> = {
    key: keyWords(key),
    value: judged.measureName === undefined ? shortNumber(judged.value) : duration(judged.value),
    threshold: judged.measureName === undefined ? shortNumber(judged.threshold) : duration(judged.threshold),
    window: duration(rule.window.sizeMs),
    rule: rule.id,
    title: rule.title,
    measure: judged.measureName ?? measureName(rule.measure),
    severity: rule.severity,
  };
  return rule.finding.summary.replace(/\{([a-z_.]+)\}/g, (whole, name: string) => values[name] ?? key[name] ?? whole);
}

function keyWords(key: Readonly<Record<string, string>>): string {
  return Object.values(key).join(', ') || 'all';
}

/** Four digits are enough to read; the exact value is in the finding. */
function shortNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

/** 90000 -> `1m 30s`, 600000 -> `10m`, 1811000 -> `30m 11s`, 250 -> `250ms`: the two largest units that hold something. */
export function duration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const units: [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ];
  const first = units.findIndex(([, size]) => ms >= size);
  let left = ms;
  const parts: string[] = [];
  for (const [unit, size] of units.slice(first, first + 2)) {
    if (left >= size) parts.push(`${Math.floor(left / size)}${unit}`);
    left %= size;
  }
  return parts.join(' ');
}
