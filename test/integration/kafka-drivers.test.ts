/** What the two Kafka drivers share beyond the laws, and what only one of them can. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel, type Message } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { DependencyError } from '../../src/errors.ts';
import { connectKafkajs, connectRdkafka } from '../../src/sink/kafka-producer.ts';
import { connectionSettings, connectRd, loadRdkafka } from '../../src/source/kafka/rdkafka-client.ts';
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { kafkaForAll, unavailable } from '../support/kafka-for-all.ts';
import { type KafkaRun, runSource, unique } from '../support/kafka-run.ts';
import { tempDir } from '../support/temp-dir.ts';
import { readAheadTests } from './kafka-read-ahead-tests.ts';
import { staticMemberTests } from './kafka-static-member-tests.ts';

const rdkafka = loadRdkafka().module;
const patience = { timeout: 20_000, interval: 50 };

const kafka = kafkaForAll();

function lines(from: number, count: number, partitions = 1): Message[] {
  return Array.from({ length: count }, (_, i) => ({ partition: (from + i) % partitions, value: `line ${from + i}` }));
}

const texts = (...runs: KafkaRun[]) => runs.flatMap(({ taken }) => taken.map(({ value }) => Buffer.from(value ?? []).toString()));
const numbers = (...runs: KafkaRun[]) =>
  texts(...runs)
    .map((text) => Number(text.slice('line '.length)))
    .sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Why the native driver cannot be expected to have been built. */
function noCompiler(): string | undefined {
  for (const tool of ['c++', 'make', 'python3']) {
    try {
      execFileSync(tool, ['--version'], { stdio: 'ignore' });
    } catch {
      return `no ${tool}`;
    }
  }
  return undefined;
}

const withoutCompiler = noCompiler();
if (withoutCompiler) console.log(`skipped: that node-rdkafka loads: ${withoutCompiler} to build it with`);

test.skipIf(withoutCompiler)('node-rdkafka loads wherever it could be built', () => {
  expect(loadRdkafka().reason).toBeUndefined();
  expect(rdkafka?.features).toEqual(
    expect.arrayContaining(['gzip', 'snappy', 'lz4', 'ssl', 'sasl_plain', 'sasl_scram', 'sasl_oauthbearer']),
  );
});

