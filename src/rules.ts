/** Finds and reads rules: folders of `<id>/rule.yaml`, single rules' folders, or folders of `*.yaml` files. */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import type { DetectorSpec, Rule } from '../processors/rule.ts';
import { didYouMean } from '../schemas/nearest.ts';
import { parseRule, type RuleDefaults } from '../schemas/rule.ts';
import { isUnbuilt } from '../schemas/unbuilt.ts';
import type { RuleOverride } from './config.ts';
import { UsageError } from './errors.ts';
import { packageRoot } from './package-info.ts';

export interface FoundRule {
  readonly rule: Rule;
  /** Where its `records.jsonl` and `findings.jsonl` would be. */
  readonly folder: string;
  readonly file: string;
}

type Overrides = Readonly<Record<string, RuleOverride>>;

/** The rules of some folders, in the folders' order and by name within one. Throws `UsageError` with every mistake of every file. */
export async function loadRules(folders: readonly string[], overrides: Overrides = {}, defaults: RuleDefaults = {}): Promise<Rule[]> {
  const { found, problems } = await readRules(folders, defaults);
  const rules = applyOverrides(
    found.map(({ rule }) => rule),
    overrides,
    problems,
  );
  if (problems.length > 0) throw new UsageError(problems);
  return rules;
}

/** The same without overrides, each rule with its place: for `check`. */
export async function findRules(folders: readonly string[], defaults: RuleDefaults = {}): Promise<FoundRule[]> {
  const { found, problems } = await readRules(folders, defaults);
  if (problems.length > 0) throw new UsageError(problems);
  return found;
}

/** The folder of the rules that ship, from the sources or from `dist`: both lie below the package. */
export function builtinRulesFolder(): string {
  return join(packageRoot(), 'processors', 'rules');
}

async function readRules(folders: readonly string[], defaults: RuleDefaults): Promise<{ found: FoundRule[]; problems: string[] }> {
  const found: FoundRule[] = [];
  const problems: string[] = [];
  const places = new Map<string, string>();
  for (const given of folders) {
    const folder = given === 'builtin' ? builtinRulesFolder() : given;
    for (const file of await ruleFiles(folder, problems)) {
      const shown = shownPath(file);
      const { rule, problems: mistakes } = parseRule(await readFile(file, 'utf8'), shown, defaults);
      problems.push(...mistakes);
      if (rule === undefined) continue;
      const own = basename(dirname(file));
      if (basename(file) === 'rule.yaml' && rule.id !== own) {
        problems.push(`${shown}:1: id: expected the name of the rule's folder, "${own}", found "${rule.id}"`);
      }
      const other = places.get(rule.id);
      if (other !== undefined) problems.push(`${shown}:1: id: expected every id once, found "${rule.id}" in ${other} too`);
      places.set(rule.id, shown);
      found.push({ rule, folder: dirname(file), file });
    }
  }
  return { found, problems };
}

/** Rule files of one folder, by name; a path of a file is that file. */
async function ruleFiles(folder: string, problems: string[]): Promise<string[]> {
  const kind = await stat(folder).catch(() => undefined);
  if (kind === undefined) {
    problems.push(`${folder}: expected a folder of rules, found nothing there`);
    return [];
  }
  if (kind.isFile()) return [folder];
  if (existsSync(join(folder, 'rule.yaml'))) return [join(folder, 'rule.yaml')];
  const files: string[] = [];
  const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    const isFolder = entry.isSymbolicLink() ? (await stat(path).catch(() => undefined))?.isDirectory() === true : entry.isDirectory();
    if (!isFolder) {
      if (/\.ya?ml$/.test(entry.name)) files.push(path);
    } else if (existsSync(join(path, 'rule.yaml'))) files.push(join(path, 'rule.yaml'));
    else problems.push(`${shownPath(path)}: expected a rule.yaml in it, found none`);
  }
  if (files.length === 0) problems.push(`${shownPath(folder)}: expected rules (<id>/rule.yaml, or *.yaml), found none`);
  return files;
}

/** As somebody in the working folder would write it. */
function shownPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path === '' || path.startsWith('..') ? file : path;
}

function applyOverrides(rules: readonly Rule[], overrides: Overrides, problems: string[]): Rule[] {
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  for (const [id, override] of Object.entries(overrides)) {
    const rule = byId.get(id);
    const problem = (path: string, text: string) =>
      problems.push(`${override.at === undefined ? '' : `${override.at}: `}overrides.${id}${path}: ${text}`);
    if (rule === undefined) problem('', `expected the id of a rule, found "${id}"${didYouMean(id, byId.keys())}`);
    else byId.set(id, overridden(rule, override, problem));
  }
  return rules.map((rule) => byId.get(rule.id) ?? rule);
}

function overridden(rule: Rule, override: RuleOverride, problem: (path: string, text: string) => void): Rule {
  const { severity = rule.severity, status = rule.status, muteMs = rule.finding.muteMs, detect } = override;
  const detectors = detect === undefined ? rule.detect : changedDetectors(rule, detect, problem);
  if (rule.early && !detectors.some(({ kind }) => kind === 'above')) {
    problem('.detect', 'expected a detector `above`, because the rule says early: true, found none');
  }
  const reason = status === 'retired' ? (rule.reason ?? 'retired by the config') : rule.reason;
  return {
    ...rule,
    severity,
    status,
    ...(reason === undefined ? {} : { reason }),
    detect: detectors,
    finding: { ...rule.finding, muteMs },
  };
}

function changedDetectors(
  rule: Rule,
  detect: NonNullable<RuleOverride['detect']>,
  problem: (path: string, text: string) => void,
): readonly DetectorSpec[] {
  // The config's own check has refused those that are not built.
  if ('all' in detect) return detect.all.filter((detector) => !isUnbuilt(detector));
  const { one, forGiven } = detect;
  if (isUnbuilt(one)) return rule.detect;
  const alike = rule.detect.filter(({ kind }) => kind === one.kind);
  if (alike.length !== 1) {
    const has = rule.detect.map(({ kind }) => kind).join(', ');
    problem(
      '.detect',
      `expected a detector of a kind the rule has once (it has ${has}), or a list that takes the place of all, found ${one.kind}`,
    );
    return rule.detect;
  }
  return rule.detect.map((detector) => {
    if (detector !== alike[0]) return detector;
    if (one.kind === 'silence') return detector.kind === 'silence' ? { ...one, during: one.during ?? detector.during } : detector;
    return detector.kind === 'silence' ? detector : { ...one, forMs: forGiven ? one.forMs : detector.forMs };
  });
}
