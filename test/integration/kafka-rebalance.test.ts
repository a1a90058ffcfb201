/**
 * Partitions that move between processes, by a join, a leave and a kill -9, in the middle of attacks: whoever holds a partition then finds
 * what a run that was never disturbed finds, by the same ids, and each of it once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { eventId } from '../../processors/detect/ocsf.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import { anyDataset, type RecordBatch } from '../../processors/record.ts';
import { parseRule } from '../../schemas/rule.ts';
import { KafkaSource, type KafkaSourceOptions } from '../../src/source/kafka/kafka.ts';
import type { RebuildIntake, RebuildStart } from '../../src/source/source.ts';
import { builtCommand } from '../support/build.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { runSource, unique } from '../support/kafka-run.ts';
import { collect, produce, type Stored, type ToSend } from '../support/kafka-topic.ts';
import { tempDir } from '../support/temp-dir.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

const partitions = 4;
const patience = { timeout: 30_000, interval: 50 };
const program = path.join(import.meta.dirname, '..', 'support', 'kafka-member.mjs');
const short = { sessionTimeoutMs: 1_500, rebalanceTimeoutMs: 10_000 };
const startMs = Date.parse('2026-01-05T12:00:00Z');
const minuteMs = 60_000;

const rule = `id: many_addresses
title: One address tries many e-mail addresses
category: auth
severity: high
status: live
key: client.address
measure: { distinct: user.email }
window: { size: 10m, slide: 10s, lateness: 0s }
detect: [{ above: 20 }, { silence: { after: 9m } }]
finding: { summary: "{key} tried {value} addresses" }
`;

let broker: KafkaBroker;

beforeAll(async () => {
  if (unavailable) return;
  builtCommand();
  broker = await startKafka();
});

afterAll(() => broker?.stop());

interface Member {
  readonly child: ChildProcess;
  log(): string;
  ended: Promise<void>;
}

class Group {
  readonly driver: string;
  readonly topic = unique('moves');
  readonly group = unique('group');
  readonly findings = unique('found');
  readonly sent: ToSend[] = [];
  out: Stored[] = [];

  constructor(driver: string) {
    this.driver = driver;
  }

  async open(): Promise<void> {
    await broker.createTopics({ topic: this.topic, partitions }, { topic: this.findings });
    this.out = await collect(broker.brokers, this.findings);
  }

  /** `member`: more options of its source. */
  async start(member: Partial<KafkaSourceOptions> = {}): Promise<Member> {
    const options = { brokers: broker.brokers, driver: this.driver, topic: this.topic, group: this.group, findings: this.findings };
    const dist = path.join(path.dirname(builtCommand()), '..');
    const child = spawn(process.execPath, [program, dist, JSON.stringify({ ...options, rule, state: await tempDir(), member })], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part));
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { child, log: () => text, ended };
  }

  /** Resolves when so many members have settled, and have read everything. */
  async settled(members: number): Promise<void> {
    const look = async () => {
      const { groups } = await broker.admin((admin) => admin.describeGroups([this.group]));
      return [groups[0].state, groups[0].members.length];
    };
    await expect.poll(look, patience).toEqual(['Stable', members]);
  }

  async send(messages: readonly ToSend[]): Promise<void> {
    this.sent.push(...messages);
    await produce(broker.brokers, this.topic, messages);
  }

  async allCommitted(): Promise<void> {
    const committed = async () => {
      const found = await broker.admin((admin) => admin.fetchOffsets({ groupId: this.group, topics: [this.topic] }));
      return found.flatMap((topic) => topic.partitions).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    };
    await expect.poll(committed, patience).toBe(this.sent.length);
  }

  /** What came out, each as often as it did. */
  ids(): string[] {
    return this.out.map(({ headers }) => headers.ce_id).sort();
  }

  /** What one process finds that was never disturbed. */
  expected(): string[] {
    const { rule: parsed, problems } = parseRule(rule, 'rule.yaml');
    if (parsed === undefined) throw new Error(problems.join('\n'));
    const pipeline = new Pipeline([parsed]);
    pipeline.partitions(Array.from({ length: partitions }, (_, partition) => `${this.topic}/${partition}`));
    const offsets = Array.from({ length: partitions }, () => 0);
    return this.sent
      .flatMap(({ partition, value, timestampMs }) => {
        const records = [{ value: Buffer.from(value), offset: offsets[partition]++, timestampMs }];
        return pipeline.process({ topic: this.topic, partition, dataset: 'app', format: 'json', records });
      })
      .map((finding) => eventId(finding))
      .sort();
  }
}

