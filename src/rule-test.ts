/** A rule's own test: its records go through a pipeline of that rule alone, and what comes out must be what `findings.jsonl` says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Finding } from '../processors/detect/finding.ts';
import { Pipeline, type PipelineOptions } from '../processors/pipeline.ts';
import type { SourceRecord } from '../processors/record.ts';
import type { Rule } from '../processors/rule.ts';

export const recordsFile = 'records.jsonl';
export const findingsFile = 'findings.jsonl';

const recordSchema = z.strictObject({
  value: z.string(),
  timestamp: z.number().nullable(),
  partition: z.int().nonnegative().default(0),
  dataset: z.string().default('app'),
  format: z.string().default('auto'),
  note: z.string().optional(),
});

const expectedSchema = z.strictObject({
  rule: z.string().optional(),
  key: z.record(z.string(), z.string()).optional(),
  activity: z.enum(['open', 'update', 'close']).optional(),
  windowStart: z.number().optional(),
  windowEnd: z.number().optional(),
  value: z.number().optional(),
  severity: z.string().optional(),
  detector: z.string().optional(),
  status: z.string().optional(),
  note: z.string().optional(),
});

type ExpectedFinding = z.infer<typeof expectedSchema>;
type TestRecord = z.infer<typeof recordSchema>;

export interface RuleTestResult {
  readonly records: number;
  readonly findings: readonly Finding[];
  /** One line each; empty if all is as expected. */
  readonly problems: readonly string[];
}

/** Runs the test in `folder`. A test that is not there, or shows nothing, is a problem too: a rule is finished with its records. */
export async function testRule(rule: Rule, folder: string, options: PipelineOptions = {}): Promise<RuleTestResult> {
  const records = await readLines(join(folder, recordsFile), recordSchema);
  const expected = await readLines(join(folder, findingsFile), expectedSchema);
  const problems = [...records.problems, ...expected.problems];
  if (problems.length > 0) return { records: records.rows.length, findings: [], problems };
  const pipeline = new Pipeline([rule], options);
  const findings = replay(pipeline, records.rows);
  if (expected.rows.length === 0) problems.push(`${folder}: ${findingsFile} expects no finding: show at least one that the rule makes`);
  if (pipeline.counters.matches === 0) problems.push(`${folder}: no record of ${recordsFile} matched the rule's where and key`);
  problems.push(...compare(folder, findings, expected.rows));
  return { records: records.rows.length, findings, problems };
}

function replay(pipeline: Pipeline, rows: readonly TestRecord[]): Finding[] {
  pipeline.partitions([...new Set(rows.map(({ partition }) => `records/${partition}`))]);
  const findings = rows.flatMap((row, index) => {
    const record: SourceRecord = { value: Buffer.from(row.value), offset: index, timestampMs: row.timestamp ?? Number.NaN };
    return pipeline.process({ topic: 'records', partition: row.partition, dataset: row.dataset, format: row.format, records: [record] });
  });
  return [...findings, ...pipeline.finish()];
}

function compare(folder: string, findings: readonly Finding[], expected: readonly ExpectedFinding[]): string[] {
  const problems: string[] = [];
  const count = Math.max(findings.length, expected.length);
  for (let i = 0; i < count; i++) {
    const { note: _, ...want } = expected[i] ?? {};
    const got = findings[i] === undefined ? undefined : shown(findings[i]);
    const where = `${folder}/${findingsFile}:${i + 1}`;
    if (got === undefined) problems.push(`${where}: expected ${JSON.stringify(want)}, found no more findings`);
    else if (expected[i] === undefined) problems.push(`${where}: expected no more findings, found ${JSON.stringify(got)}`);
    else if (!agrees(want, got)) problems.push(`${where}: expected ${JSON.stringify(want)}, found ${JSON.stringify(got)}`);
  }
  return problems;
}

function shown(finding: Finding): Omit<ExpectedFinding, 'note'> {
  const { rule, key, activity, windowStartMs, windowEndMs, value, severity, detector, status } = finding;
  return { rule, key: { ...key }, activity, windowStart: windowStartMs, windowEnd: windowEndMs, value, severity, detector, status };
}

function agrees(want: Omit<ExpectedFinding, 'note'>, got: Omit<ExpectedFinding, 'note'>): boolean {
  return Object.entries(want).every(([name, value]) => {
    const found = got[name as keyof typeof got];
    // Quantiles and averages are compared to a millionth: the last bits of a decimal fraction are no business of a rule's.
    if (typeof value === 'number' && typeof found === 'number') return Math.abs(value - found) <= Math.abs(value) * 1e-6;
    return JSON.stringify(value) === JSON.stringify(found);
  });
}

async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<{ rows: T[]; problems: string[] }> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return { rows: [], problems: [`${path}: expected the rule's own test, found no file`] };
  }
  const rows: T[] = [];
  const problems: string[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    try {
      rows.push(schema.parse(JSON.parse(line)));
    } catch (error) {
      const issues =
        error instanceof z.ZodError ? error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ') : String(error);
      problems.push(`${path}:${index + 1}: ${issues}`);
    }
  });
  return { rows, problems };
}
