/** `rule.yaml`: what it may say, and the `Rule` that comes of it. */
import { z } from 'zod';
import type { DetectorSpec, KeyPart, MeasureSpec, Rule } from '../processors/rule.ts';
import { maxPanes } from '../processors/sketch/pareto-hll.ts';
import { detect } from './detect.ts';
import { byLine, problemOf, readYaml, validate, type YamlText } from './document.ts';
import { type Fault, strict } from './issues.ts';
import { key } from './key.ts';
import { measure } from './measure.ts';
import { didYouMean } from './nearest.ts';
import { duration, positiveDuration } from './scalars.ts';
import { isUnbuilt, notYet } from './unbuilt.ts';
import { where } from './where.ts';
import { defaultLatenessMs, window, windowOf } from './window.ts';

/** What a summary may name in braces: the rules reference is written from this. */
export const summaryFields: Readonly<Record<string, string>> = {
  key: 'the key, its parts joined by a comma',
  value: 'the value judged',
  threshold: 'what it was held against',
  window: 'the length of the window, e.g. `10m`',
  rule: "the rule's id",
  title: "the rule's title",
  measure: 'what was measured, e.g. `distinct(user.email)`',
  severity: "the rule's severity",
};

export const severity = z.enum(['low', 'medium', 'high', 'critical']);
export const status = z.enum(['dormant', 'shadow', 'live', 'retired']);
const idExpected = 'lower-case letters, digits and _, a letter first, at most 80 in all';
export const ruleId = z.string({ error: idExpected }).regex(/^[a-z][a-z0-9_]{0,79}$/, { error: idExpected });
const dataset = z.string().regex(/^\S+$/, { error: 'the name of a dataset, without spaces' });

const needs = strict({
  dataset: dataset.describe('The dataset that must be there.'),
  for: positiveDuration.describe('How long it must have been there.'),
});

const finding = strict({
  summary: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('One sentence; may hold {key} {value} {threshold} {window} and others. Default: the title.'),
  mute: duration.prefault('0s').describe('No second opening for this key within this time of the first.'),
});

/** The form of a rule. What one field asks of another is in `faultsBetween`. */
export const ruleSchema = strict({
  id: ruleId.describe('The name of the rule and of its folder.'),
  title: z.string().min(1).max(200).describe('What it watches for, as a sentence for people.'),
  category: z
    .string()
    .regex(/^[a-z][a-z0-9_-]*$/, { error: 'one lower-case word such as auth, data or http' })
    .default('other')
    .describe('What part of the system it stands in: auth signup data ops cost webhook http …'),
  severity: severity.describe('The ceiling a finding of this rule may reach.'),
  status: status
    .default('live')
    .describe(
      '`live` runs, `shadow` runs and its findings say so and are no alert, `dormant` waits for its `needs`, `retired` does nothing and has a `reason`.',
    ),
  reason: z.string().min(1).optional().describe('Why a retired rule is retired.'),
  needs: z.array(needs).default([]).describe('What a dormant rule waits for.'),
  from: z
    .union([dataset.transform((name) => [name]), z.array(dataset)], { error: 'a dataset or a list of them' })
    .prefault([])
    .describe('Datasets to read; `heroku` takes `heroku.router` too. Default: all.'),
  where: where.prefault({}).describe("Which events count, in Sigma's detection syntax. Default: all."),
  key: key.describe(
    'Whose window an event counts in: a field, a function of one, a list of up to four, or `all`. `b?` takes a missing field as empty; otherwise an event without it does not count.',
  ),
  measure: measure.describe('What a window accumulates.'),
  window: window
    .optional()
    .describe(
      'How far back it looks: `10m`, or a map. A rule that only watches for silence may leave it out: its window is as long as its longest `after`.',
    ),
  detect: detect.describe('What opens a finding: one detector, or a list of them, any of which does.'),
  early: z
    .boolean()
    .default(false)
    .describe(
      'Announce at the record that crosses the threshold, not at the end of the slide; for count, distinct, sum and max with `above`.',
    ),
  finding: finding.prefault({}).describe('How the finding speaks.'),
});

type RuleFields = z.output<typeof ruleSchema>;

/** What a rule takes from its deployment where it does not say it itself. */
export interface RuleDefaults {
  /** Default 10 s. */
  readonly latenessMs?: number;
}

/** Reads a rule. Every mistake is told, `file:line: path: expected …, found …`; there is a rule only if there was none. */
export function parseRule(text: string, file: string, defaults: RuleDefaults = {}): { rule?: Rule; problems: string[] } {
  const yaml = readYaml(text, file);
  if (yaml.problems.length > 0) return { problems: yaml.problems };
  const { data, problems } = validate(ruleSchema, yaml);
  const fields = data ?? validFields(yaml);
  for (const fault of faultsBetween(fields, yaml.value)) problems.push(problemOf(yaml, fault));
  for (const { path, text } of notYet(fields.detect ?? [], fields.measure)) problems.push(problemOf(yaml, { path: [path], text }));
  if (data === undefined || problems.length > 0) return { problems: byLine(problems) };
  return { rule: ruleOf(data, defaults), problems };
}

