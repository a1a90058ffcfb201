import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { cloudEventHeaders, findingJson } from '../../processors/detect/ocsf.ts';
import { partitionKey, type RecordBatch } from '../../processors/record.ts';
import { findingSchema } from '../../schemas/finding.ts';
import { DependencyError } from '../../src/errors.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import { KafkaSource, type KafkaSourceOptions, type OffsetGap } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Positions, RecordIntake } from '../../src/source/source.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

let broker: KafkaBroker;
let driver: KafkaDriver;
const unique = (name: string) => `${name}-${randomBytes(4).toString('hex')}`;

/** What an engine would do: takes batches, remembers the next offsets, commits what was handled when partitions are taken away. */
class Engine implements RecordIntake {
  readonly seen: { topic: string; partition: number; offset: number; text: string | null }[] = [];
  readonly batches: RecordBatch[] = [];
  readonly next: Record<string, number> = {};
  readonly revocations: string[][] = [];
  readonly announced = new Set<string>();
  readonly endedKeys: string[] = [];
  source: KafkaSource | undefined;
  /** Runs before a batch counts as handled. */
  before: (batch: RecordBatch) => Promise<void> | void = () => undefined;
  #waiters: { ready: () => boolean; resolve: () => void }[] = [];

  partitions(keys: readonly string[]): void {
    for (const key of keys) this.announced.add(key);
  }

  ended(key: string): void {
    this.endedKeys.push(key);
  }

  async batch(batch: RecordBatch): Promise<void> {
    await this.before(batch);
    this.batches.push(batch);
    for (const { offset, value } of batch.records) {
      const text = value === null ? null : Buffer.from(value).toString();
      this.seen.push({ topic: batch.topic, partition: batch.partition, offset, text });
      this.next[partitionKey(batch.topic, batch.partition)] = offset + 1;
    }
    this.look();
  }

  async revoked(partitions: readonly string[]): Promise<void> {
    this.revocations.push([...partitions]);
    const positions = Object.fromEntries(partitions.filter((key) => key in this.next).map((key) => [key, this.next[key]]));
    await this.source?.commit(positions);
    this.look();
  }

  look(): void {
    for (const waiter of this.#waiters) if (waiter.ready()) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => !waiter.ready());
  }

  until(ready: () => boolean): Promise<void> {
    if (ready()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ ready, resolve }));
  }

  texts(): (string | null)[] {
    return this.seen.map(({ text }) => text).sort();
  }
}

interface Run {
  readonly engine: Engine;
  readonly source: KafkaSource;
  readonly done: Promise<void>;
}

const running: Run[] = [];

function options(change: Partial<KafkaSourceOptions> & { topics: string[] }): KafkaSourceOptions {
  return { brokers: broker.brokers, driver, group: unique('group'), dataset: 'app', format: 'auto', ...change };
}

function start(change: Partial<KafkaSourceOptions> & { topics: string[] }, positions: Positions = {}, engine = new Engine()): Run {
  const source = new KafkaSource(options(change));
  engine.source = source;
  const run = { engine, source, done: source.run(positions, engine) };
  run.done.catch(() => undefined);
  running.push(run);
  return run;
}

async function stop(run: Run): Promise<void> {
  await run.source.stop();
  await run.done;
}

type Sent = { topic: string; partition?: number; value: string | Buffer | null; timestamp?: number; headers?: Record<string, string> };

async function produce(messages: readonly Sent[]): Promise<void> {
  // Idempotent, so that its retries after an outage do not look like the source's repeats.
  const producer = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const topics = [...new Set(messages.map(({ topic }) => topic))];
  await producer.sendBatch({
    topicMessages: topics.map((topic) => ({
      topic,
      messages: messages
        .filter((message) => message.topic === topic)
        .map(({ partition = 0, value, timestamp, headers }) => ({
          partition,
          value,
          ...(timestamp === undefined ? {} : { timestamp: String(timestamp) }),
          ...(headers === undefined ? {} : { headers }),
        })),
    })),
  });
  await producer.disconnect();
}