describe.skipIf(unavailable).each(kafkaDrivers)('over %s', (driver) => {
  test.each(['gzip', 'snappy', 'lz4', 'zstd'])('reads what the broker compressed with %s', async (codec) => {
    const topic = unique(codec);
    // The broker compresses again what came to it otherwise, with the Java libraries.
    await kafka.broker.createTopics({ topic, config: { 'compression.type': codec } });
    const long = 'GET /wp-login.php?page=1 '.repeat(8_000);
    await kafka.producer.send(topic, [...lines(0, 500), { value: long }]);
    const run = runSource({ brokers: kafka.broker.brokers, driver, topics: [topic], connectForMs: 3_000 });
    if (driver === 'rdkafka' && codec === 'zstd' && !rdkafka?.features.includes('zstd')) {
      const error = await run.done.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DependencyError);
      expect(String(error)).toMatch(/built without that compression .*or use `driver: kafkajs`/);
      return;
    }
    await expect.poll(() => run.taken.length, patience).toBe(501);
    expect(texts(run)).toEqual([...upTo(500).map((i) => `line ${i}`), long]);
    expect(Buffer.from((await run.source.read(topic, 0, 77)) ?? []).toString()).toBe('line 77');
  });

  test('reads nothing, an empty text and 5 MiB as they are, and bytes of headers', async () => {
    const topic = unique('sizes');
    await kafka.broker.createTopics({ topic, config: { 'max.message.bytes': String(8 * 1024 * 1024) } });
    const large = Buffer.alloc(5 * 1024 * 1024, 'é');
    const headers = { twice: ['first', 'last'], text: Buffer.from('ü\0x'), empty: '' };
    for (const value of [null, '', large, 'after']) await kafka.producer.send(topic, [{ value, headers }]);
    const run = runSource({ brokers: kafka.broker.brokers, driver, topics: [topic] });
    await expect.poll(() => run.taken.length, patience).toBe(4);
    expect(run.taken.map(({ value }) => value?.length ?? null)).toEqual([null, 0, large.length, 5]);
    expect(large.equals(run.taken[2].value ?? Buffer.alloc(0))).toBe(true);
    expect(run.taken[3].headers).toEqual({ twice: 'last', text: 'ü\0x', empty: '' });
  });

  test('announces the partitions a topic grows by, and reads them from their beginning', async () => {
    const topic = unique('grows');
    await kafka.broker.createTopics({ topic, partitions: 1 });
    await kafka.producer.send(topic, [{ value: 'before' }]);
    const run = runSource({ brokers: kafka.broker.brokers, driver, topics: [topic], from: 'latest', topicRefreshMs: 500 });
    await expect.poll(() => run.announced, patience).toEqual([`${topic}/0`]);
    await kafka.broker.admin((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
    const fresh = await connectKafkajs(new Kafka({ brokers: kafka.broker.brokers, logLevel: logLevel.NOTHING }));
    await fresh.send(topic, lines(0, 30, 3));
    await fresh.disconnect();
    await expect.poll(() => numbers(run).length, patience).toBe(30);
    expect(numbers(run)).toEqual(upTo(30));
    expect(new Set(run.announced)).toEqual(new Set([`${topic}/0`, `${topic}/1`, `${topic}/2`]));
  });

  test('reads the topics of a pattern, and those that come later', async () => {
    const id = unique('set');
    await kafka.broker.createTopics({ topic: `${id}-a` }, { topic: `${id}-b` }, { topic: `other-${id}` });
    for (const topic of [`${id}-a`, `${id}-b`, `other-${id}`]) await kafka.producer.send(topic, [{ value: topic }]);
    const options = { brokers: kafka.broker.brokers, driver, topics: [`/^${id}-\\w$/`], topicRefreshMs: 500 };
    const run = runSource(options);
    await expect.poll(() => texts(run).sort(), patience).toEqual([`${id}-a`, `${id}-b`]);
    await kafka.broker.createTopics({ topic: `${id}-c` });
    await kafka.producer.send(`${id}-c`, [{ value: `${id}-c` }]);
    await expect.poll(() => texts(run).sort(), patience).toEqual([`${id}-a`, `${id}-b`, `${id}-c`]);
    expect(Buffer.from((await run.source.read(`${id}-c`, 0, 0)) ?? []).toString()).toBe(`${id}-c`);
    await run.stop();
    const replay = runSource({ ...options, until: 'end' });
    await replay.done;
    expect(texts(replay).sort()).toEqual([`${id}-a`, `${id}-b`, `${id}-c`]);
    const none = runSource({ ...options, topics: [`/^no-${id}/`], connectForMs: 300 });
    await expect(none.done).rejects.toThrow(/no topic matches .*; create the topic, or correct its name/);
  });
});

test('where nobody answers the command ends with 3 and a next step, with either', { timeout: 60_000 }, async () => {
  builtCommand();
  const ends = async (driver: string) => {
    const cwd = await tempDir();
    const source = `{ kafka: { brokers: ["127.0.0.1:1"], topics: [logs], driver: ${driver} } }`;
    await writeFile(join(cwd, 'streamgauge.yaml'), `http: { listen: "127.0.0.1:0" }\nsources: [${source}]\n`);
    const began = performance.now();
    const { code, stderr } = await command(['run'], { cwd });
    expect(code).toBe(3);
    expect(stderr).toMatch(new RegExp(`"driver":"${driver}"|driver.*${driver}`));
    expect(stderr).toMatch(/Kafka at 127\.0\.0\.1:1: could not find logs: .*check `brokers` in the config/);
    expect(performance.now() - began).toBeLessThan(45_000);
  };
  await Promise.all(kafkaDrivers.map(ends));
});

describe.skipIf(unavailable || rdkafka === undefined)('what rdkafka alone can', () => {
  test.each(['gzip', 'snappy', 'lz4'])('writes %s that kafkajs reads', async (codec) => {
    if (rdkafka === undefined) throw new Error('not loaded');
    const topic = unique(codec);
    await kafka.broker.createTopics({ topic });
    const native = new rdkafka.Producer(
      { ...connectionSettings({ brokers: kafka.broker.brokers }), dr_cb: true, 'compression.codec': codec, 'linger.ms': 20 },
      {},
    );
    await connectRd(native, { brokers: kafka.broker.brokers }, 10_000);
    native.setPollInterval(10);
    const delivered = new Promise<void>((resolve) => {
      let count = 0;
      native.on('delivery-report', () => ++count === 2_000 && resolve());
    });
    for (const { value } of lines(0, 2_000)) native.produce(topic, 0, Buffer.from(String(value)), null, null, null);
    await delivered;
    await new Promise<void>((resolve) => native.disconnect(0, resolve));
    const run = runSource({ brokers: kafka.broker.brokers, driver: 'kafkajs', topics: [topic] });
    await expect.poll(() => run.taken.length, patience).toBe(2_000);
    expect(numbers(run)).toEqual(upTo(2_000));
  });

  test('puts a key where kafkajs puts it, with headers, times and a NUL that ends nothing', async () => {
    if (rdkafka === undefined) throw new Error('not loaded');
    const topic = unique('keys');
    await kafka.broker.createTopics({ topic, partitions: 5 });
    const native = await connectRdkafka(rdkafka, { brokers: kafka.broker.brokers });
    const messages = upTo(50).map((i) => ({ key: `key ${i}`, value: `line ${i}`, timestamp: '1700000000000', headers: { note: 'a\0b' } }));
    await native.send(topic, messages);
    await native.disconnect();
    await kafka.producer.send(topic, messages);
    const run = runSource({ brokers: kafka.broker.brokers, topics: [topic], until: 'end' });
    await run.done;
    const places = new Map<string, Set<string>>();
    for (const { key, value, headers, timestampMs } of run.taken) {
      const text = String(value);
      places.set(text, (places.get(text) ?? new Set()).add(key));
      expect(timestampMs).toBe(1_700_000_000_000);
      expect(headers?.note).toMatch(/^a[\0\ufffd]b$/);
    }
    expect([...places.values()].map(({ size }) => size)).toEqual(upTo(50).map(() => 1));
    expect(new Set(run.taken.map(({ key }) => key)).size).toBe(5);
  });

  test.each(['classic', 'consumer'] as const)(
    'with protocol %s, only what moves is revoked, and nothing is lost or repeated',
    async (protocol) => {
      const topic = unique('move');
      const group = unique('group');
      await kafka.broker.createTopics({ topic, partitions: 4 });
      await kafka.producer.send(topic, lines(0, 400, 4));
      const shared = { brokers: kafka.broker.brokers, driver: 'rdkafka', topics: [topic], group, protocol } as const;
      const first = runSource(shared);
      await expect.poll(() => first.taken.length, patience).toBe(400);
      const second = runSource(shared);
      await expect.poll(() => second.announced.length, { ...patience, timeout: 30_000 }).toBe(2);
      expect(first.revocations.flat()).toHaveLength(2);
      await kafka.producer.send(topic, lines(400, 400, 4));
      await expect.poll(() => numbers(first, second).length, patience).toBe(800);
      expect(numbers(first, second)).toEqual(upTo(800));
      expect(second.taken.length).toBeGreaterThan(0);
      await second.stop();
      await expect.poll(() => first.announced.length, { ...patience, timeout: 30_000 }).toBe(6);
      await kafka.producer.send(topic, lines(800, 40, 4));
      await expect.poll(() => numbers(first, second).length, patience).toBe(840);
      await first.stop();
      expect(numbers(first, second)).toEqual(upTo(840));
    },
    90_000,
  );

  staticMemberTests(kafka);

  test('waits for an engine that is slow with much before it, and loses and repeats nothing', async () => {
    const topic = unique('slow');
    await kafka.broker.createTopics({ topic, partitions: 2 });
    await kafka.producer.send(topic, lines(0, 20_000, 2));
    // The subject is time itself: one batch takes longer than the session and than a rebalance waits, while much is fetched already.
    let waited = 0;
    const slow = async (taken: readonly unknown[]) => {
      if (taken.length > 4_000 && waited++ === 0) await new Promise((resolve) => setTimeout(resolve, 5_000));
    };
    const options = { brokers: kafka.broker.brokers, topics: [topic], sessionTimeoutMs: 3_000, rebalanceTimeoutMs: 3_000 };
    const run = runSource({ ...options, driver: 'rdkafka' }, slow);
    await expect.poll(() => run.taken.length, patience).toBe(20_000);
    expect(waited).toBeGreaterThan(1);
    expect(numbers(run)).toEqual(upTo(20_000));
    expect(run.revocations).toEqual([]);
  });

  readAheadTests(kafka, rdkafka);

  test('says that members of the other driver are in its group', async () => {
    const topic = unique('mixed');
    const group = unique('group');
    await kafka.broker.createTopics({ topic, partitions: 2 });
    const shared = { brokers: kafka.broker.brokers, topics: [topic], group, connectForMs: 4_000 };
    const first = runSource({ ...shared, driver: 'kafkajs' });
    await expect.poll(() => first.announced.length, patience).toBe(2);
    const second = runSource({ ...shared, driver: 'rdkafka' });
    await expect(second.done).rejects.toThrow(/members of this group use another driver or protocol/);
    await kafka.producer.send(topic, lines(0, 10, 2));
    await expect.poll(() => numbers(first), patience).toEqual(upTo(10));
  }, 40_000);
});

describe.skipIf(unavailable || process.env.KAFKA_BROKERS !== undefined)('a broker that goes away', () => {
  test.each(kafkaDrivers)(
    'does not hold up a stop for long over %s, and a later run goes on from its commit',
    async (driver) => {
      const topic = unique('gone');
      const group = unique('group');
      await kafka.broker.createTopics({ topic });
      await kafka.producer.send(topic, lines(0, 10));
      const shared = { brokers: kafka.broker.brokers, driver, topics: [topic], group, sessionTimeoutMs: 6_000 };
      const run = runSource(shared);
      await expect.poll(() => numbers(run), patience).toEqual(upTo(10));
      await kafka.broker.halt('SIGKILL');
      const began = performance.now();
      await run.stop();
      expect(performance.now() - began).toBeLessThan(20_000);
      await kafka.broker.resume();
      await kafka.producer.send(topic, lines(10, 1));
      const again = runSource(shared);
      await expect.poll(() => numbers(again), { ...patience, timeout: 45_000 }).toContain(10);
      // A commit that was under way may still have come through: nothing is left out between it and the end.
      expect(numbers(again)).toEqual(upTo(11).slice(-numbers(again).length));
    },
    120_000,
  );

  test('does not keep the command from ending', async () => {
    builtCommand();
    const topic = unique('ends');
    await kafka.broker.createTopics({ topic });
    await kafka.producer.send(topic, lines(0, 10));
    const cwd = await tempDir();
    const source = `{ kafka: { brokers: ["${kafka.broker.brokers[0]}"], topics: [${topic}], group: ${unique('group')} } }`;
    await writeFile(join(cwd, 'streamgauge.yaml'), `http: { listen: "127.0.0.1:0" }\nsources: [${source}]\n`);
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    const health = async () => (await fetch(`${address}/healthz`)).json();
    await expect
      .poll(health, patience)
      .toMatchObject({ sources: { [`kafka:${topic}`]: { ok: true, lagRecords: 0, driver: kafkaDrivers.at(-1) } } });
    await kafka.broker.halt('SIGKILL');
    const began = performance.now();
    expect(await run.stop()).toMatchObject({ signal: null });
    // What lingers has 10 s after that (`src/cli.ts`); librdkafka would try to leave the group until the session is over, 30 s.
    expect(performance.now() - began).toBeLessThan(25_000);
    await kafka.broker.resume();
  }, 90_000);
});