/** The fields that are right by themselves, so that what is wrong between them is told in the same breath. */
function validFields(yaml: YamlText): Partial<RuleFields> {
  const given = typeof yaml.value === 'object' && yaml.value !== null ? (yaml.value as Record<string, unknown>) : {};
  const fields: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(ruleSchema.shape)) {
    const result = schema.safeParse(given[name]);
    if (result.success) fields[name] = result.data;
  }
  return fields as Partial<RuleFields>;
}

function faultsBetween(fields: Partial<RuleFields>, value: unknown): Fault[] {
  const faults: Fault[] = [];
  const given = (name: string) => typeof value === 'object' && value !== null && Object.hasOwn(value, name);
  if (fields.status === 'retired' && !given('reason')) {
    faults.push({ path: ['status'], text: 'expected a `reason` beside status: retired, found none' });
  }
  if (fields.status === 'dormant' && fields.needs?.length === 0) {
    faults.push({ path: ['status'], text: 'expected `needs` beside status: dormant (what it waits for), found none' });
  }
  if (!given('window') && fields.detect?.some((detector) => detector.kind !== 'silence')) {
    faults.push({ path: ['window'], text: 'expected a duration such as 10m, found nothing' });
  }
  if (fields.measure && fields.window) faults.push(...faultsOfPanes(fields.measure, fields.window));
  if (fields.early && fields.measure && fields.detect) faults.push(...faultsOfEarly(fields.measure.kind, fields.detect));
  if (fields.finding?.summary !== undefined) faults.push(...faultsOfSummary(fields.finding.summary, fields.key ?? []));
  return faults;
}

/** What a dense distinct count notes of each register has room for so many panes and no more. */
function faultsOfPanes(measure: MeasureSpec, { sizeMs, slideMs }: { readonly sizeMs: number; readonly slideMs: number }): Fault[] {
  if (measure.kind !== 'distinct' || measure.precision === undefined) return [];
  const most = maxPanes(measure.precision);
  if (sizeMs / slideMs <= most) return [];
  const text = `expected at most ${most} slides in the window of a distinct count with precision ${measure.precision}, found ${sizeMs / slideMs}`;
  return [{ path: ['window', 'slide'], text }];
}

function faultsOfEarly(kind: string, detectors: readonly { readonly kind: string }[]): Fault[] {
  const monotone = ['count', 'distinct', 'sum', 'max'];
  const faults: Fault[] = [];
  if (!monotone.includes(kind)) {
    faults.push({
      path: ['early'],
      text: `expected one of the measures ${monotone.join(', ')} (they only rise) with early: true, found ${kind}`,
    });
  }
  if (!detectors.some((detector) => detector.kind === 'above')) {
    faults.push({ path: ['early'], text: 'expected a detector `above` with early: true, found none' });
  }
  return faults;
}

/** A field of the key may be named too, if it has no function: `{client.address}`. */
function faultsOfSummary(summary: string, key: readonly KeyPart[]): Fault[] {
  const plain = key.filter((part) => part.transform === 'none' && /^[a-z_.]+$/.test(part.field)).map((part) => part.field);
  const names = [...Object.keys(summaryFields), ...plain];
  return [...summary.matchAll(/\{([^{}]*)\}/g)]
    .filter(([, name]) => !names.includes(name))
    .map(([, name]) => ({
      path: ['finding', 'summary'],
      text: `expected only {${names.join('} {')}} in braces, found "{${name}}"${didYouMean(name, names)}`,
    }));
}

function ruleOf(fields: RuleFields, defaults: RuleDefaults): Rule {
  const detect = fields.detect.filter((detector): detector is DetectorSpec => !isUnbuilt(detector));
  const silences = detect.map((detector) => (detector.kind === 'silence' ? detector.afterMs : 0));
  const { sizeMs, slideMs, latenessMs } = fields.window ?? windowOf(Math.max(...silences));
  const window = { sizeMs, slideMs, latenessMs: latenessMs ?? defaults.latenessMs ?? defaultLatenessMs };
  const { id, title, category, severity, status, reason, from, where, key, measure, early } = fields;
  return {
    id,
    title,
    category,
    severity,
    status,
    ...(reason === undefined ? {} : { reason }),
    needs: fields.needs.map((need) => ({ dataset: need.dataset, forMs: need.for })),
    from,
    where,
    key,
    measure,
    window,
    detect,
    early,
    finding: { summary: fields.finding.summary ?? title, muteMs: fields.finding.mute },
  };
}