const record = (partition: number, atMs: number, address: string, email: string): ToSend => ({
  partition,
  value: JSON.stringify({ time: startMs + atMs, 'client.address': address, 'user.email': email }),
  timestampMs: startMs + atMs,
});

/** E-mail addresses `from` to `to` of an attack on every partition, a second apart from `atMs` on; one address attacks one partition. */
function attack(name: string, atMs: number, from: number, to: number): ToSend[] {
  return Array.from({ length: to - from }, (_, i) => i + from).flatMap((i) =>
    Array.from({ length: partitions }, (_, partition) => record(partition, atMs + i * 1_000, `${name}.${partition}`, `${i}@example.com`)),
  );
}

/** One ordinary request in every partition each ten seconds, of an address that is never silent. */
function quiet(fromMs: number, toMs: number): ToSend[] {
  const messages: ToSend[] = [];
  for (let atMs = fromMs; atMs < toMs; atMs += 10_000) {
    for (let partition = 0; partition < partitions; partition++)
      messages.push(record(partition, atMs, `192.0.2.${partition}`, 'a@example.com'));
  }
  return messages;
}

describe.skipIf(unavailable).each(kafkaDrivers)('over %s', (driver) => {
  test('what is read again begins at a time, ends where new records begin, and may outlast the session', async () => {
    const topic = unique('again');
    const group = unique('group');
    await broker.createTopics({ topic, partitions: 2 });
    const at = (minute: number, partition: number, stampMs = startMs + minute * minuteMs): ToSend => {
      return { partition, value: `${partition}/${minute}`, timestampMs: stampMs };
    };
    const all = Array.from({ length: 60 }, (_, minute) => [at(minute, 0), ...(minute < 10 ? [at(minute, 1)] : [])]).flat();
    // Wrong times right before the place to go on.
    await produce(broker.brokers, topic, [...all, at(60, 0, 0), at(61, 0, startMs + 100 * minuteMs)]);
    const owner = runSource({ brokers: broker.brokers, driver, topics: [topic], group });
    await expect.poll(() => owner.taken.length, patience).toBe(72);
    await owner.stop();
    await produce(broker.brokers, topic, [at(62, 0), at(62, 1)]);

    const seen: string[] = [];
    const [begins, revocations]: [RebuildStart[], unknown[]] = [[], []];
    const source = new KafkaSource({ brokers: broker.brokers, driver, topics: [topic], group, dataset: 'app', format: 'auto', ...short });
    const take = (where: string) => async (batch: RecordBatch) => {
      for (const { value } of batch.records) seen.push(`${where} ${value}`);
    };
    const rebuild: RebuildIntake = {
      lookbackMs: () => 20 * minuteMs,
      begin: async (start) => void begins.push(start),
      // The subject is time itself: twice the session.
      batch: async (batch) => {
        await new Promise((resolve) => setTimeout(resolve, short.sessionTimeoutMs));
        await take('again')(batch);
      },
      done: async (positions) => void seen.push(`done ${positions[`${topic}/0`]} ${positions[`${topic}/1`]}`),
    };
    const revoked = async (keys: readonly string[]) => void revocations.push(keys);
    const running = source.run({}, { partitions: () => {}, ended: () => {}, revoked, batch: take('new'), rebuild });
    onTestFinished(() => source.stop());
    await expect.poll(() => seen.filter((line) => line.startsWith('new')).length, patience).toBe(2);
    // The middle one of the last twenty is of minute 51 or so; the other partition is whole.
    const again = seen.slice(
      0,
      seen.findIndex((line) => line.startsWith('done')),
    );
    const first = again.find((line) => line.startsWith('again 0/')) ?? '';
    expect(Number(first.slice('again 0/'.length))).toBeGreaterThan(25);
    expect(Number(first.slice('again 0/'.length))).toBeLessThanOrEqual(40);
    expect(again.filter((line) => line.startsWith('again 1/'))).toHaveLength(10);
    expect(again).toContain('again 0/61');
    expect(seen.slice(again.length, again.length + 1)).toEqual(['done 62 10']);
    expect(seen.slice(again.length + 1).sort()).toEqual(['new 0/62', 'new 1/62']);
    expect(begins).toMatchObject([{ topics: [topic], dataset: anyDataset }]);
    expect(begins[0].partitions).toEqual(
      expect.arrayContaining([
        { key: `${topic}/0`, whole: false },
        { key: `${topic}/1`, whole: true },
      ]),
    );
    expect(revocations).toEqual([]);
    await source.stop();
    await running;
  });

  test('a join, a kill -9 and a leave in the middle of attacks change no finding, and repeat none', { timeout: 120_000 }, async () => {
    const group = new Group(driver);
    await group.open();
    // Old enough not to be read again: what a rebuild reads begins in the middle of the topic.
    await group.send([...attack('192.0.2', -300 * minuteMs, 0, 25), ...quiet(-300 * minuteMs, 0)]);
    const first = await group.start();
    await group.allCommitted();

    // A join, at 12 of 21.
    await group.send(attack('203.0.113', 0, 0, 12));
    await group.allCommitted();
    const second = await group.start();
    await group.settled(2);
    await group.send([...attack('203.0.113', 0, 12, 21), ...quiet(21_000, 2 * minuteMs)]);
    await group.allCommitted();
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());

    // A kill -9, at 12 of 21 of one attack and right after another one was told.
    await group.send(attack('203.0.114', 2 * minuteMs, 0, 12));
    await group.allCommitted();
    await group.send([...attack('203.0.115', 2 * minuteMs + 12_000, 0, 22), ...quiet(2 * minuteMs + 34_000, 2 * minuteMs + 50_000)]);
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());
    second.child.kill('SIGKILL');
    await second.ended;
    await group.send([...attack('203.0.114', 2 * minuteMs + 50_000, 12, 21), ...quiet(4 * minuteMs, 5 * minuteMs)]);
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());
    await group.allCommitted();

    // Another joins, and the first one leaves in order.
    await group.send(attack('203.0.116', 5 * minuteMs, 0, 12));
    await group.allCommitted();
    const third = await group.start();
    await group.settled(2);
    first.child.kill('SIGTERM');
    await first.ended;
    expect(first.child.exitCode).toBe(0);
    // Not past what is read again: a silence that began before that is forgotten.
    await group.send([...attack('203.0.116', 5 * minuteMs, 12, 21), ...quiet(5 * minuteMs + 21_000, 25 * minuteMs)]);
    await group.allCommitted();
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());
    await group.send(quiet(25 * minuteMs, 50 * minuteMs));
    await group.allCommitted();
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());
    // Five attacks on four partitions: each opened and closed, and its address fell silent after it.
    expect(group.ids().length).toBeGreaterThanOrEqual(5 * partitions * 2);
    expect(third.log()).toMatch(/windows are made again/);
    third.child.kill('SIGTERM');
    await third.ended;
    expect(third.child.exitCode).toBe(0);
  });
});

test.skipIf(unavailable || !kafkaDrivers.includes('rdkafka'))(
  'a member of KIP-848 with a name that was killed has it back when its session ends, though a first connection is tried for less',
  { timeout: 60_000 },
  async () => {
    const group = new Group('rdkafka');
    const named = { protocol: 'consumer', instanceId: 'one', connectForMs: 1_000 } as const;
    await group.open();
    const killed = await group.start(named);
    await group.send(attack('203.0.113', 0, 0, 12));
    await group.allCommitted();
    killed.child.kill('SIGKILL');
    await killed.ended;
    const again = await group.start(named);
    await expect.poll(() => again.log(), patience).toMatch(/instance ID is still used.*its session ends.*trying again/);
    await group.send([...attack('203.0.113', 0, 12, 25), ...quiet(25_000, minuteMs)]);
    await group.allCommitted();
    await expect.poll(() => group.ids(), patience).toEqual(group.expected());
    expect(group.ids().length).toBeGreaterThanOrEqual(partitions);
    again.child.kill('SIGTERM');
    await again.ended;
    expect(again.child.exitCode).toBe(0);
  },
);
