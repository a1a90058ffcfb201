// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are what is tested
/** `backtest` as a user meets it: where input comes from, where findings and scores go, and what hostile input does to both. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { builtCommand } from '../support/build.ts';
import { command } from '../support/command.ts';
import { findingsOf, manyRequests, requests, writeRule } from '../support/many-requests.ts';
import { freePort } from '../support/port.ts';
import { tempDir } from '../support/temp-dir.ts';

beforeAll(() => void builtCommand());

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const hourMs = 3_600_000;
/** One address in the first hour, another in the second. */
const traffic = [...requests('192.0.2.1', baseMs, 30), ...requests('192.0.2.2', baseMs + hourMs, 30)];

async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(cwd, name), content);
  return cwd;
}

function openings(ndjson: string): string[] {
  return findingsOf(ndjson)
    .filter(({ activity }) => activity === 'Create')
    .map(({ key }) => key['client.address']);
}

const withRules = ['backtest', '--rules', 'rules'];

describe('backtest', () => {
  test('writes findings to standard output, scores to a file, and a summary for people to standard error', async () => {
    const cwd = await folderWith({ 'app.log': `${traffic.join('\n')}\n` });
    const { code, stdout, stderr } = await command([...withRules, '--from', 'app.log', '--scores', 'scores.jsonl'], { cwd });
    expect(stderr).toMatch(/^60 records, 60 events in /m);
    expect(stderr).toMatch(/^2 findings opened\n {2}2026-01-05T12:00:05 +high +many_requests: 192\.0\.2\.1 asked 30 times in 1m$/m);
    expect(code).toBe(0);
    expect(openings(stdout)).toEqual(['192.0.2.1', '192.0.2.2']);
    const scores = (await readFile(join(cwd, 'scores.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(stderr).toContain(`${scores.length} scores written`);
    // 30 events in three seconds are in one pane; a minute has twelve panes.
    expect(scores.slice(0, 12)).toEqual(
      Array.from({ length: 12 }, (_, i) => ({
        rule: 'many_requests',
        key: { 'client.address': '192.0.2.1' },
        start: baseMs - 55_000 + i * 5000,
        end: baseMs + 5000 + i * 5000,
        value: 30,
        threshold: 4,
        fired: true,
      })),
    );
  });

  test('finds the same in a file, a gzip file, and standard input', async () => {
    const text = `${traffic.join('\n')}\n`;
    const cwd = await folderWith({ 'app.log': text, 'packed.gz': gzipSync(text) });
    const plain = findingsOf((await command([...withRules, '--from', 'app.log'], { cwd })).stdout);
    const packed = findingsOf((await command([...withRules, '--from', 'packed.gz'], { cwd })).stdout);
    const piped = findingsOf((await command([...withRules, '--from', '-'], { cwd, input: text })).stdout);
    // The second address's episode is still open where the input ends.
    expect(plain.map(({ activity }) => activity)).toEqual(['Create', 'Close', 'Create']);
    // Which records are shown as samples goes by the hash of where they lie.
    const withoutSamples = (line: string) => line.replace(/"samples":.*$/, '');
    for (const other of [packed, piped])
      expect(other.map(({ line }) => withoutSamples(line))).toEqual(plain.map(({ line }) => withoutSamples(line)));
  });

  test('--out names a folder for the findings; those that lie there already are left alone', async () => {
    const cwd = await folderWith({ 'app.log': traffic.join('\n') });
    const backtest = () => command([...withRules, '--from', 'app.log', '--out', 'result/new'], { cwd });
    const { code, stdout } = await backtest();
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const findings = await readFile(join(cwd, 'result/new/findings.jsonl'), 'utf8');
    expect(openings(findings)).toEqual(['192.0.2.1', '192.0.2.2']);
    const again = await backtest();
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/--out result\/new: expected a folder without findings\.jsonl, found one/);
    expect(await readFile(join(cwd, 'result/new/findings.jsonl'), 'utf8')).toBe(findings);
  });

  test('--since and --until take a part of the time', async () => {
    const cwd = await folderWith({ 'app.log': traffic.join('\n') });
    const of = async (...span: string[]) => openings((await command([...withRules, '--from', 'app.log', ...span], { cwd })).stdout);
    expect(await of('--since', '2026-01-05T12:30:00Z')).toEqual(['192.0.2.2']);
    expect(await of('--until', '2026-01-05T12:30:00Z')).toEqual(['192.0.2.1']);
    expect(await of('--since', '2026-01-05T12:10:00Z', '--until', '2026-01-05T13:00:00Z')).toEqual([]);
  });

  test.each([[[]], [['--out', 'result', '--scores', '-']]])(
    'ends well when its reader has seen enough (%j)',
    { timeout: 60_000 },
    async (more) => {
      // Far more than a pipe holds.
      const lines = Array.from({ length: 4000 }, (_, i) => requests(`192.0.${i >> 8}.${i & 255}`, baseMs + i * 10, 6, 0).join('\n'));
      const cwd = await folderWith({ 'app.log': lines.join('\n') });
      const piped = `set -o pipefail; "$0" "$@" | head -1`;
      const args = [process.execPath, builtCommand(), ...withRules, '--from', 'app.log', ...more];
      const result = await new Promise<{ failure: unknown; stdout: string; stderr: string }>((resolve) => {
        execFile('bash', ['-c', piped, ...args], { cwd }, (failure, stdout, stderr) => resolve({ failure, stdout, stderr }));
      });
      expect(result.stderr).not.toMatch(/EPIPE|EAGAIN|\n\s+at /);
      expect(result.failure).toBeNull();
      expect(JSON.parse(result.stdout)).toBeTypeOf('object');
    },
  );

  test('loses no score to a reader that is slow', { timeout: 60_000 }, async () => {
    const lines = Array.from({ length: 4000 }, (_, i) => requests(`192.0.${i >> 8}.${i & 255}`, baseMs + i * 10, 6, 0).join('\n'));
    const cwd = await folderWith({ 'app.log': lines.join('\n') });
    const args = [process.execPath, builtCommand(), ...withRules, '--from', 'app.log', '--out', 'result', '--scores', '-'];
    const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve, reject) => {
      const slow = 'set -o pipefail; "$0" "$@" | { sleep 3; wc -l; }';
      execFile('bash', ['-c', slow, ...args], { cwd }, (failure, out, err) =>
        failure ? reject(failure) : resolve({ stdout: out, stderr: err }),
      );
    });
    expect(Number(stdout)).toBeGreaterThan(4000);
    expect(stderr).toContain(`${Number(stdout)} scores written`);
  });

  test('says that scores cannot be written, and where', async () => {
    const cwd = await folderWith({ 'app.log': traffic.join('\n') });
    const { code, stderr } = await command([...withRules, '--from', 'app.log', '--scores', 'no/such/folder.jsonl'], { cwd });
    expect(stderr).toMatch(/^scores cannot be written to no\/such\/folder\.jsonl: ENOENT.*; name another place with --scores\n$/);
    expect(code).toBe(3);
  });

  test('says within its bound that nobody answers, and what to try', { timeout: 60_000 }, async () => {
    const broker = `127.0.0.1:${await freePort()}`;
    const startMs = performance.now();
    const { code, stdout, stderr } = await command(['backtest', '--from', 'kafka:logs', '--brokers', broker], { cwd: await tempDir() });
    expect(stderr).toMatch(new RegExp(`^Kafka at ${broker}: could not .*ECONNREFUSED.*check .brokers. in the config.*\\n$`));
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(performance.now() - startMs).toBeLessThan(40_000);
  });
});

