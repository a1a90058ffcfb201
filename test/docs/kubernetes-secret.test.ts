/** The Secret of docs/deploy/kubernetes: as the README has it made, and how the drains' password in it is changed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { LiveCredentials } from '../../src/live-credentials.ts';
import { Credentials } from '../../src/source/drain/drain-credentials.ts';
import { root } from '../support/build.ts';

const folder = join(root, 'docs', 'deploy', 'kubernetes');
const read = (path: string) => readFileSync(join(folder, path), 'utf8');

test('every item of a Secret that a pod mounts is one that the README has made', () => {
  const said = readFileSync(join(folder, '..', 'README.md'), 'utf8');
  const made = [...said.matchAll(/--from-(?:literal|file)=([\w.-]+)/g)].map(([, key]) => key);
  const mounted = ['engine', 'drains'].flatMap((name) =>
    [...read(`${name}/deployment.yaml`).matchAll(/- \{ key: ([\w.-]+), path: \1 \}/g)].map(([, key]) => key),
  );
  expect([...new Set(mounted)].sort()).toEqual(made.sort());
});

test('the password of the drains is changed without a gap, in the README\u2019s order, whichever pod hears of it first', () => {
  const text = read('drains/config/streamgauge.yaml');
  /** Whether a drain with this Secret takes the pair, on each of its paths. */
  const takes = (secret: Record<string, string>, pair: string): boolean[] => {
    const filled = text.replaceAll(/\$\{file:[^}]*\/([\w-]+)\}/g, (_, item: string) => secret[item] ?? 'a-secret');
    const given = new LiveCredentials(parseConfig(filled, join(folder, 'streamgauge.yaml'), {}).sources);
    const header = `Basic ${Buffer.from(pair).toString('base64')}`;
    return ['/drain/logplex', '/v1/logs', '/drain/json'].map((path) => new Credentials(given.of(path)).allow(header));
  };
  const [before, after] = ['heroku:0123456789abcdef', 'heroku:fedcba9876543210'];
  const secrets = [
    { 'drain-credentials': before, 'drain-credentials-old': before },
    { 'drain-credentials': after, 'drain-credentials-old': before },
    { 'drain-credentials': after, 'drain-credentials-old': after },
  ];
  const all = [true, true, true];
  const none = [false, false, false];
  expect(secrets.map((secret) => takes(secret, before))).toEqual([all, all, none]);
  expect(secrets.map((secret) => takes(secret, after))).toEqual([none, all, all]);
});
