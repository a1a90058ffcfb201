// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are what is tested
/** What the command says to somebody who has it before them for the first time, or made a mistake. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { manyRequests, requests, writeRule } from '../support/many-requests.ts';
import { freePort, takenPort } from '../support/port.ts';
import { tempDir } from '../support/temp-dir.ts';

beforeAll(() => void builtCommand());

async function folderWith(config: string): Promise<string> {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'streamgauge.yaml'), config);
  return cwd;
}

describe('the command', () => {
  test('tells what it can do and which version it is', async () => {
    const cwd = await tempDir();
    const help = await command(['--help'], { cwd });
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const name of ['run', 'demo', 'backtest', 'check', 'doctor']) expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect((await command(['backtest', '--help'], { cwd })).stdout).toContain('--from <input...>');
    expect(await command(['--version'], { cwd })).toMatchObject({ code: 0, stdout: `${packageJson.version}\n` });
  });

  test.each([
    [[], /Usage: streamgauge/],
    [['rnu'], /unknown command 'rnu'[\s\S]*--help/],
    [['run', '--confg', 'x'], /unknown option '--confg'[\s\S]*did you mean --config|Did you mean --config[\s\S]*--help/i],
    [['run', '--log-level', 'loud'], /'loud' is invalid. Allowed choices are trace, debug, info, warn, error/],
    [['backtest'], /required option '--from <input...>' not specified/],
    [['backtest', '--from', 'x', '--format', 'xml'], /'xml' is invalid. Allowed choices are auto, json/],
    [['backtest', '--from', 'x', '--since', 'yesterday'], /--since: expected an ISO 8601 time such as \S+, found "yesterday"/],
    [['backtest', '--from', 'x', '--since', '2026-02-01', '--until', '2026-01-01'], /--since 2026-02-01: expected a time before --until/],
    [['backtest', '--from', '-', '--scores', '-'], /--scores -: expected findings to go elsewhere/],
    [['backtest', '--from', 'nowhere.jsonl'], /nowhere.jsonl: no such file/],
    [['backtest', '--from', 'kafka:logs'], /--from kafka:TOPIC: expected brokers, by --brokers/],
    [['backtest', '--rules', 'nowhere', '--from', '-'], /nowhere: expected a folder of rules, found nothing there/],
    [['demo', '--port', 'http'], /'http' is invalid. Expected a port/],
    [['run', '-c', 'nowhere.yaml'], /nowhere.yaml: expected a config that can be read/],
  ])('with %j is used wrongly: exit 2, and what to do', async (args, says) => {
    const { code, stdout, stderr } = await command(args, { cwd: await tempDir() });
    expect(stderr).toMatch(says);
    expect(stderr).not.toMatch(/\n\s+at .*\.js/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('tells every mistake of config and environment with its line, and starts nothing', async () => {
    const cwd = await folderWith(
      [
        'sources:',
        '  - kafka: { brokers: ["b:9092"], topcs: [logs] }',
        '  - drain: { path: no-slash, credentials: ["app:${DRAIN_PASSWORD}"] }',
        'sinks:',
        '  - file: { path: 7 }',
        'memory: plenty',
        'http: { listen: "127.0.0.1:99999" }',
        'overide: {}',
        '',
      ].join('\n'),
    );
    const { code, stdout, stderr } = await command(['run'], { cwd });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const lines = stderr.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^streamgauge\.yaml:\d+: \S+: .*(expected|not yet)/);
    for (const line of [2, 3, 5, 6, 7, 8]) expect(stderr).toMatch(new RegExp(`^streamgauge\\.yaml:${line}: .*found`, 'm'));
    expect(stderr).toMatch(/"topcs".*did you mean.*topics/i);
    expect(stderr).toMatch(/"overide".*did you mean.*overrides/i);
    expect(stderr).toMatch(/environment variable DRAIN_PASSWORD/);
    expect(existsSync(join(cwd, 'data'))).toBe(false);
  });

  test.each(['run', 'doctor', 'check', 'backtest'])('%s tells every mistake of every rule with its line', async (name) => {
    const cwd = await folderWith('rules: [./rules]\nstate: { dir: ./state }\nhttp: { listen: "127.0.0.1:0" }\n');
    await writeRule(join(cwd, 'rules'), manyRequests.replace('measure: count', 'measure: cuont').replace('size: 60s', 'size: soon'));
    await writeRule(join(cwd, 'rules'), manyRequests.replace('many_requests', 'other').replace('high', 'hihg'));
    const args = { run: ['run'], doctor: ['doctor'], check: ['check', 'rules'], backtest: ['backtest', '--from', '-'] }[name] ?? [];
    const { code, stdout, stderr } = await command(args, { cwd });
    const said = name === 'doctor' ? stdout : stderr;
    expect(said).toMatch(/rules\/many_requests\/rule\.yaml:7: measure: expected .*found .*cuont/);
    expect(said).toMatch(/rules\/many_requests\/rule\.yaml:8: window\.size: expected .*found .*soon/);
    expect(said).toMatch(/rules\/other\/rule\.yaml:4: severity: expected .*found .*hihg/);
    expect(code).toBe(2);
    expect(existsSync(join(cwd, 'state', 'findings.jsonl'))).toBe(false);
  });
});

describe('check', () => {
  test('passes the rules that ship', async () => {
    const { code, stdout } = await command(['check'], { cwd: await tempDir() });
    expect(stdout).toMatch(/^ok {3}http_path_scan /m);
    expect(stdout).toMatch(/(\d+) of \1 rules are as their own tests say\n$/);
    expect(code).toBe(0);
  });

  test('fails a rule that does not do what its test expects, and shows both', async () => {
    const cwd = await tempDir();
    const folder = await writeRule(join(cwd, 'rules'));
    const lines = requests('192.0.2.1\u001b[31m\u009b', Date.parse('2026-01-05T12:00:00Z'), 5);
    await writeFile(
      join(folder, 'many_requests', 'records.jsonl'),
      lines.map((value) => `${JSON.stringify({ value, timestamp: null })}\n`).join(''),
    );
    await writeFile(join(folder, 'many_requests', 'findings.jsonl'), '{"rule":"many_requests","activity":"open","value":99}\n');
    const { code, stdout } = await command(['check', 'rules'], { cwd });
    expect(stdout).toMatch(/^FAIL many_requests +live +5 records, 1 findings$/m);
    expect(stdout).toMatch(/findings\.jsonl:1: expected \{"rule":"many_requests","activity":"open","value":99\}, found \{.*"value":5/);
    expect(stdout).toMatch(/^0 of 1 rules/m);
    expect(stdout).not.toMatch(/[\u001b\u009b]/);
    expect(code).toBe(1);
  });

  test('fails a rule without a test', async () => {
    const cwd = await tempDir();
    await writeRule(join(cwd, 'rules'));
    const { code, stdout } = await command(['check', 'rules'], { cwd });
    expect(stdout).toContain("rules/many_requests/records.jsonl: expected the rule's own test, found no file");
    expect(code).toBe(1);
  });
});

describe('doctor', () => {
  test('says that everything can be used, and what is worth knowing', async () => {
    const cwd = await folderWith(
      `hashKey: "\${HASH_KEY}"\nhttp: { listen: "127.0.0.1:${await freePort()}" }\nsources:\n  - file: { path: ./logs/*.log, follow: true }\n  - drain: { path: /drain/logplex }\n`,
    );
    await mkdir(join(cwd, 'logs'));
    const { code, stdout } = await command(['doctor'], { cwd, env: { HASH_KEY: 'f00dfacef00dface' } });
    expect(stdout).toMatch(/^ok {3}rules builtin$/m);
    expect(stdout).toMatch(/^ok {3}hash key$/m);
    expect(stdout).toMatch(/^note files \S+: no such file yet; it is waited for$/m);
    expect(stdout).toMatch(/^note drain \/drain\/logplex: it has no credentials/m);
    expect(stdout).toMatch(/^(ok {2}|note) state folder \S+\/data(: \d+ MiB are free in .*: make room, or lower `memory`)?$/m);
    expect(stdout).toMatch(/^ok {3}checkpoint in \S+\/data$/m);
    expect(stdout).toMatch(/everything the config names can be used\n$/);
    expect(stdout).not.toContain('f00dface');
    expect(code).toBe(0);
  });

  test('beside the process that runs it finds all well, and says who has the port', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const cwd = await folderWith(
      `http: { listen: "0.0.0.0:${port}" }\nsources:\n  - drain: { path: /drain/json, dataset: app, credentials: [] }\n`,
    );
    const run = Command.start(['run'], { cwd });
    await run.address();
    expect((await fetch(`http://127.0.0.1:${port}/drain/json`, { method: 'POST', body: '{"n":1}' })).status).toBe(200);
    const { code, stdout } = await command(['doctor'], { cwd });
    expect(stdout).not.toMatch(/^FAIL/m);
    expect(stdout).toContain(`note http 0.0.0.0:${port}: this is streamgauge ${packageJson.version}, running; if it was`);
    expect(code).toBe(0);
    expect(await run.stop()).toMatchObject({ code: 0 });
  });

  test('names every edge that fails with what to try; nothing of the config can deceive the terminal', { timeout: 60_000 }, async () => {
    const cwd = await folderWith(
      [
        'rules: [./rules]',
        `http: { listen: "127.0.0.1:${await takenPort()}" }`,
        'sources:',
        `  - kafka: { brokers: ["127.0.0.1:${await freePort()}"], topics: [logs], sasl: { mechanism: plain, username: app, password: "\${PASSWORD}" } }`,
        '  - file: { path: "./no\\e[2Jsuch\\nok   all is well.log" }',
        'sinks: [{ file: { path: ./flat/findings.jsonl } }]',
        '',
      ].join('\n'),
    );
    await writeRule(join(cwd, 'rules'), manyRequests.replace('status: live', 'status: retired\nreason: it was noise'));
    await writeFile(join(cwd, 'flat'), 'a file where a folder should be');
    const { code, stdout, stderr } = await command(['doctor'], { cwd, env: { PASSWORD: 'hunter2hunter2' } });
    expect(stdout).toMatch(/^FAIL rules \S+: no rule is live or in shadow.*add a folder of rules/m);
    expect(stdout).toMatch(/^FAIL http \S+: another program has the port; choose one with http\.listen$/m);
    expect(stdout).toMatch(/^FAIL kafka \S+: read logs: Kafka at .*check `brokers` in the config/m);
    expect(stdout).toMatch(/^FAIL files .*expected files at/m);
    expect(stdout).toMatch(/^FAIL findings file \S+flat\/findings\.jsonl: cannot write into .*name another folder/m);
    expect(stdout).toMatch(/5 checks failed\n$/);
    expect(stdout).not.toMatch(/\u001b|^ok {3}all is well/m);
    expect(stdout + stderr).not.toContain('hunter2');
    expect(code).toBe(3);
  });
});

describe('demo', () => {
  test('shows every attack of its day caught and no near miss', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr } = await command(['demo'], { cwd: await tempDir() });
    expect(stdout).toMatch(/^ {2}time +severity +rule +what$/m);
    expect(stdout).toMatch(/^ {2}\d\d:\d\d:\d\d +high +auth_passkey_enumeration +\S+ tried \d+ e-mail addresses in 10m$/m);
    expect(stdout).toMatch(/^(\d+) of \1 attacks and outages caught, 0 of \d+ near misses fired, 0 findings unexplained\.$/m);
    expect(stdout).not.toMatch(/MISSED|FIRED|UNEXPLAINED/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('afterwards leaves health and metrics up until it is stopped', { timeout: 60_000 }, async () => {
    const demo = Command.start(['demo', '--serve', '--port', '0'], { cwd: await tempDir() });
    const [, address] = await demo.says(/serving (http:\S+)\/healthz/, 'stdout');
    const health = await fetch(`${address}/healthz`);
    expect({ status: health.status, body: await health.json() }).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await (await fetch(`${address}/metrics`)).text()).toMatch(/^streamgauge_findings_total\{.*rule="http_path_scan".*\} \d+$/m);
    expect(await (await fetch(`${address}/version`)).json()).toMatchObject({ version: packageJson.version });
    expect(await demo.stop()).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  test('says which port it could not have', { timeout: 60_000 }, async () => {
    const port = await takenPort();
    const { code, stderr } = await command(['demo', '--serve', '--port', String(port)], { cwd: await tempDir() });
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
    expect(code).toBe(3);
  });
});