describe('log content made to deceive', () => {
  test('stays one line of JSON as a key, is not filled in as a template, and is no control character anywhere', async () => {
    const keys = [
      '\u001b]0;owned\u0007\u001b[2J',
      'line\nbreak\r\n{"forged":true}',
      '{value} {key} ${HOME}',
      '</script><b>x',
      '=cmd|calc!A1,"',
      '\u202etxt',
    ];
    const lines = keys.flatMap((key, i) => requests(key, baseMs + i * 1000, 6));
    const cwd = await folderWith({ 'app.log': lines.join('\n').replaceAll('client.address', 'who') });
    // Not an address, which a decoder would trim.
    await writeRule(join(cwd, 'rules'), manyRequests.replace('client.address', 'who'));
    const { code, stdout, stderr } = await command([...withRules, '--from', 'app.log'], { cwd });
    expect(code).toBe(0);
    const opened = findingsOf(stdout).filter(({ activity }) => activity === 'Create');
    expect(opened.map(({ key }) => key.who).sort()).toEqual([...keys].sort());
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
    expect(stderr.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(stderr).toContain('line\\x0abreak\\x0d\\x0a{"forged":true} asked 6 times');
    const template = opened.find(({ key }) => key.who === keys[2]);
    expect(JSON.parse(template?.line ?? '').message).toBe(`${keys[2]} asked 6 times in 1m`);
  });

  test('in what cannot be decoded is counted, and the rest is found all the same', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const bad = ['{"client.address":', deep, `{"__proto__":{"client.address":"203.0.113.9"}}`, 'x'.repeat(5 * 1024 * 1024)];
    const good = requests('192.0.2.1', baseMs, 6);
    const bytes = Buffer.concat([
      ...[...bad, ...good].map((line) => Buffer.from(`${line}\n`)),
      Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x0a]),
      Buffer.from('{"time":1,"time":2,"client.address":"a","client.address":7}\n'),
    ]);
    const cwd = await folderWith({ 'app.log': bytes });
    const { code, stdout, stderr } = await command([...withRules, '--format', 'json', '--from', 'app.log'], { cwd });
    expect(openings(stdout)).toEqual(['192.0.2.1']);
    expect(stderr).toMatch(/^12 records, /m);
    expect(stderr).toMatch(/^not decoded: 1 bad_json, 1 not_an_object, 1 no_time, 1 too_long, 1 bad_utf8;/m);
    expect(code).toBe(0);
  });
});
