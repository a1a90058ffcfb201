import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig, type SourceConfig } from '../../src/config.ts';
import { keepCredentialsFresh, LiveCredentials } from '../../src/live-credentials.ts';
import { Credentials } from '../../src/source/drain/drain-credentials.ts';
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

  async has(count: number): Promise<void> {
    while (this.lines.length < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

async function start(yaml: string, files: Readonly<Record<string, string>>) {
  const dir = await tempDir();
  const file = join(dir, 'streamgauge.yaml');
  await writeFile(file, yaml);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const config = await loadConfig(file, {});
  const credentials = new LiveCredentials(config.sources);
  const log = new Log();
  onTestFinished(keepCredentialsFresh({ config, credentials, reread: () => loadConfig(file, {}), log, everyMs: 20 }));
  return { dir, file, config, log, drain: new Credentials(credentials.of('/drain/logplex')) };
}

const yaml = 'sources: [{ drain: { credentials: ["app:$' + '{file:secret}"] } }]\n';

test('a password that is changed in its file is taken, and the old one is not any more', async () => {
  const { dir, log, drain } = await start(yaml, { secret: 'first\n' });
  expect([drain.allow(basic('app:first')), drain.allow(basic('app:second'))]).toEqual([true, false]);
  await writeFile(join(dir, 'next'), 'second\n');
  await rename(join(dir, 'next'), join(dir, 'secret'));
  await log.has(1);
  expect(log.lines).toMatchObject([{ level: 'info', text: 'credentials have changed', details: { drains: ['/drain/logplex'] } }]);
  expect([drain.allow(basic('app:first')), drain.allow(basic('app:second'))]).toEqual([false, true]);
  expect(JSON.stringify(log.lines)).not.toContain('second');
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
  const config = await loadConfig(file, {});
  const credentials = new LiveCredentials(config.sources);
  const log = new Log();
  onTestFinished(keepCredentialsFresh({ config, credentials, reread: () => loadConfig(file, {}), log, everyMs: 20 }));
  await symlink('v2', join(dir, 'data-next'));
  await rename(join(dir, 'data-next'), join(dir, 'data'));
  await log.has(1);
  expect(credentials.of('/drain/logplex')()).toEqual(['app:new']);
});

test('SIGHUP reads the config again; one that is not well changes nothing and is told without its secrets', async () => {
  const { file, log, drain } = await start('sources: [{ drain: { credentials: ["app:one"] } }]', {});
  await writeFile(file, 'sources: [{ drain: { credentials: ["app:one", "app:two"] } }]');
  process.emit('SIGHUP');
  await log.has(1);
  expect([drain.allow(basic('app:one')), drain.allow(basic('app:two'))]).toEqual([true, true]);
  await writeFile(file, 'sources: [{ drain: { credentials: ["TOPSECRET"] } }]');
  process.emit('SIGHUP');
  await log.has(2);
  expect(log.lines[1]).toMatchObject({ level: 'error', details: { problems: [expect.stringContaining('expected user:password')] } });
  expect(JSON.stringify(log.lines)).not.toContain('TOPSECRET');
  expect(drain.allow(basic('app:two'))).toBe(true);
  expect(await readFile(file, 'utf8')).toContain('TOPSECRET');
});

test('a drain that had credentials is not opened to everybody by a change of the config', async () => {
  const { file, log, drain } = await start('sources: [{ drain: { credentials: ["app:one"] } }]', {});
  await writeFile(file, 'sources: [{ drain: { credentials: [] } }]');
  process.emit('SIGHUP');
  await log.has(2);
  expect(log.lines[1]).toMatchObject({ level: 'warn', details: { drain: '/drain/logplex' } });
  expect([drain.open, drain.allow(undefined), drain.allow(basic('app:one'))]).toEqual([false, false, true]);
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
