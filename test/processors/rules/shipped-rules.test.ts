import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../processors/detect/finding.ts';
import { Pipeline } from '../../../processors/pipeline.ts';
import type { RecordBatch } from '../../../processors/record.ts';
import type { Rule } from '../../../processors/rule.ts';
import { parseRule } from '../../../schemas/rule.ts';

const root = join(import.meta.dirname, '..', '..', '..', 'processors', 'rules');
const ids = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

interface RecordLine {
  readonly value: string;
  readonly timestamp: number | null;
  readonly partition: number;
  readonly dataset: string;
  readonly format: string;
}

const jsonLines = <T>(id: string, file: string): T[] =>
  readFileSync(join(root, id, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

function ruleOf(id: string): Rule {
  const file = join(root, id, 'rule.yaml');
  const { rule, problems } = parseRule(readFileSync(file, 'utf8'), file);
  if (rule === undefined) throw new Error(problems.join('\n'));
  return rule;
}

/** One batch a record: how input is cut changes no finding. */
function batches(id: string): RecordBatch[] {
  return jsonLines<RecordLine>(id, 'records.jsonl').map((line, offset) => ({
    topic: 'records',
    partition: line.partition,
    dataset: line.dataset,
    format: line.format,
    records: [{ value: Buffer.from(line.value), offset, timestampMs: line.timestamp ?? Number.NaN }],
  }));
}

function run(rules: readonly Rule[], input: readonly RecordBatch[]): { findings: Finding[]; pipeline: Pipeline } {
  const pipeline = new Pipeline(rules);
  const findings = input.flatMap((batch) => pipeline.process(batch));
  return { findings: [...findings, ...pipeline.finish()], pipeline };
}

const told = (finding: Finding) => ({
  rule: finding.rule,
  activity: finding.activity,
  key: finding.key,
  value: finding.value,
  windowStart: finding.windowStartMs,
  windowEnd: finding.windowEndMs,
  severity: finding.severity,
  detector: finding.detector,
  status: finding.status,
});

describe.each(ids)('the rule %s', (id) => {
  const input = batches(id);
  const rule = ruleOf(id);

  test('is named as its folder, and finds in its records what findings.jsonl says and nothing else', () => {
    expect(rule.id).toBe(id);
    const expected = jsonLines<Record<string, unknown>>(id, 'findings.jsonl').map(({ note: _, ...finding }) => finding);
    const { findings, pipeline } = run([rule], input);
    expect(findings.map(told)).toEqual(expected);
    expect(pipeline.counters.rejected).toEqual({});
    for (const finding of findings.filter((one) => one.activity === 'open')) {
      expect(finding.degraded).toBe(false);
      // A silence has no records to show.
      if (finding.detector !== 'silence') expect(finding.samples.length).toBeGreaterThan(0);
    }
  });

  test('finds nothing in its near misses alone', () => {
    const opened = run([rule], input).findings.filter((finding) => finding.activity === 'open');
    const keys = new Set(opened.map((finding) => Object.values(finding.key).join(',')));
    // The rules with one key for everything have their near misses at other times, which the first test sees.
    if (rule.key.length === 0 || keys.has('accounts')) return;
    const others = input.filter((batch) => ![...keys].some((key) => Buffer.from(batch.records[0].value!).includes(key)));
    expect(others.length).toBeGreaterThan(20);
    expect(run([rule], others).findings).toEqual([]);
  });

  test('has a summary that reads well', () => {
    const [opening] = run([rule], input).findings;
    expect(opening.summary).not.toMatch(/[{}]|undefined|NaN/);
  });
});

test('the six rules do not fire on each other’s records', () => {
  const rules = ids.map(ruleOf);
  for (const id of ids) {
    const fired = new Set(run(rules, batches(id)).findings.map((finding) => finding.rule));
    expect([...fired]).toEqual([id]);
  }
});
