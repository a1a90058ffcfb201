/** The whole command between two topics of a real broker: undisturbed, with the broker gone for a while, and killed in the middle. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AclOperationTypes } from 'kafkajs';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeManifest } from '../../src/checkpoint/manifest.ts';
import { loadConfig } from '../../src/config.ts';
import { checkpointsOf } from '../../src/wiring.ts';
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { collect, produce, type Stored, type ToSend } from '../support/kafka-topic.ts';
import { findingsOf, writeRule } from '../support/many-requests.ts';
import { tempDir } from '../support/temp-dir.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

/** Kafka's numbers; kafkajs' own enums cannot be imported by name from ESM. */
const acl = { topic: 2, literal: 3, allow: 3, read: 3, write: 4, describe: 8 } as const;

const partitions = 3;
const baseMs = Date.parse('2026-01-05T12:00:00Z');
const patience = { timeout: 90_000, interval: 100 };

let broker: KafkaBroker;

beforeAll(async () => {
  if (unavailable) return;
  builtCommand();
  broker = await startKafka();
});

afterAll(() => broker?.stop());

/** Ten minutes of addresses that come in bursts, in every partition at once; the last record of each is an hour later and closes everything. */
function traffic(): ToSend[] {
  const messages = Array.from({ length: 6000 }, (_, i): ToSend => {
    const timestampMs = baseMs + i * 100;
    const burst = Math.floor(i / 150);
    const address = i % 20 === 0 ? `198.51.100.${burst}` : `203.0.113.${i % 251}`;
    return { partition: i % partitions, value: JSON.stringify({ time: timestampMs, 'client.address': address, n: i }), timestampMs };
  });
  const end = Array.from({ length: partitions }, (_, partition): ToSend => {
    const timestampMs = baseMs + 3_600_000;
    return { partition, value: JSON.stringify({ time: timestampMs, 'client.address': '192.0.2.99' }), timestampMs };
  });
  return [...messages, ...end];
}

interface Setting {
  readonly cwd: string;
  readonly topic: string;
  readonly group: string;
  /** What came out so far. */
  readonly out: Stored[];
}

/** @param stateInTopic checkpoints are kept in a topic instead of the folder. */
async function setUp(stateInTopic = false): Promise<Setting> {
  const id = randomBytes(4).toString('hex');
  const [topic, findings, group, state] = [`logs-${id}`, `findings-${id}`, `group-${id}`, `state-${id}`];
  await broker.createTopics({ topic, partitions }, { topic: findings, partitions: 2 });
  if (stateInTopic) await broker.createTopics({ topic: state, config: { 'cleanup.policy': 'compact' } });
  // A member that comes back under its own name need not wait for the session of the one that was killed.
  const member = kafkaDrivers.includes('rdkafka') ? ', instanceId: one' : '';
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  await writeFile(
    join(cwd, 'streamgauge.yaml'),
    [
      'rules: [./rules]',
      'http: { listen: "127.0.0.1:0" }',
      `sources: [{ kafka: { brokers: ["${broker.brokers[0]}"], topics: [${topic}], group: ${group}${member} } }]`,
      `sinks: [{ kafka: { topic: ${findings} } }]`,
      stateInTopic ? `state: { kafka: ${state} }` : '',
      '',
    ].join('\n'),
  );
  return { cwd, topic, group, out: await collect(broker.brokers, findings) };
}

/** What a replay of the topic finds, each line once, in order of its text. */
async function replayed({ cwd, topic }: Setting): Promise<string[]> {
  const { code, stdout, stderr } = await command(['backtest', '-c', 'streamgauge.yaml', '--from', `kafka:${topic}`], { cwd });
  expect(stderr).toMatch(/^6003 records, 6003 events/m);
  expect(code).toBe(0);
  return findingsOf(stdout)
    .map(({ line }) => line)
    .sort();
}

/** Of what went out only what rules found: an outage is a finding of its own, with the clock in it. */
function written({ out }: Setting): string[] {
  const lines = out.map(({ value }) => value).filter((line) => !line.includes('"rule":"streamgauge.'));
  return [...new Set(lines)].sort();
}