function numbered(topic: string, partitions: number, count: number, from = 0): Sent[] {
  return Array.from({ length: count }, (_, i) => ({ topic, partition: (from + i) % partitions, value: `${topic} ${from + i}` }));
}

async function committed(group: string, topic: string): Promise<Record<number, number>> {
  const found = await broker.admin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
  return Object.fromEntries(found[0].partitions.map(({ partition, offset }) => [partition, Number(offset)]));
}

/** What retention does, at once. */
function deleteBefore(topic: string, offset: number): Promise<void> {
  return broker.admin(async (admin) => {
    // kafkajs deletes only in topics whose metadata it holds.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  });
}

beforeAll(async () => {
  if (unavailable) return;
  broker = await startKafka();
});

afterAll(async () => {
  for (const { source } of running) await source.stop().catch(() => undefined);
  await broker?.stop();
});

const finding: Finding = {
  id: '9f2c1a7be4d05566',
  activity: 'open',
  sequence: 0,
  timeMs: 1_795_232_895_000,
  rule: 'http_path_scan',
  title: 'One address asks for many paths',
  category: 'http',
  severity: 'medium',
  status: 'live',
  summary: '203.0.113.9 asked for 81 paths',
  key: { 'client.address': '203.0.113.9' },
  measure: 'distinct(url.path)',
  detector: 'above',
  value: 81,
  valueError: 0,
  threshold: 80,
  windowStartMs: 1_795_232_295_000,
  windowEndMs: 1_795_232_895_000,
  openedMs: 1_795_232_885_000,
  early: false,
  degraded: false,
  late: 0,
  evicted: 0,
  countErr: 0,
  samples: [{ topic: 'logs', partition: 2, offset: 4711, text: 'GET /wp-login.php' }],
};

describe.each(kafkaDrivers)('over %s', (name) => {
  beforeAll(() => {
    driver = name;
  });

  describe.skipIf(unavailable)('the Kafka source in a group', () => {
    test('reads many topics, each partition in order, with place, time, dataset and headers', async () => {
      const topics = [unique('a'), unique('b'), unique('c')];
      await broker.createTopics(...topics.map((topic) => ({ topic, partitions: 3 })));
      await produce([
        ...topics.flatMap((topic) => numbered(topic, 3, 30)),
        { topic: topics[0], partition: 1, value: 'é', timestamp: 1_600_000_000_123, headers: { trace: 'x ü', empty: '' } },
      ]);
      const run = start({ topics });
      await run.engine.until(() => run.engine.seen.length >= 91);
      await stop(run);
      expect(run.engine.seen).toHaveLength(91);
      for (const topic of topics) {
        for (let partition = 0; partition < 3; partition++) {
          const offsets = run.engine.seen.filter((one) => one.topic === topic && one.partition === partition).map(({ offset }) => offset);
          expect(offsets).toEqual(offsets.map((_, i) => i));
        }
      }
      expect(run.engine.batches.every(({ dataset, format }) => dataset === 'app' && format === 'auto')).toBe(true);
      const special = run.engine.batches.flatMap(({ records }) => records).find(({ headers }) => headers !== undefined);
      expect(special).toMatchObject({ timestampMs: 1_600_000_000_123, headers: { trace: 'x ü', empty: '' } });
      expect(run.source.health()).toMatchObject({ driver });
    });

    test('tells a tombstone from an empty message', async () => {
      const topic = unique('nothing');
      await broker.createTopics({ topic });
      await produce([
        { topic, value: null },
        { topic, value: '' },
        { topic, value: 'x' },
      ]);
      const run = start({ topics: [topic] });
      await run.engine.until(() => run.engine.seen.length === 3);
      await stop(run);
      expect(run.engine.seen.map(({ text }) => text)).toEqual([null, '', 'x']);
    });

    test('cuts batches, and hands in one of a partition at a time', async () => {
      const topic = unique('cut');
      await broker.createTopics({ topic, partitions: 2 });
      await produce(numbered(topic, 2, 5000));
      const run = start({ topics: [topic], maxBatchRecords: 700 });
      let open = 0;
      run.engine.before = async () => {
        expect(++open).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        open--;
      };
      await run.engine.until(() => run.engine.seen.length === 5000);
      await stop(run);
      expect(Math.max(...run.engine.batches.map(({ records }) => records.length))).toBe(700);
      expect(new Set(run.engine.texts()).size).toBe(5000);
    });

    test('goes on from its commit in a new run, and from the positions it is given in spite of it', async () => {
      const topic = unique('resume');
      const group = unique('group');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 10));
      const first = start({ topics: [topic], group });
      await first.engine.until(() => first.engine.seen.length === 10);
      await first.source.commit({ [`${topic}/0`]: 7 });
      expect(await committed(group, topic)).toEqual({ 0: 7 });
      // A crash, not a stop: nothing more is committed.
      first.engine.revoked = () => Promise.resolve();
      await stop(first);
      const second = start({ topics: [topic], group });
      await second.engine.until(() => second.engine.seen.length === 3);
      second.engine.revoked = () => Promise.resolve();
      await stop(second);
      expect(second.engine.seen.map(({ offset }) => offset)).toEqual([7, 8, 9]);
      const third = start({ topics: [topic], group }, { [`${topic}/0`]: 4 });
      await third.engine.until(() => third.engine.seen.length === 6);
      await stop(third);
      expect(third.engine.seen.map(({ offset }) => offset)).toEqual([4, 5, 6, 7, 8, 9]);
    });

    test('commits what was handled when it stops', async () => {
      const topic = unique('leave');
      const group = unique('group');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 10));
      const run = start({ topics: [topic], group });
      await run.engine.until(() => run.engine.seen.length === 10);
      await stop(run);
      expect(run.engine.revocations).toEqual([[`${topic}/0`]]);
      expect(await committed(group, topic)).toEqual({ 0: 10 });
    });

    test('begins at the beginning, at the end, or at a time', async () => {
      const topic = unique('from');
      await broker.createTopics({ topic });
      const hour = 3_600_000;
      const base = 1_700_000_000_000;
      await produce(Array.from({ length: 10 }, (_, i) => ({ topic, value: `old ${i}`, timestamp: base + i * hour })));
      const earliest = start({ topics: [topic], from: 'earliest' });
      const timed = start({ topics: [topic], from: { timestampMs: base + 6 * hour - 1 } });
      const group = unique('latest');
      const latest = start({ topics: [topic], from: 'latest', group });
      await earliest.engine.until(() => earliest.engine.seen.length === 10);
      await timed.engine.until(() => timed.engine.seen.length === 4);
      await expect.poll(() => committed(group, topic), { timeout: 10_000 }).toEqual({ 0: 10 });
      await produce([{ topic, value: 'new' }]);
      for (const { engine } of [earliest, timed, latest]) await engine.until(() => engine.seen.some(({ text }) => text === 'new'));
      await Promise.all([earliest, timed, latest].map(stop));
      expect(timed.engine.seen[0].offset).toBe(6);
      expect(latest.engine.seen.map(({ text }) => text)).toEqual(['new']);
    });

    test('keeps its place in the group while the engine takes longer than the session', async () => {
      const topic = unique('slow');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 3));
      const run = start({ topics: [topic], sessionTimeoutMs: 1_500, maxBatchRecords: 1 });
      // The subject is time itself: one batch takes twice the session.
      run.engine.before = ({ records }) => (records[0].offset === 0 ? new Promise((resolve) => setTimeout(resolve, 3_000)) : undefined);
      await run.engine.until(() => run.engine.seen.length === 3);
      await run.source.commit({ [`${topic}/0`]: 3 });
      expect(run.engine.revocations).toEqual([]);
      await stop(run);
      expect(run.engine.seen.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    });

    test('hands partitions to a second member: every record handled once, the finished prefix committed', async () => {
      const topic = unique('pair');
      const group = unique('group');
      await broker.createTopics({ topic, partitions: 4 });
      await produce(numbered(topic, 4, 400));
      const shared = { topics: [topic], group, maxBatchRecords: 10 };
      const first = start(shared);
      // Slow enough that the second member comes while the first is in the middle.
      first.engine.before = () => new Promise((resolve) => setTimeout(resolve, 60));
      await first.engine.until(() => first.engine.seen.length >= 40);
      const second = start(shared);
      await first.engine.until(() => first.engine.revocations.length > 0);
      // kafkajs is an eager member and gives up everything; a cooperative one keeps what does not move, and goes on with it.
      expect(first.engine.revocations[0]).toHaveLength(driver === 'kafkajs' ? 4 : 2);
      first.engine.before = () => undefined;
      await produce(numbered(topic, 4, 400, 400));
      const both = () => [...first.engine.seen, ...second.engine.seen];
      await expect.poll(() => both().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(800);
      await stop(first);
      await stop(second);
      expect(second.engine.seen.length).toBeGreaterThan(0);
      expect(
        both()
          .map(({ text }) => text)
          .sort(),
      ).toEqual(
        numbered(topic, 4, 800)
          .map(({ value }) => value)
          .sort(),
      );
      expect(await committed(group, topic)).toEqual({ 0: 200, 1: 200, 2: 200, 3: 200 });
    });

    test('takes over from a member that leaves', async () => {
      const topic = unique('heir');
      const group = unique('group');
      await broker.createTopics({ topic, partitions: 2 });
      const first = start({ topics: [topic], group });
      const second = start({ topics: [topic], group });
      await produce(numbered(topic, 2, 20));
      const seen = () => [...first.engine.texts(), ...second.engine.texts()];
      await expect.poll(() => seen().length, { timeout: 15_000 }).toBe(20);
      await stop(first);
      await produce(numbered(topic, 2, 20, 20));
      await expect.poll(() => seen().length, { timeout: 15_000 }).toBe(40);
      await stop(second);
      expect(new Set(seen()).size).toBe(40);
    });

    test('says which records retention took before they were read', async () => {
      const topic = unique('expired');
      const group = unique('group');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 10));
      await broker.admin((admin) => admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '2' }] }));
      await deleteBefore(topic, 6);
      const gaps: OffsetGap[] = [];
      const run = start({ topics: [topic], group, onGap: (gap) => gaps.push(gap) });
      await run.engine.until(() => run.engine.seen.length === 4);
      await expect
        .poll(() => run.source.health())
        .toEqual({ ok: true, reason: '4 records expired before they were read', lagRecords: 0, driver });
      await stop(run);
      expect(gaps).toEqual([{ topic, partition: 0, fromOffset: 2, toOffset: 6, kind: 'expired' }]);
    });

    test('does not see aborted transactions, and goes on behind them', async () => {
      const topic = unique('txn');
      await broker.createTopics({ topic });
      const producer = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).producer({
        transactionalId: unique('id'),
        idempotent: true,
        maxInFlightRequests: 1,
        createPartitioner: Partitioners.DefaultPartitioner,
      });
      await producer.connect();
      for (const [value, ends] of [
        ['one', 'commit'],
        ['never', 'abort'],
        ['two', 'commit'],
        ['nor this', 'abort'],
      ] as const) {
        const transaction = await producer.transaction();
        await transaction.send({ topic, messages: [{ partition: 0, value }] });
        await transaction[ends]();
      }
      await producer.disconnect();
      const live = start({ topics: [topic] });
      const replay = start({ topics: [topic], until: 'end' });
      await replay.done;
      await live.engine.until(() => live.engine.seen.length === 2);
      await produce([{ topic, value: 'three' }]);
      await live.engine.until(() => live.engine.seen.length === 3);
      await stop(live);
      expect(replay.engine.seen.map(({ text }) => text)).toEqual(['one', 'two']);
      expect(live.engine.seen.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    });

    test('reads one record again by its place, and knows when it is gone', async () => {
      const topic = unique('sample');
      await broker.createTopics({ topic, partitions: 2 });
      await produce(numbered(topic, 2, 100));
      const source = new KafkaSource(options({ topics: [topic] }));
      expect(Buffer.from((await source.read(topic, 1, 37)) ?? '').toString()).toBe(`${topic} 75`);
      expect(Buffer.from((await source.read(topic, 0, 0)) ?? '').toString()).toBe(`${topic} 0`);
      expect(await source.read(topic, 0, 50)).toBeNull();
      expect(await source.read(topic, 0, 5_000)).toBeNull();
      await deleteBefore(topic, 10);
      expect(await source.read(topic, 0, 9)).toBeNull();
      expect(Buffer.from((await source.read(topic, 0, 10)) ?? '').toString()).toBe(`${topic} 20`);
      await source.stop();
    });

    test('ends its run with the error of an engine that fails', async () => {
      const topic = unique('fails');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 3));
      const run = start({ topics: [topic] });
      run.engine.before = () => Promise.reject(new Error('disk full'));
      await expect(run.done).rejects.toThrow('disk full');
      expect(run.engine.seen).toEqual([]);
    });
  });

  describe.skipIf(unavailable)('a bounded replay', () => {
    test('ends at the end it found, merged by time, and leaves the group alone', async () => {
      const topic = unique('replay');
      const group = unique('group');
      await broker.createTopics({ topic, partitions: 3 });
      // Partition 0 holds ten times the records of the others over the same hour.
      const sent = [0, 1, 2].flatMap((partition) =>
        Array.from({ length: partition === 0 ? 2000 : 200 }, (_, i) => ({
          topic,
          partition,
          value: `${partition}:${i}`,
          timestamp: 1_700_000_000_000 + i * (partition === 0 ? 1_800 : 18_000),
        })),
      );
      await produce(sent);
      const run = start({ topics: [topic], group, until: 'end', from: 'earliest', maxBatchRecords: 100 });
      let added = false;
      let furthestMs = 0;
      run.engine.before = async ({ records }) => {
        // No partition runs ahead of another by more than the records of a batch span.
        const newestMs = Math.max(...records.map(({ timestampMs }) => timestampMs));
        expect(newestMs).toBeGreaterThan(furthestMs - 100 * 18_000);
        furthestMs = Math.max(furthestMs, newestMs);
        if (!added) await produce([{ topic, value: 'too late' }]);
        added = true;
      };
      await run.done;
      expect(run.engine.texts()).toEqual(sent.map(({ value }) => value).sort());
      await run.source.commit({ [`${topic}/0`]: 5 });
      expect(await committed(group, topic)).toEqual({ 0: -1, 1: -1, 2: -1 });
      expect(await broker.admin((admin) => admin.describeGroups([group]))).toMatchObject({ groups: [{ state: 'Dead' }] });
      expect(run.source.health()).toEqual({ ok: true, reason: 'end of input', lagRecords: 0, driver: 'kafkajs' });
    });

    test('can begin and end at a time, and at positions', async () => {
      const topic = unique('span');
      await broker.createTopics({ topic });
      await produce(Array.from({ length: 10 }, (_, i) => ({ topic, value: `${i}`, timestamp: 1_700_000_000_000 + i * 1000 })));
      const timed = start({ topics: [topic], from: { timestampMs: 1_700_000_003_000 }, until: { timestampMs: 1_700_000_007_000 } });
      await timed.done;
      expect(timed.engine.texts()).toEqual(['3', '4', '5', '6']);
      const placed = start({ topics: [topic], until: 'end' }, { [`${topic}/0`]: 8 });
      await placed.done;
      expect(placed.engine.texts()).toEqual(['8', '9']);
    });

    test('of empty topics ends at once', async () => {
      const topic = unique('empty');
      await broker.createTopics({ topic, partitions: 2 });
      const run = start({ topics: [topic], until: 'end' });
      await run.done;
      expect(run.engine.seen).toEqual([]);
      expect([...run.engine.announced].sort()).toEqual([`${topic}/0`, `${topic}/1`]);
      expect(run.engine.endedKeys.sort()).toEqual([`${topic}/0`, `${topic}/1`]);
    });

    test('stops when told, and hands in nothing more', async () => {
      const topic = unique('halt');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 100));
      const run = start({ topics: [topic], until: 'end', maxBatchRecords: 10 });
      await run.engine.until(() => run.engine.batches.length === 1);
      await stop(run);
      const handed = run.engine.batches.length;
      expect(handed).toBeLessThan(10);
      await new Promise((resolve) => setImmediate(resolve));
      expect(run.engine.batches.length).toBe(handed);
    });
  });

  describe.skipIf(unavailable)('the Kafka sink', () => {
    test('writes findings that read back with key, headers and value, in order per finding', async () => {
      const topic = unique('findings');
      await broker.createTopics({ topic, partitions: 4 });
      const sink = new KafkaSink({ brokers: broker.brokers, driver, topic });
      await sink.open();
      const all: Finding[] = Array.from({ length: 300 }, (_, i) => ({
        ...finding,
        id: `finding-${i % 30}`,
        sequence: Math.floor(i / 30),
        activity: i < 30 ? 'open' : i < 270 ? 'update' : 'close',
        // Enough bytes for several requests.
        samples: [{ ...finding.samples[0], text: 'x'.repeat(4000) }],
      }));
      await Promise.all([sink.write(all.slice(0, 150)), sink.write(all.slice(150)), sink.write([])]);
      expect(sink.health()).toEqual({ ok: true, retries: 0 });
      await sink.close();
      const keys: { key: string; value: string; headers: Record<string, string> }[] = [];
      const consumer = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).consumer({ groupId: unique('reader') });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ message }) => {
          const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]));
          keys.push({ key: String(message.key), value: String(message.value), headers });
        },
      });
      await expect.poll(() => keys.length, { timeout: 15_000 }).toBe(300);
      await consumer.disconnect();
      for (let i = 0; i < 30; i++) {
        const mine = keys.filter(({ key }) => key === `finding-${i}`);
        const written = all.filter(({ id }) => id === `finding-${i}`);
        expect(mine.map(({ value }) => value)).toEqual(written.map((one) => findingJson(one)));
        expect(mine.map(({ headers }) => headers)).toEqual(written.map(cloudEventHeaders));
      }
      expect(findingSchema.safeParse(JSON.parse(keys[0].value)).success).toBe(true);
    });

    test('says that its topic does not exist', async () => {
      const topic = unique('absent');
      const sink = new KafkaSink({ brokers: broker.brokers, driver, topic, connectForMs: 500 });
      await expect(sink.open()).rejects.toThrow(/could not find topic absent-\w+: .*create the topic, or correct its name in the config/);
      expect(sink.health()).toMatchObject({ ok: false });
      await sink.close();
    });
  });

  describe.skipIf(unavailable)('a broker that cannot be used', () => {
    test('is a DependencyError within the bound when nobody answers', async () => {
      const nobody = { brokers: ['127.0.0.1:1'], connectForMs: 1_000 };
      const began = performance.now();
      const live = start({ topics: ['logs'], ...nobody });
      const replay = start({ topics: ['logs'], until: 'end', ...nobody });
      const sink = new KafkaSink({ driver, topic: 'findings', ...nobody });
      const results = await Promise.allSettled([live.done, replay.done, sink.open(), live.source.read('logs', 0, 0)]);
      expect(performance.now() - began).toBeLessThan(15_000);
      for (const result of results) {
        const reason = result.status === 'rejected' ? result.reason : undefined;
        expect(reason).toBeInstanceOf(DependencyError);
        expect(String(reason)).toMatch(/Kafka at 127\.0\.0\.1:1: could not (find|read) .*logs|findings/);
        expect(String(reason)).toMatch(/check `brokers` in the config/);
      }
      await sink.close();
    });

    test('is a DependencyError when the topic does not exist', async () => {
      const topic = unique('absent');
      const run = start({ topics: [topic], connectForMs: 500 });
      await expect(run.done).rejects.toThrow(/create the topic, or correct its name/);
    });

    test('stops at once while it is still trying', async () => {
      const run = start({ topics: ['logs'], brokers: ['127.0.0.1:1'], connectForMs: 60_000 });
      await expect.poll(() => run.source.health().ok, { timeout: 10_000 }).toBe(false);
      expect(run.source.health().reason).toMatch(/could not find logs/);
      const began = performance.now();
      await stop(run);
      expect(performance.now() - began).toBeLessThan(8_000);
    });
  });

  describe.skipIf(unavailable || process.env.KAFKA_BROKERS !== undefined)('a broker of our own', () => {
    test('may be killed and come back: the source goes on where it was, the sink writes what waited', { timeout: 90_000 }, async () => {
      const topic = unique('outage');
      const findings = unique('findings');
      const group = unique('group');
      await broker.createTopics({ topic, partitions: 2 }, { topic: findings });
      await produce(numbered(topic, 2, 100));
      const run = start({ topics: [topic], group });
      const sink = new KafkaSink({ brokers: broker.brokers, driver, topic: findings });
      await sink.open();
      await sink.write([finding]);
      await run.engine.until(() => run.engine.seen.length === 100);
      await broker.halt('SIGKILL');
      const written = sink.write([{ ...finding, activity: 'update', sequence: 1 }]);
      await expect.poll(() => [run.source.health().ok, sink.health().ok], { timeout: 30_000 }).toEqual([false, false]);
      expect(run.source.health().reason).toMatch(/could not consume/);
      await broker.resume();
      await produce(numbered(topic, 2, 100, 100));
      await run.engine.until(() => run.engine.seen.length >= 200);
      await written;
      expect(sink.health()).toMatchObject({ ok: true });
      expect(sink.health().retries).toBeGreaterThan(0);
      expect(run.engine.texts()).toEqual(
        numbered(topic, 2, 200)
          .map(({ value }) => value)
          .sort(),
      );
      expect(Buffer.from((await run.source.read(topic, 0, 3)) ?? '').toString()).toBe(`${topic} 6`);
      await stop(run);
      await sink.close();
      expect(await committed(group, topic)).toEqual({ 0: 100, 1: 100 });
      const back = start({ topics: [findings], until: 'end' });
      await back.done;
      const activities = back.engine.seen.map(({ text }) => findingSchema.parse(JSON.parse(text ?? '')).activity_id);
      expect([...new Set(activities)]).toEqual([1, 2]);
    });

    test('is used over TLS with SASL, and a wrong password is said as such', async () => {
      const { secure } = broker;
      if (!secure) throw new Error('no openssl here: install it, the secure listener needs a key store');
      const topic = unique('secure');
      await broker.createTopics({ topic });
      await produce(numbered(topic, 1, 3));
      const listener = { topics: [topic], brokers: [secure.broker], tls: { ca: secure.ca } };
      const login = { username: secure.username, password: secure.password };
      for (const mechanism of ['plain', 'scram-sha-512'] as const) {
        const run = start({ ...listener, sasl: { mechanism, ...login } });
        await run.engine.until(() => run.engine.seen.length === 3);
        await stop(run);
      }
      const wrong = start({ ...listener, sasl: { mechanism: 'scram-sha-512', ...login, password: 'wrong' } });
      await expect(wrong.done).rejects.toThrow(/check sasl\.mechanism, sasl\.username and sasl\.password/);
      const untrusted = start({ ...listener, tls: true, sasl: { mechanism: 'plain', ...login } });
      await expect(untrusted.done).rejects.toThrow(/check tls\.ca/);
    });
  });
});
