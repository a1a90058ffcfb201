import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Rule } from '../../processors/rule.ts';
import { loadConfig, type SourceConfig } from '../../src/config.ts';
import { LiveCredentials } from '../../src/live-credentials.ts';
import { Reload } from '../../src/reload.ts';
import { loadRules } from '../../src/rules.ts';
import { Credentials } from '../../src/source/drain/drain-credentials.ts';
import { manyRequests, writeRule } from '../support/many-requests.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Collects what is logged, and lets a test wait for it. */
class Log {
  readonly lines: { level: string; text: string; details: object }[] = [];
  private wake: () => void = () => {};
  private readonly add = (level: string) => (details: object, text: string) => {
    this.lines.push({ level, text, details });
    this.wake();
  };
  readonly info = this.add('info') as never;
  readonly warn = this.add('warn') as never;
  readonly error = this.add('error') as never;

  /** The next line that was logged under this text and not asked for yet. */
  async next(text: string): Promise<{ level: string; text: string; details: object }> {
    for (;;) {
      const at = this.lines.findIndex((line, i) => i >= this.seen && line.text === text);
      if (at !== -1) {
        this.seen = at + 1;
        return this.lines[at];
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  private seen = 0;
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

async function start(yaml: string, files: Readonly<Record<string, string>>, rule?: string) {
  const dir = await tempDir();
  const file = join(dir, 'streamgauge.yaml');
  await writeFile(file, yaml);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  if (rule !== undefined) await writeRule(join(dir, 'rules'), rule);
  return { dir, file, ...(await watched(file)) };
}

async function watched(file: string) {
  const config = await loadConfig(file, {});
  const credentials = new LiveCredentials(config.sources);
  const log = new Log();
  const taken: (readonly Rule[])[] = [];
  const reload = new Reload({
    config,
    credentials,
    reread: () => loadConfig(file, {}),
    rules: await loadRules(config.rules, config.overrides),
    replaceRules: async (rules) => {
      taken.push(rules);
      return ['some_rule'];
    },
    log,
    everyMs: 20,
  });
  reload.start();
  onTestFinished(() => reload.stop());
  return { log, reload, taken, credentials, drain: new Credentials(credentials.of('/drain/logplex')) };
}

const yaml = 'sources: [{ drain: { credentials: ["app:$' + '{file:secret}"] } }]\n';

test('a password that is changed in its file is taken, and the old one is not any more', async () => {
  const { dir, log, drain } = await start(yaml, { secret: 'first\n' });
  expect([drain.allow(basic('app:first')), drain.allow(basic('app:second'))]).toEqual([true, false]);
  await writeFile(join(dir, 'next'), 'second\n');
  await rename(join(dir, 'next'), join(dir, 'secret'));
  expect(await log.next('credentials have changed')).toMatchObject({ level: 'info', details: { drains: ['/drain/logplex'] } });
  expect([drain.allow(basic('app:first')), drain.allow(basic('app:second'))]).toEqual([false, true]);
  expect(JSON.stringify(log.lines)).not.toContain('second');
});

test('a file that the config names since a SIGHUP is watched, one that it names no more is not', async () => {
  const { dir, file, log, drain } = await start(yaml, { secret: 'first\n', other: 'second\n' });
  await writeFile(file, yaml.replace('file:secret', 'file:other'));
  process.emit('SIGHUP');
  await log.next('credentials have changed');
  await writeFile(join(dir, 'secret'), 'nobody asks\n');
  await writeFile(join(dir, 'other'), 'third\n');
  await log.next('credentials have changed');
  expect([drain.allow(basic('app:second')), drain.allow(basic('app:third'))]).toEqual([false, true]);
  expect(log.lines.filter(({ text }) => text === 'no credentials have changed')).toEqual([]);
});

test('a mounted secret is taken when the link above it is moved', async () => {
  const dir = await tempDir();
  for (const [folder, text] of [
    ['v1', 'old'],
    ['v2', 'new'],
  ]) {
    await mkdir(join(dir, folder));
    await writeFile(join(dir, folder, 'secret'), text);
  }
  await symlink('v1', join(dir, 'data'));
  const file = join(dir, 'c.yaml');
  await writeFile(file, yaml.replace('file:secret', 'file:data/secret'));
  const { log, credentials } = await watched(file);
  await symlink('v2', join(dir, 'data-next'));
  await rename(join(dir, 'data-next'), join(dir, 'data'));
  await log.next('credentials have changed');
  expect(credentials.of('/drain/logplex')()).toEqual(['app:new']);
});

test('SIGHUP reads the config again; one that is not well changes nothing and is told without its secrets', async () => {
  const { file, log, reload, drain } = await start('sources: [{ drain: { credentials: ["app:one"] } }]', {});
  await writeFile(file, 'sources: [{ drain: { credentials: ["app:one", "app:two"] } }]');
  process.emit('SIGHUP');
  await log.next('credentials have changed');
  expect([drain.allow(basic('app:one')), drain.allow(basic('app:two'))]).toEqual([true, true]);
  await writeFile(file, 'sources: [{ drain: { credentials: ["TOPSECRET"] } }]');
  process.emit('SIGHUP');
  expect(await log.next('the config cannot be read again; rules and credentials stay what they are')).toMatchObject({
    level: 'error',
    details: { problems: [expect.stringContaining('expected user:password')] },
  });
  expect(reload.reasons()).toMatchObject([
    { reason: 'reload_failed', severity: 'degraded', detail: expect.stringMatching(/streamgauge\.yaml:1: .*expected user:password/) },
  ]);
  expect(JSON.stringify([log.lines, reload.reasons()])).not.toContain('TOPSECRET');
  expect(drain.allow(basic('app:two'))).toBe(true);
  expect(await readFile(file, 'utf8')).toContain('TOPSECRET');
});

test('a drain that had credentials is not opened to everybody by a change of the config', async () => {
  const { file, log, drain } = await start('sources: [{ drain: { credentials: ["app:one"] } }]', {});
  await writeFile(file, 'sources: [{ drain: { credentials: [] } }]');
  process.emit('SIGHUP');
  expect(
    await log.next('the config has no credentials for it any more; it keeps those it had until the process is started anew'),
  ).toMatchObject({ level: 'warn', details: { drain: '/drain/logplex' } });
  expect([drain.open, drain.allow(undefined), drain.allow(basic('app:one'))]).toEqual([false, false, true]);
});

test('SIGHUP reads the rules again, says what became of which, and keeps the old ones while there is a mistake in the new ones', async () => {
  const { dir, file, log, reload, taken } = await start('rules: [./rules]\nsources: [{ drain: {} }]\n', {}, manyRequests);
  process.emit('SIGHUP');
  await log.next('no rule has changed');
  expect(taken).toEqual([]);

  await writeRule(join(dir, 'rules'), manyRequests.replace('above: 4', 'abov: 4'));
  await writeRule(join(dir, 'rules'), manyRequests.replace('many_requests', 'more').replace('severity: high', 'severity: huge'));
  process.emit('SIGHUP');
  const { details } = await log.next('the rules cannot be read again; they stay what they are');
  const mistakes = [expect.stringMatching(/many_requests\/rule\.yaml:9: .*abov/), expect.stringMatching(/more\/rule\.yaml:4: .*huge/)];
  expect(details).toMatchObject({ problems: mistakes });
  expect(reload.reasons()).toMatchObject([
    { reason: 'reload_failed', detail: expect.stringMatching(/abov.*huge.*the rules stay what they were/) },
  ]);
  expect(taken).toEqual([]);

  await writeRule(join(dir, 'rules'), manyRequests.replace('above: 4', 'above: 5'));
  await writeRule(join(dir, 'rules'), manyRequests.replace('many_requests', 'more'));
  await writeFile(file, 'rules: [./rules]\nsources: [{ drain: {} }]\noverrides: { more: { severity: low } }\nmemory: 99MB\n');
  process.emit('SIGHUP');
  expect(await log.next('rules have changed')).toMatchObject({
    details: { added: ['more'], removed: [], changed: ['many_requests'], beginAnew: ['some_rule'] },
  });
  expect(await log.next('the config has changed in parts that are only read at the start: start the process anew')).toMatchObject({
    level: 'warn',
    details: { parts: ['memoryBytes'] },
  });
  expect(taken.map((rules) => rules.map(({ id, severity }) => [id, severity]))).toEqual([
    [
      ['many_requests', 'high'],
      ['more', 'low'],
    ],
  ]);
  expect(reload.reasons()).toEqual([]);
});

test('drains are told apart by their paths, and one that is new is not one that runs', () => {
  const drain = (path: string, ...pairs: string[]) =>
    ({
      kind: 'drain',
      path,
      credentials: pairs.map((pair) => ({ reveal: () => pair })),
      dataset: 'x',
      to: 'engine',
    }) as unknown as SourceConfig;
  const credentials = new LiveCredentials([drain('/a', 'u:1'), drain('/b', 'u:2')]);
  expect(credentials.replace([drain('/b', 'u:3'), drain('/a', 'u:1'), drain('/c', 'u:4')])).toEqual({ changed: ['/b'], refused: [] });
  expect([credentials.of('/a')(), credentials.of('/b')()]).toEqual([['u:1'], ['u:3']]);
  expect(() => credentials.of('/c')).toThrow('no drain at /c');
});
