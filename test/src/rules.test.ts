import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RuleOverride } from '../../src/config.ts';
import { UsageError } from '../../src/errors.ts';
import { builtinRulesFolder, findRules, loadRules } from '../../src/rules.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'streamgauge-rules-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function write(path: string, id: string, detect = '{ above: 20, for: 5m }', more = ''): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), `id: ${id}\ntitle: T\nseverity: high\nkey: a\nmeasure: count\nwindow: 1m\ndetect: ${detect}\n${more}`);
}

async function problemsOf(work: Promise<unknown>): Promise<string[]> {
  const error = await work.then(
    () => expect.fail('it was taken'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(UsageError);
  return (error as UsageError).problems.map((problem) => problem.replaceAll(`${dir}/`, '').replaceAll(dir, '.'));
}

test('rules come from folders of folders, folders of files, one rule’s folder, and one file, in order', async () => {
  await write('many/b/rule.yaml', 'b');
  await write('many/a/rule.yaml', 'a');
  await write('many/c.yml', 'of_a_file');
  await write('one/rule.yaml', 'one');
  await write('two.yaml', 'two');
  await mkdir(join(dir, 'many/.git'));
  const rules = await loadRules([join(dir, 'many'), join(dir, 'one'), join(dir, 'two.yaml')]);
  expect(rules.map(({ id }) => id)).toEqual(['a', 'b', 'of_a_file', 'one', 'two']);
  const found = await findRules([join(dir, 'many')]);
  expect(found.map(({ folder }) => folder)).toEqual([join(dir, 'many/a'), join(dir, 'many/b'), join(dir, 'many')]);
});

test('the rules that ship are found from the package', async () => {
  const rules = await findRules(['builtin']);
  expect(rules.length).toBeGreaterThan(0);
  for (const { folder } of rules) expect(dirname(folder)).toBe(builtinRulesFolder());
});

test('every mistake of every file is told at once', async () => {
  await write('r/a/rule.yaml', 'b');
  await write('r/c/rule.yaml', 'c', '{ abov: 1 }');
  await write('r/d.yaml', 'b');
  await mkdir(join(dir, 'r/empty'));
  await mkdir(join(dir, 'none'));
  expect(await problemsOf(loadRules([join(dir, 'r'), join(dir, 'none'), join(dir, 'nowhere')], { x: { at: 'c.yaml:3' } }))).toEqual(
    [
      'r/empty: expected a rule.yaml in it, found none',
      'r/a/rule.yaml:1: id: expected the name of the rule\'s folder, "a", found "b"',
      expect.stringContaining('r/c/rule.yaml:7: detect.abov: expected one of'),
      'r/d.yaml:1: id: expected every id once, found "b" in r/a/rule.yaml too',
      'none: expected rules (<id>/rule.yaml, or *.yaml), found none',
      'nowhere: expected a folder of rules, found nothing there',
      'c.yaml:3: overrides.x: expected the id of a rule, found "x"; did you mean "b"?',
    ].map((problem) =>
      typeof problem === 'string' && problem.startsWith('c.yaml')
        ? expect.stringContaining('c.yaml:3: overrides.x: expected the id of a rule, found "x"')
        : problem,
    ),
  );
});

async function overridden(override: RuleOverride, detect?: string, more?: string) {
  await write('r/rule.yaml', 'r', detect, more);
  const [rule] = await loadRules([join(dir, 'r')], { r: override });
  return rule;
}

test('an override changes severity, mute and status', async () => {
  expect(await overridden({ severity: 'low', muteMs: 5, status: 'shadow' })).toMatchObject({
    severity: 'low',
    finding: { muteMs: 5 },
    status: 'shadow',
  });
  expect(await overridden({ status: 'retired' })).toMatchObject({ status: 'retired', reason: 'retired by the config' });
});

test('an override of one detector changes its threshold and keeps how long it must hold', async () => {
  const one = { kind: 'above', threshold: 80, forMs: 0 } as const;
  expect((await overridden({ detect: { one, forGiven: false } })).detect).toEqual([{ ...one, forMs: 300_000 }]);
  expect((await overridden({ detect: { one, forGiven: true } })).detect).toEqual([one]);
});

test('an override of one detector leaves the others', async () => {
  const detect = '[{ above: 20 }, { silence: { after: 5m, during: { days: mon } } }]';
  const one = { kind: 'silence', afterMs: 60_000 } as const;
  const [above, silence] = (await overridden({ detect: { one, forGiven: false } }, detect)).detect;
  expect(above).toMatchObject({ threshold: 20 });
  expect(silence).toMatchObject({ afterMs: 60_000, during: { days: [1] } });
});

test('a list takes the place of all detectors', async () => {
  const all = [{ kind: 'below', threshold: 1, forMs: 0 }] as const;
  expect((await overridden({ detect: { all } })).detect).toEqual(all);
});

test('an override that fits no rule or no detector of it is told', async () => {
  await write('r/rule.yaml', 'r', '[{ above: 20 }, { above: 30, for: 1m }]', 'early: true');
  const load = (overrides: Record<string, RuleOverride>) => problemsOf(loadRules([join(dir, 'r')], overrides));
  expect(await load({ r: { detect: { one: { kind: 'below', threshold: 1, forMs: 0 }, forGiven: false }, at: 'c.yaml:9' } })).toEqual([
    'c.yaml:9: overrides.r.detect: expected a detector of a kind the rule has once (it has above, above), or a list that takes the place of all, found below',
  ]);
  expect(await load({ r: { detect: { all: [{ kind: 'below', threshold: 1, forMs: 0 }] } } })).toEqual([
    'overrides.r.detect: expected a detector `above`, because the rule says early: true, found none',
  ]);
});

test('a lateness of the deployment reaches rules that say none', async () => {
  await write('r/rule.yaml', 'r');
  expect((await loadRules([join(dir, 'r')], {}, { latenessMs: 7 }))[0].window.latenessMs).toBe(7);
});
