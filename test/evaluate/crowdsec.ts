/**
 * The detection suites of the CrowdSec hub, through the real decoders and the pipeline: which (rule, source) pairs open a finding,
 * against what the hub itself asserts. Each suite also as near misses: with the deciding event taken out, and spread to one an hour.
 */
import { stringify } from 'yaml';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch, SourceRecord } from '../../processors/record.ts';
import type { Rule } from '../../processors/rule.ts';
import { parseRule } from '../../schemas/rule.ts';
import { type RawSuite, rawSuites } from './crowdsec-raw-rules.ts';
import type { PlainRule, Suite } from './crowdsec-suite.ts';

export const variants = ['events', 'minus one', 'one per hour', 'raw lines'] as const;
export type Variant = (typeof variants)[number];

/** What one suite led to in one variant; `rule source`, once for each opening. */
export interface Outcome {
  readonly suite: string;
  readonly variant: Variant;
  readonly expected: number;
  readonly found: number;
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  /** Records that could not be decoded. */
  readonly rejected: number;
}

const encoder = new TextEncoder();
const hourMs = 3_600_000;

/** Runs a suite in one variant; undefined if the suite's raw lines are of a format that is not claimed. */
export function evaluate(suite: Suite, variant: Variant): Outcome | undefined {
  const rawSuite = rawSuites[suite.name];
  if (variant === 'raw lines' && rawSuite === undefined) return undefined;
  const { plain } = suite.case;
  const rules = plain.map((rule, index) => ruleOf(rule, index, variant === 'raw lines' ? rawSuite : undefined));
  const { openings, rejected } = run(rules, recordsOf(suite, variant));
  const found = openings.map(({ rule, source }) => ({ rule: plain[Number(rule.slice(1))].rule, source }));
  return { suite: suite.name, variant, found: found.length, rejected, ...compare(suite, variant, found) };
}

function ruleOf(plain: PlainRule, index: number, raw: RawSuite | undefined): Rule {
  const rawRule = raw?.rules[plain.rule];
  if (raw !== undefined && rawRule === undefined) throw new Error(`crowdsec-raw-rules.ts has no entry for ${plain.rule}`);
  const distinct = rawRule === undefined ? plain.distinct : rawRule.distinct;
  const text = stringify({
    id: `r${index}`,
    title: plain.rule,
    severity: 'medium',
    where: rawRule?.where ?? plain.where,
    key: rawRule === undefined ? plain.key : 'client.address',
    measure: distinct ? { distinct } : 'count',
    window: { size: `${plain.window_s}s`, ...(raw?.lateness === undefined ? {} : { lateness: raw.lateness }) },
    detect: { above: plain.above },
    finding: { mute: `${plain.mute_s}s` },
  });
  const { rule, problems } = parseRule(text, plain.rule);
  if (rule === undefined) throw new Error(`${plain.rule} cannot be said in the rule language:\n${problems.join('\n')}\n${text}`);
  return rule;
}

function recordsOf(suite: Suite, variant: Variant): RecordBatch {
  const record = (text: string, offset: number, timestampMs: number): SourceRecord => ({
    value: encoder.encode(text),
    offset,
    timestampMs,
  });
  const batch = { topic: suite.name, partition: 0, dataset: 'crowdsec', format: 'auto' };
  const times = suite.events.map((event) => Date.parse(event.ts));
  if (variant === 'raw lines') {
    // Syslog lines name no year: the file was read a minute after its newest line.
    const readMs = Math.max(...times) + 60_000;
    return { ...batch, records: suite.raw.map((line, index) => record(line, index, readMs)) };
  }
  const dropped = variant === 'minus one' ? suite.case.variants.minus_one.drop_event_index : -1;
  const records = suite.events
    .map((event, index) => {
      const spread = new Date(times[0] + 100 * (times[index] - times[0]) + index * hourMs).toISOString();
      const moved = variant === 'one per hour' ? { ...event, ts: spread } : event;
      return record(JSON.stringify(moved), index, Number.NaN);
    })
    .filter((_, index) => index !== dropped);
  return { ...batch, records };
}

interface Opening {
  readonly rule: string;
  readonly source: string;
}

function run(rules: readonly Rule[], batch: RecordBatch): { openings: Opening[]; rejected: number } {
  const pipeline = new Pipeline(rules);
  const findings = [...pipeline.process(batch), ...pipeline.finish()];
  const openings = findings
    .filter((finding) => finding.activity === 'open')
    .map((finding) => ({ rule: finding.rule, source: Object.values(finding.key).join(',') }));
  const rejected = Object.values(pipeline.counters.rejected).reduce((sum, count) => sum + count, 0);
  return { openings, rejected };
}

/** The variants' right answers name rules only: there, sources do not take part in the comparison. */
function compare(suite: Suite, variant: Variant, found: readonly Opening[]): Pick<Outcome, 'expected' | 'missing' | 'extra'> {
  const near =
    variant === 'minus one' ? suite.case.variants.minus_one : variant === 'one per hour' ? suite.case.variants.one_per_hour : undefined;
  const expected =
    near === undefined
      ? suite.case.expected.map(({ rule, sources }) => `${rule} ${sources.join(',')}`)
      : Object.entries(near.overflows).flatMap(([rule, count]) => new Array<string>(count).fill(rule));
  const got = found.map(({ rule, source }) => (near === undefined ? `${rule} ${source}` : rule));
  return { expected: expected.length, missing: without(expected, got), extra: without(got, expected) };
}

/** What is in `all` more often than in `taken`. */
function without(all: readonly string[], taken: readonly string[]): string[] {
  const left = [...taken];
  return all.filter((one) => {
    const at = left.indexOf(one);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/** Every suite in every variant that applies. */
export function evaluateAll(suites: readonly Suite[]): Outcome[] {
  return variants.flatMap((variant) => suites.map((suite) => evaluate(suite, variant)).filter((outcome) => outcome !== undefined));
}

export const isRight = (outcome: Outcome): boolean => outcome.missing.length === 0 && outcome.extra.length === 0;

/** A table for people: suite, expected, found, missing, extra; totals below each variant. */
export function report(outcomes: readonly Outcome[]): string {
  const out: string[] = [];
  for (const variant of variants) {
    const rows = outcomes.filter((outcome) => outcome.variant === variant);
    out.push(
      `${variant}`,
      `  ${'suite'.padEnd(34)} ${'expected'.padStart(8)} ${'found'.padStart(6)} ${'missing'.padStart(8)} ${'extra'.padStart(6)}`,
    );
    const line = (name: string, of: readonly Outcome[]) => {
      const sum = (pick: (outcome: Outcome) => number) => of.reduce((total, outcome) => total + pick(outcome), 0);
      const cells = [sum((o) => o.expected), sum((o) => o.found), sum((o) => o.missing.length), sum((o) => o.extra.length)];
      out.push(`  ${name.padEnd(34)} ${cells.map((cell, i) => String(cell).padStart([8, 6, 8, 6][i])).join(' ')}`);
    };
    for (const row of rows) {
      line(row.suite, [row]);
      for (const one of row.missing) out.push(`      missing: ${one}`);
      for (const one of row.extra) out.push(`      extra:   ${one}`);
      if (row.rejected > 0) out.push(`      ${row.rejected} records could not be decoded`);
    }
    line(`${rows.length} suites`, rows);
    out.push('');
  }
  return out.join('\n');
}
