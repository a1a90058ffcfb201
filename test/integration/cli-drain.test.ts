// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are what is tested
/** `run` with its drains, as a process: credentials that change, garbage that is told, and a topic between drain and engine. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { builtCommand } from '../support/build.ts';
import { Command } from '../support/command.ts';
import { kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { findingsOf, requests, writeRule } from '../support/many-requests.ts';
import { tempDir } from '../support/temp-dir.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`the topic behind a drain is skipped: ${unavailable}`);

beforeAll(() => void builtCommand());

async function folderWith(config: string): Promise<string> {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  await writeFile(join(cwd, 'streamgauge.yaml'), `rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\n${config}`);
  return cwd;
}

function post(address: string, body: string, pair: string): Promise<number> {
  const headers = { authorization: `Basic ${Buffer.from(pair).toString('base64')}`, 'content-type': 'application/json' };
  return fetch(`${address}/drain/json`, { method: 'POST', body, headers }).then(({ status }) => status);
}

const patience = { timeout: 30_000, interval: 50 };

describe('run', () => {
  test('takes another password on SIGHUP and when its file changes, without a restart, and shows none', { timeout: 60_000 }, async () => {
    // A Loki that repeats what it was sent, which then stands in an error.
    const gossip = createServer((request, response) => response.writeHead(401).end(`no: ${request.headers.authorization}`));
    await new Promise<void>((resolve) => gossip.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void gossip.close());
    const loki = `http://127.0.0.1:${(gossip.address() as AddressInfo).port}`;
    const sinks = [
      `{ loki: { url: "${loki}", token: "token-pass-1234" } }`,
      `{ loki: { url: "${loki}/other", group: other, auth: { username: app, password: "loki-pass-1234" } } }`,
    ].join(', ');
    const cwd = await folderWith(
      `sources: [{ drain: { path: /drain/json, credentials: ["app:\${file:secret}"] } }]\nsinks: [{ file: { path: ./findings.jsonl } }, ${sinks}]\nhashKey: "hash-pass-1234-5678"\n`,
    );
    await writeFile(join(cwd, 'secret'), 'first-pass\n');
    const run = Command.start(['run', '--log-level', 'trace'], { cwd });
    const address = await run.address();
    expect([await post(address, '{}', 'app:first-pass'), await post(address, '{}', 'app:second-pass')]).toEqual([200, 401]);
    // A finding, so that Loki is asked, and what it said is logged.
    const attack = requests('192.0.2.1', Date.now() + 1_000, 9, 2_000);
    expect(await post(address, attack.join('\n'), 'app:first-pass')).toBe(200);
    await run.says(/answered.*no: B(earer|asic) \[secret\]|no: B(earer|asic) \[secret\]/);
    const health = await (await fetch(`${address}/healthz`)).text();

    await writeFile(join(cwd, 'secret'), 'second-pass\n');
    await run.says(/"why":"a file has changed","drains":\["\/drain\/json"\]/);
    expect([await post(address, '{}', 'app:first-pass'), await post(address, '{}', 'app:second-pass')]).toEqual([401, 200]);

    await writeFile(
      join(cwd, 'streamgauge.yaml'),
      'rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\nsources: [{ drain: { path: /drain/json, credentials: ["app:third-pass"] } }]\n',
    );
    run.child.kill('SIGHUP');
    await run.says(/"why":"SIGHUP","drains":\["\/drain\/json"\]/);
    expect(await post(address, '{}', 'app:third-pass')).toBe(200);
    expect(await run.stop()).toMatchObject({ code: 0 });
    const said = run.stdout + run.stderr + health;
    expect(said).not.toMatch(/-pass/);
    for (const pair of ['app:first-pass', 'app:second-pass', 'app:third-pass', 'app:loki-pass-1234']) {
      expect(said).not.toContain(Buffer.from(pair).toString('base64').slice(0, 12));
    }
  });

  test('says that garbage comes: counted, degraded, and never fatal', { timeout: 60_000 }, async () => {
    const cwd = await folderWith('sources: [{ drain: { path: /drain/json } }]\n');
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    expect(await post(address, '{"x', '')).toBe(200);
    const health = async () => (await fetch(`${address}/healthz`)).json();
    await expect
      .poll(health, patience)
      .toMatchObject({ status: 'degraded', reasons: [{ reason: 'records_dropped', detail: expect.stringContaining('bad_json 1') }] });
    expect((await fetch(`${address}/healthz`)).status).toBe(200);
    const metrics = await (await fetch(`${address}/metrics`)).text();
    expect(metrics).toContain('streamgauge_records_dropped_total{reason="bad_json"} 1');
    expect(metrics).toContain('streamgauge_health_reason{reason="records_dropped",severity="degraded"} 1');
    expect(await run.stop()).toMatchObject({ code: 0 });
  });
});

describe.skipIf(unavailable)('run with a topic behind its drain', () => {
  test('finds in the topic what was posted to the drain', { timeout: 180_000 }, async () => {
    const broker = await startKafka();
    onTestFinished(() => broker.stop());
    const topic = `drained-${randomBytes(4).toString('hex')}`;
    await broker.createTopics({ topic, partitions: 1 });
    const cwd = await folderWith(
      `sources:\n  - kafka: { brokers: ["${broker.brokers[0]}"], topics: [${topic}], driver: kafkajs }\n  - drain: { path: /drain/json, credentials: [], to: { kafka: ${topic} } }\n`,
    );
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    const baseMs = Date.parse('2026-01-05T12:00:00Z');
    expect(await post(address, requests('192.0.2.1', baseMs, 20, 100).join('\n'), '')).toBe(200);
    const out = join(cwd, 'data', 'findings.jsonl');
    const keys = async () => (existsSync(out) ? findingsOf(await readFile(out, 'utf8')).map(({ key }) => key['client.address']) : []);
    expect(await post(address, requests('203.0.113.9', baseMs + 3_600_000, 1).join('\n'), '')).toBe(200);
    await expect.poll(keys, patience).toContain('192.0.2.1');
    expect(await (await fetch(`${address}/metrics`)).text()).toMatch(
      /streamgauge_drain_requests_total\{drain="\/drain\/json",outcome="accepted"\} [1-9]/,
    );
    expect(await run.stop()).toMatchObject({ code: 0 });
  });
});
