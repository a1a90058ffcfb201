// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are what is tested
/** `run` as a user meets it: drains and files in, findings out, stopped, killed and started again. */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { findingsOf, manyRequests, requests, type WrittenFinding, writeRule } from '../support/many-requests.ts';
import { freePort, takenPort } from '../support/port.ts';
import { tempDir } from '../support/temp-dir.ts';

beforeAll(() => void builtCommand());

async function folderWith(config: string, rule = manyRequests): Promise<string> {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'), rule);
  await writeFile(join(cwd, 'streamgauge.yaml'), `rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\n${config}`);
  return cwd;
}

async function findings(cwd: string): Promise<WrittenFinding[]> {
  const path = join(cwd, 'data', 'findings.jsonl');
  if (!existsSync(path)) return [];
  const text = await readFile(path, 'utf8');
  return findingsOf(text.slice(0, text.lastIndexOf('\n') + 1));
}

async function openedKeys(cwd: string): Promise<string[]> {
  return (await findings(cwd)).filter(({ activity }) => activity === 'Create').map(({ key }) => key['client.address']);
}

async function checkpoints(cwd: string): Promise<string[]> {
  return existsSync(join(cwd, 'data')) ? (await readdir(join(cwd, 'data'))).filter((name) => /^checkpoint-.*\.sgc$/.test(name)) : [];
}

async function records(address: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(/^streamgauge_records_total (\d+)$/m.exec(text)?.[1]);
}

const patience = { timeout: 20_000, interval: 50 };