async function committed({ group, topic }: Setting): Promise<number[]> {
  const found = await broker.admin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
  const offsets = new Map(found[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  return Array.from({ length: partitions }, (_, partition) => Math.max(0, offsets.get(partition) ?? 0));
}

async function checkpointed({ cwd, topic }: Setting): Promise<number[]> {
  const folder = join(cwd, 'data');
  const names = existsSync(folder) ? (await readdir(folder)).filter((name) => name.endsWith('.sgc')).sort() : [];
  if (names.length === 0) return Array.from({ length: partitions }, () => 0);
  const decoded = decodeManifest(await readFile(join(folder, names[names.length - 1])));
  if (decoded.kind !== 'whole') throw new Error(`the newest checkpoint is ${decoded.kind}`);
  return Array.from({ length: partitions }, (_, partition) => decoded.manifest.positions[`${topic}/${partition}`] ?? 0);
}

function sum(offsets: readonly number[]): number {
  return offsets.reduce((total, offset) => total + offset, 0);
}

/** The commit is looked at first, so that a checkpoint in between cannot hide one that was too early. */
async function expectCommitWithinCheckpoint(setting: Setting): Promise<number> {
  const commit = await committed(setting);
  const checkpoint = await checkpointed(setting);
  for (let partition = 0; partition < partitions; partition++) expect(commit[partition]).toBeLessThanOrEqual(checkpoint[partition]);
  return sum(commit);
}

describe.skipIf(unavailable)('run between two topics', () => {
  test('writes what a replay finds, byte for byte, with keys and headers, and commits all of it when it stops', {
    timeout: 120_000,
  }, async () => {
    const setting = await setUp();
    await produce(broker.brokers, setting.topic, traffic());
    const expected = await replayed(setting);
    // Forty bursts, each opened and closed.
    expect(expected).toHaveLength(80);
    const run = Command.start(['run'], { cwd: setting.cwd });
    await expect.poll(() => setting.out.length, patience).toBe(expected.length);
    expect(await (await fetch(`${await run.address()}/version`)).json()).toMatchObject({ driver: kafkaDrivers.at(-1) });
    expect(await run.stop()).toMatchObject({ code: 0, signal: null, stdout: '' });
    expect(setting.out.map(({ value }) => value).sort()).toEqual(expected);
    for (const { key, value, headers } of setting.out) {
      const { finding_info, metadata } = JSON.parse(value);
      expect(key).toBe(finding_info.uid);
      expect(headers).toMatchObject({ ce_specversion: '1.0', ce_id: metadata.uid, ce_subject: key, 'content-type': 'application/json' });
    }
    expect(await committed(setting)).toEqual([2001, 2001, 2001]);
    expect(await checkpointed(setting)).toEqual([2001, 2001, 2001]);
  });

  test('killed in the middle and started again, it leaves nothing out and repeats nothing', { timeout: 180_000 }, async () => {
    const setting = await setUp();
    const all = traffic();
    await produce(broker.brokers, setting.topic, all.slice(0, 2400));
    const first = Command.start(['run'], { cwd: setting.cwd });
    await expect.poll(() => expectCommitWithinCheckpoint(setting), patience).toBeGreaterThan(0);
    const before = setting.out.length;
    await produce(broker.brokers, setting.topic, all.slice(2400, 4800));
    // It has gone on past its last checkpoint.
    await expect.poll(() => setting.out.length, patience).toBeGreaterThan(before);
    expect(await first.kill()).toMatchObject({ signal: 'SIGKILL' });
    expect(await expectCommitWithinCheckpoint(setting)).toBeLessThan(4800);
    expect(sum(await checkpointed(setting))).toBeLessThan(4800);

    await produce(broker.brokers, setting.topic, all.slice(4800));
    const expected = await replayed(setting);
    const second = Command.start(['run'], { cwd: setting.cwd });
    await expect.poll(() => written(setting).length, patience).toBeGreaterThanOrEqual(expected.length);
    expect(await second.stop()).toMatchObject({ code: 0 });
    expect(second.stderr).toMatch(/restored from the checkpoint/);
    expect(written(setting)).toEqual(expected);
    expect(second.stderr).toMatch(/not written again/);
    expect(setting.out.length).toBe(expected.length);
    expect(await committed(setting)).toEqual([2001, 2001, 2001]);
  });

  test.skipIf(process.env.KAFKA_BROKERS !== undefined)(
    'goes on when the broker was gone for a while, with its state there too, and leaves nothing out; elsewhere it goes on from that state',
    { timeout: 180_000 },
    async () => {
      const setting = await setUp(true);
      const all = traffic();
      await produce(broker.brokers, setting.topic, all.slice(0, 3000));
      const run = Command.start(['run'], { cwd: setting.cwd });
      await expect.poll(() => setting.out.length, patience).toBeGreaterThan(0);
      const address = await run.address();
      await broker.halt('SIGKILL');
      await expect
        .poll(async () => (await fetch(`${address}/healthz`)).json(), patience)
        .toMatchObject({ status: 'failing', reasons: [{ reason: 'source_failing', detail: expect.stringMatching(/could not/) }] });
      await broker.resume();
      await produce(broker.brokers, setting.topic, all.slice(3000));
      const expected = await replayed(setting);
      await expect.poll(() => written(setting).length, patience).toBeGreaterThanOrEqual(expected.length);
      expect(written(setting)).toEqual(expected);
      await expect.poll(async () => (await fetch(`${address}/healthz`)).status, patience).toBe(200);
      expect(await run.stop()).toMatchObject({ code: 0 });
      expect(await committed(setting)).toEqual([2001, 2001, 2001]);
      const elsewhere = await tempDir();
      await writeRule(join(elsewhere, 'rules'));
      await copyFile(join(setting.cwd, 'streamgauge.yaml'), join(elsewhere, 'streamgauge.yaml'));
      const again = Command.start(['run'], { cwd: elsewhere });
      await again.says(/restored from the checkpoint/);
      expect(await again.stop()).toMatchObject({ code: 0 });
      expect(again.stderr).toMatch(new RegExp(`"positions":\\{("${setting.topic}/\\d":2001,?){3}\\}`));
      expect(written(setting)).toEqual(expected);
    },
  );

  test('goes on from a checkpoint of its own cluster only, and from one that does not say', {
    timeout: 60_000,
  }, async () => {
    const setting = await setUp();
    await produce(broker.brokers, setting.topic, traffic().slice(0, 300));
    const first = Command.start(['run'], { cwd: setting.cwd });
    await expect.poll(() => setting.out.length, patience).toBeGreaterThan(0);
    expect(await first.stop()).toMatchObject({ code: 0 });
    const file = join(setting.cwd, 'streamgauge.yaml');
    const store = async () => checkpointsOf(await loadConfig(file, {}), pino({ level: 'silent' }));
    const own = await (await store()).load();
    if (own === undefined) throw new Error('there is no checkpoint');
    const { clusterId } = await broker.admin((admin) => admin.describeCluster());
    expect(own.origins).toEqual([{ cluster: clusterId, group: setting.group, topics: [setting.topic] }]);

    // As from the folder of a deployment whose topics have the same names.
    await (await store()).save({ ...own, origins: [{ cluster: 'staging', group: setting.group, topics: [setting.topic] }] });
    const before = await readdir(join(setting.cwd, 'data'));
    const refused = await command(['run'], { cwd: setting.cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /belongs to another deployment: it goes on in topic logs-\w+ of the Kafka cluster staging, and topic logs-\w+ of this config is in the cluster \S+: use `brokers` of the former, or give `state\.dir` another folder/,
    );
    expect(await readdir(join(setting.cwd, 'data'))).toEqual(before);

    await (await store()).save({ ...own, origins: undefined });
    const unsaid = Command.start(['run'], { cwd: setting.cwd });
    await unsaid.says(/restored from the checkpoint/);
    expect(await unsaid.stop()).toMatchObject({ code: 0 });
  });

  test('doctor finds topics, rights and retention as they are', { timeout: 60_000 }, async () => {
    const setting = await setUp();
    const well = await command(['doctor'], { cwd: setting.cwd });
    expect(well.stdout).toMatch(new RegExp(`^ok {3}kafka ${broker.brokers[0]}: read ${setting.topic}$`, 'm'));
    expect(well.stdout).toMatch(/^ok {3}kafka \S+: write findings to findings-/m);
    expect(well.code).toBe(0);
    // The right to write was tried, and nothing written.
    const ends = await broker.admin((admin) => admin.fetchTopicOffsets(/write findings to (findings-\S+)$/m.exec(well.stdout)?.[1] ?? ''));
    expect(ends.map(({ high }) => high)).toEqual(ends.map(() => '0'));
    const short = `${setting.topic}-short`;
    const latest = `${setting.topic}-latest`;
    await broker.createTopics(
      { topic: short, config: { 'retention.ms': '3600000', 'retention.bytes': '1000000' } },
      { topic: latest, config: { 'cleanup.policy': 'compact' } },
    );
    await produce(broker.brokers, short, [{ partition: 0, value: '{}', timestampMs: Date.now() + 90_000 }]);
    await writeFile(
      join(setting.cwd, 'streamgauge.yaml'),
      `http: { listen: "127.0.0.1:0" }\nsources: [{ kafka: { brokers: ["${broker.brokers[0]}"], topics: [${short}, no-such-topic] } }]\nsinks: [{ kafka: { topic: ${latest} } }]\n`,
    );
    const ill = await command(['doctor'], { cwd: setting.cwd });
    expect(ill.stdout).toMatch(/^note kafka .*-short: retention\.ms is 3600000: after an outage longer than that records are gone/m);
    expect(ill.stdout).toMatch(
      /^note kafka .*retention\.bytes is 1000000 a partition: .*newest record is dated \d+ s ahead of this machine's clock/m,
    );
    expect(ill.stdout).toMatch(/^note kafka .*write findings to .*-latest: cleanup\.policy compacts it: .*use delete/m);
    expect(ill.stdout).toMatch(/^FAIL kafka .*no-such-topic: .*create (the topic|it), or correct/m);
    expect(ill.code).toBe(3);
  });

  test('doctor tells a right to read or to write that is missing, and needs none to see settings', { timeout: 60_000 }, async (context) => {
    const { secure } = broker;
    if (secure === undefined) return context.skip('the broker has no users');
    const id = randomBytes(4).toString('hex');
    const [readable, unread, writable, barred] = ['readable', 'unread', 'writable', 'barred'].map((name) => `${name}-${id}`);
    await broker.createTopics(...[readable, unread, writable, barred].map((topic) => ({ topic })));
    const allow = (topic: string, ...operations: AclOperationTypes[]) =>
      operations.map((operation) => ({
        ...{ resourceType: acl.topic, resourceName: topic, resourcePatternType: acl.literal },
        ...{ principal: `User:${secure.username}`, host: '*', operation, permissionType: acl.allow },
      }));
    await broker.admin((admin) =>
      admin.createAcls({
        acl: [
          ...allow(readable, acl.read, acl.describe),
          ...allow(unread, acl.describe),
          ...allow(writable, acl.write, acl.describe),
          ...allow(barred, acl.read, acl.describe),
        ],
      }),
    );
    const cwd = await tempDir();
    await writeFile(join(cwd, 'ca.pem'), secure.ca);
    const connection = `brokers: ["${secure.broker}"], sasl: { mechanism: plain, username: ${secure.username}, password: "${secure.password}" }, tls: { ca: ./ca.pem }`;
    await writeFile(
      join(cwd, 'streamgauge.yaml'),
      `http: { listen: "127.0.0.1:0" }\nsources: [{ kafka: { ${connection}, topics: [${readable}, ${unread}] } }]\nsinks: [{ kafka: { topic: ${writable} } }]\ndeadLetter: { kafka: ${barred} }\n`,
    );
    const { stdout, code } = await command(['doctor'], { cwd });
    const right = 'give this user the right in the ACLs of the cluster$';
    expect(stdout).toMatch(new RegExp(`^ok {3}kafka \\S+: read ${readable}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^FAIL kafka \\S+: read ${unread}: .*${right}`, 'm'));
    expect(stdout).toMatch(new RegExp(`^ok {3}kafka \\S+: write findings to ${writable}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^FAIL kafka \\S+: write dead letters to ${barred}: .*${right}`, 'm'));
    expect(stdout).not.toContain(secure.password);
    expect(code).toBe(3);
    const ends = await broker.admin((admin) => admin.fetchTopicOffsets(writable));
    expect(ends.map(({ high }) => high)).toEqual(ends.map(() => '0'));
  });
});