describe('run', () => {
  test('finds what is posted and what is written to a followed file, stops when told, and goes on where it was', {
    timeout: 90_000,
  }, async () => {
    const rule = manyRequests.replace('size: 60s, slide: 5s', 'size: 10s, slide: 1s');
    const config =
      'sources:\n  - drain: { path: /drain/json, dataset: app }\n  - file: { path: ./logs/*.log, follow: true }\ntime: { idle: 500ms }\n';
    const cwd = await folderWith(config, rule);
    await mkdir(join(cwd, 'logs'));
    const log = join(cwd, 'logs', 'app.log');
    const send = async (address: string, lines: readonly string[]) => {
      const answer = await fetch(`${address}/drain/json`, { method: 'POST', body: lines.join('\n') });
      expect(answer.status).toBe(200);
    };

    const first = Command.start(['run'], { cwd });
    const address = await first.address();
    await send(address, requests('192.0.2.1', Date.now(), 6, 1));
    await writeFile(log, `${requests('192.0.2.2', Date.now(), 6, 1).join('\n')}\n`);
    // Nothing comes after them: the clock has to close their pane.
    await expect.poll(() => openedKeys(cwd).then((keys) => keys.sort()), patience).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(await (await fetch(`${address}/healthz`)).json()).toMatchObject({ status: 'ok' });
    expect(await first.stop()).toMatchObject({ code: 0, signal: null, stdout: '' });
    expect(first.stderr).toMatch(/"records":12,"findings":\d+,"msg":"stopped"/);
    expect(await checkpoints(cwd)).not.toEqual([]);

    // Written while nobody looks.
    await appendFile(log, `${requests('192.0.2.3', Date.now(), 6, 1).join('\n')}\n`);
    const second = Command.start(['run'], { cwd });
    await second.says(/restored from the checkpoint/);
    const addressNow = await second.address();
    await send(addressNow, requests('192.0.2.4', Date.now(), 6, 1));
    const all = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    await expect.poll(() => openedKeys(cwd).then((keys) => keys.sort()), patience).toEqual(all);
    expect(await records(addressNow)).toBe(12);
    expect(await second.stop('SIGINT')).toMatchObject({ code: 0, signal: null });
    for (const { activity, value } of await findings(cwd)) if (activity === 'Create') expect(value).toBe(6);
  });

  test('killed in the middle of a stream it counts every acknowledged record exactly once', { timeout: 120_000 }, async () => {
    const config = 'sources:\n  - drain: { path: /drain/logplex, credentials: ["app:s3cret-pass"] }\n';
    const undisturbed = await folderWith(config);
    await new LogplexSender(undisturbed).run();
    const wanted = new Set((await findings(undisturbed)).map(({ line }) => line));
    // Three addresses open, grow and close.
    expect(wanted.size).toBeGreaterThanOrEqual(6);

    const cwd = await folderWith(config);
    const sender = new LogplexSender(cwd);
    await sender.run({
      // The first one is of the very start: it says that nothing was found before.
      15: async () => expect(await checkpoints(cwd)).toEqual(['checkpoint-000000000001.sgc']),
      40: () => expect.poll(() => checkpoints(cwd), patience).not.toEqual(['checkpoint-000000000001.sgc']),
      45: () => Promise.resolve(),
    });
    expect(sender.starts).toBe(4);
    expect(new Set((await findings(cwd)).map(({ line }) => line))).toEqual(wanted);
  });

  test('keeps what cannot be decoded with its place and the reason, and goes on', { timeout: 60_000 }, async () => {
    const cwd = await folderWith(
      'sources:\n  - file: { path: ./app.log, format: json }\n  - drain: { path: /drain/json }\ntime: { idle: 500ms }\n',
      manyRequests.replace('size: 60s, slide: 5s', 'size: 10s, slide: 1s'),
    );
    const nowMs = Date.now();
    const good = requests('192.0.2.1\u001b[31m', nowMs, 6, 1);
    const bad = ['{"half":', `${'['.repeat(50_000)}`, '"\\u001b]0;title\\u0007"', 'x'.repeat(5 * 1024 * 1024)];
    const lines = [...bad, ...good].map((line) => Buffer.from(`${line}\n`));
    await writeFile(join(cwd, 'app.log'), Buffer.concat([...lines, Buffer.from([0xff, 0xfe, 0x7b, 0x0a])]));
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    const posted = await fetch(`${address}/drain/json`, {
      method: 'POST',
      body: `{"broken":\n${requests('192.0.2.2', nowMs, 6, 1).join('\n')}`,
    });
    expect(posted.status).toBe(200);
    await expect.poll(() => openedKeys(cwd).then((keys) => keys.length), patience).toBe(2);
    expect(await run.stop()).toMatchObject({ code: 0, stdout: '' });

    const kept = (await readFile(join(cwd, 'data', 'dead-letter.jsonl'), 'utf8')).trimEnd().split('\n');
    for (const line of kept) expect(line).not.toMatch(/[\u0000-\u001f]/);
    const dead = kept.map((line) => JSON.parse(line));
    const offsets = lines.map((_, i) => lines.slice(0, i).reduce((sum, line) => sum + line.length, 0));
    const fromFile = dead.filter(({ topic }) => topic.endsWith('app.log'));
    expect(fromFile.map(({ offset, reason }) => [offset, reason])).toEqual([
      [offsets[0], 'bad_json'],
      [offsets[1], expect.stringMatching(/^(bad_json|too_deep)$/)],
      [offsets[2], 'not_an_object'],
      [offsets[3], 'too_long'],
      [offsets[9] + lines[9].length, 'bad_utf8'],
    ]);
    expect(fromFile[3].cutFromBytes ?? fromFile[3].text.length).toBe(5 * 1024 * 1024);
    expect(Buffer.from(fromFile[4].base64, 'base64')).toEqual(Buffer.from([0xff, 0xfe, 0x7b]));
    expect(dead.filter(({ topic }) => topic === '/drain/json')).toMatchObject([{ offset: 0, reason: 'bad_json', text: '{"broken":' }]);
  });

  test('reads its rules again on SIGHUP without losing a window, and keeps the old ones while there is a mistake in the new ones', {
    timeout: 90_000,
  }, async () => {
    const cwd = await folderWith('sources: [{ drain: { path: /drain/json } }]\n');
    const beside = manyRequests.replace('many_requests', 'beside').replace('above: 4', 'above: 6');
    await writeRule(join(cwd, 'rules'), beside);
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    const baseMs = Date.parse('2026-01-05T12:00:00Z');
    const send = async (lines: readonly string[]) => {
      const answer = await fetch(`${address}/drain/json`, { method: 'POST', body: lines.join('\n') });
      expect(answer.status).toBe(200);
    };
    const opened = async () =>
      (await findings(cwd))
        .filter(({ activity }) => activity === 'Create')
        .map(({ rule, key, value }) => [rule, key['client.address'], value]);
    const health = async () => (await fetch(`${address}/healthz`)).json();
    // The first half: 3 of 5 are counted when the rule beside it is changed and another one comes. The last line closes their pane.
    await send([...requests('192.0.2.1', baseMs, 3, 1), ...requests('203.0.113.1', baseMs + 6_000, 1)]);
    await expect.poll(() => records(address), patience).toBe(4);
    await writeRule(join(cwd, 'rules'), beside.replace('above: 6', 'above: 5').replace('size: 60s', 'size: 300s'));
    await writeRule(join(cwd, 'rules'), manyRequests.replace('many_requests', 'page').replace('above: 4', 'above: 3'));
    run.child.kill('SIGHUP');
    const [, told] = await run.says(/(\{"level":30[^\n]*"msg":"rules have changed"\})/);
    expect(JSON.parse(told)).toMatchObject({ added: ['page'], removed: [], changed: ['beside'], beginAnew: ['beside', 'page'] });
    expect(await health()).toMatchObject({ status: 'ok', reasons: [] });
    expect(await records(address)).toBe(4);

    // A mistake: nothing changes, and both log and health say where it is.
    await writeRule(join(cwd, 'rules'), manyRequests.replace('above: 4', 'abve: 4'));
    run.child.kill('SIGHUP');
    await run.says(/rules\/many_requests\/rule\.yaml:9: [^"]*abve[^\n]*they stay what they are/);
    const mistake = /rules\/many_requests\/rule\.yaml:9: .*abve.*the rules stay what they were/;
    expect(await health()).toMatchObject({
      status: 'degraded',
      reasons: [{ reason: 'reload_failed', severity: 'degraded', detail: expect.stringMatching(mistake) }],
    });
    // The second half.
    await send([...requests('192.0.2.1', baseMs + 20_000, 3, 1), ...requests('203.0.113.1', baseMs + 26_000, 1)]);
    const all = [
      ['many_requests', '192.0.2.1', 6],
      ['page', '192.0.2.1', 6],
      ['beside', '192.0.2.1', 6],
    ];
    await expect.poll(async () => (await opened()).sort(), patience).toEqual(all.sort());
    expect(await run.stop()).toMatchObject({ code: 0 });

    // A restart with other neighbours goes on as well: the finding is still open, and not told again.
    await writeRule(join(cwd, 'rules'), manyRequests);
    await rm(join(cwd, 'rules', 'page'), { recursive: true });
    const again = Command.start(['run'], { cwd });
    await again.says(/"beginAnew":\[\][^\n]*restored from the checkpoint/);
    expect(await again.stop()).toMatchObject({ code: 0 });
  });

  test('a state folder has one process: a second is told whose it is, and a kill needs no hand', { timeout: 60_000 }, async () => {
    const cwd = await folderWith('');
    const first = Command.start(['run'], { cwd });
    await first.address();
    const second = await command(['run'], { cwd });
    expect(second.code).toBe(2);
    expect(second.stderr).toMatch(
      new RegExp(`state folder .*/data belongs to another streamgauge \\(process ${first.child.pid} on .*\\): stop that one`),
    );
    await first.kill();
    const third = Command.start(['run'], { cwd });
    await third.address();
    expect(await third.stop()).toMatchObject({ code: 0 });
    expect((await readdir(join(cwd, 'data'))).filter((name) => name.startsWith('lock'))).toEqual([]);
  });

  test('says which port it could not have', async () => {
    const cwd = await folderWith('');
    const port = await takenPort();
    await writeFile(join(cwd, 'other.yaml'), `rules: [./rules]\nhttp: { listen: "127.0.0.1:${port}" }\n`);
    const { code, stderr } = await command(['run', '-c', 'other.yaml'], { cwd });
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
    expect(stderr).toContain('another program has the port; choose one with http.listen');
    expect(code).toBe(3);
  });

  test('gives up within its bound on a Kafka that is not there, says what to try, and shows no secret on the way', {
    timeout: 90_000,
  }, async () => {
    const broker = `127.0.0.1:${await freePort()}`;
    const cwd = await folderWith(
      [
        'sources:',
        `  - kafka: { brokers: ["${broker}"], topics: [logs], sasl: { mechanism: plain, username: app, password: "\${KAFKA_PASSWORD}" } }`,
        '  - drain: { path: /drain/logplex, credentials: ["app:${DRAIN_PASSWORD}"] }',
        'sinks: [{ kafka: { topic: findings } }]',
        'hashKey: "${file:./hash-key}"',
        '',
      ].join('\n'),
    );
    const secrets = { KAFKA_PASSWORD: 'hunter2-kafka', DRAIN_PASSWORD: 'hunter2-drain' };
    await writeFile(join(cwd, 'hash-key'), 'hunter2-hash-key-long\n');
    const startMs = performance.now();
    const run = Command.start(['run', '--log-level', 'debug'], { cwd, env: secrets });
    const { code, stdout, stderr } = await run.ended;
    expect(performance.now() - startMs).toBeLessThan(60_000);
    expect(stderr).toMatch(new RegExp(`^Kafka at ${broker}: could not find topic findings: .*check .brokers. in the config`, 'm'));
    expect(stderr).not.toMatch(/\n\s+at .*\.js/);
    expect(code).toBe(3);
    expect(stdout + stderr).not.toContain('hunter2');
    expect(stdout + stderr).not.toContain(Buffer.from('app:hunter2-drain').toString('base64'));
  });
});

/** Posts a made-up minute the way Logplex does: one batch after the other, and one that was not acknowledged again under its name. */
class LogplexSender {
  starts = 0;
  private readonly cwd: string;
  private running: Command | undefined;
  private address = '';

  constructor(cwd: string) {
    this.cwd = cwd;
  }

  /** @param kills number of a batch -> what to wait for before it is sent; while it is under way the command is killed. */
  async run(kills: Readonly<Record<number, () => Promise<unknown>>> = {}): Promise<void> {
    await this.start();
    for (const [index, body] of batches().entries()) {
      if (index in kills) {
        await kills[index]();
        const sent = this.post(index, body);
        await this.running?.kill();
        const acknowledged = await sent;
        await this.start();
        if (acknowledged) continue;
      }
      expect(await this.post(index, body)).toBe(true);
    }
    await expect.poll(() => this.lag(), patience).toBe(0);
    expect(await this.running?.stop()).toMatchObject({ code: 0 });
  }

  private async start(): Promise<void> {
    this.starts++;
    this.running = Command.start(['run'], { cwd: this.cwd });
    this.address = await this.running.address();
  }

  private async post(index: number, body: string): Promise<boolean> {
    try {
      const answer = await fetch(`${this.address}/drain/logplex`, {
        method: 'POST',
        body,
        headers: {
          authorization: `Basic ${Buffer.from('app:s3cret-pass').toString('base64')}`,
          'content-type': 'application/logplex-1',
          'logplex-drain-token': 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd',
          'logplex-frame-id': String(index).padStart(32, '0'),
        },
      });
      return answer.status === 200;
    } catch {
      return false;
    }
  }

  private async lag(): Promise<number> {
    const { sources } = (await (await fetch(`${this.address}/healthz`)).json()) as { sources: Record<string, { lagRecords: number }> };
    return sources['drain:/drain/logplex'].lagRecords;
  }
}

/** Sixty seconds, a batch each; then one record much later, which closes everything before it. */
function batches(): string[] {
  const baseMs = Date.parse('2026-01-05T12:00:00Z');
  const framed = (timeMs: number, address: string) => {
    const line = `<190>1 ${new Date(timeMs).toISOString()} host app web.1 - {"client.address":"${address}"}\n`;
    return `${Buffer.byteLength(line)} ${line}`;
  };
  const seconds = Array.from({ length: 60 }, (_, second) =>
    Array.from({ length: 12 }, (_, i) =>
      framed(baseMs + second * 1000 + i * 80, `192.0.2.${second % (1 + (i % 4)) === 0 ? i % 4 : 100 + second}`),
    ).join(''),
  );
  return [...seconds, framed(baseMs + 3_600_000, '192.0.2.99')];
}
