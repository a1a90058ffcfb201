/** What a real topic may hold that is no event: records that retention took before they were read, and poison of every kind. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import type { CheckpointStore } from '../../src/checkpoint/checkpoint.ts';
import { Engine } from '../../src/engine.ts';
import { createDeadLetterFile } from '../../src/sink/dead-letter.ts';
import { KafkaDeadLetter } from '../../src/sink/kafka-dead-letter.ts';
import { connectKafkajs } from '../../src/sink/kafka-producer.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { collect, produce } from '../support/kafka-topic.ts';
import { MemoryCheckpoints, MemorySink } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';
import { tempDir } from '../support/temp-dir.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const patience = { timeout: 60_000, interval: 50 };
const silent = ruleOf(
  'id: silent\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { silence: { after: 60s } }',
);

let broker: KafkaBroker;
beforeAll(async () => {
  if (!unavailable) broker = await startKafka();
}, 120_000);
afterAll(() => broker?.stop());

function send(topic: string, ...seconds: number[]): Promise<void> {
  const messages = seconds.map((second) => ({
    partition: 0,
    value: JSON.stringify({ time: baseMs + second * 1000 }),
    timestampMs: baseMs + second * 1000,
  }));
  return produce(broker.brokers, topic, messages);
}

/** Runs until so many records were read in all, from the checkpoint on, and stops. */
async function run(
  topic: string,
  group: string,
  checkpoints: CheckpointStore,
  records: number,
): Promise<{ sink: MemorySink; pipeline: Pipeline }> {
  const source = new KafkaSource({ brokers: broker.brokers, topics: [topic], group, dataset: 'app', format: 'json' });
  const [sink, pipeline] = [new MemorySink(), new Pipeline([silent])];
  const engine = new Engine(
    { sources: [source], sinks: [sink], pipeline, checkpoints, log: pino({ level: 'silent' }), clock: Date.now },
    { idleMs: Number.POSITIVE_INFINITY },
  );
  const running = engine.run();
  await expect.poll(() => pipeline.counters.records, patience).toBe(records);
  engine.stop();
  await running;
  return { sink, pipeline };
}

describe.skipIf(unavailable)('records that are gone before they are read', () => {
  test.each([
    ['expired', 'with a silence that would be one without them', true],
    ['none', 'and without them gone the silence is one', false],
  ])('%s: %s', { timeout: 120_000 }, async (_, __, gone) => {
    const id = randomBytes(4).toString('hex');
    const [topic, group] = [`lossy-${id}`, `group-${id}`];
    await broker.createTopics({ topic, partitions: 1 });
    await send(topic, 0, 1);
    const checkpoints = new MemoryCheckpoints();
    await run(topic, group, checkpoints, 2);
    // What is sent here is read by nobody: with `gone` it is deleted, as retention would, before the next start.
    if (gone) {
      await send(topic, 50, 100, 150);
      await broker.admin(async (admin) => {
        // kafkajs looks up the leader in what it has loaded, and loads nothing for this itself.
        await admin.fetchTopicOffsets(topic);
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '5' }] });
      });
    }
    await send(topic, 200, 201);
    const { sink, pipeline } = await run(topic, group, checkpoints, 2);
    const rules = sink.findings.map(({ rule, activity }) => `${rule} ${activity}`);
    if (!gone) {
      expect(rules).toContain('silent open');
      return;
    }
    expect(rules).toEqual(['streamgauge.records_lost open']);
    expect(sink.findings[0]).toMatchObject({ value: 3, key: { source: `kafka:${topic}`, partition: `${topic}/0` } });
    expect(pipeline.counters).toMatchObject({ losses: { expired: 1 }, lostRecords: { expired: 3 } });
  });
});

const many = ruleOf('id: many\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 4 }');
const hourMs = 3_600_000;

/** A value, its record's timestamp, and why it ends in the dead letter; undefined: it counts. */
type Poison = readonly [value: Buffer | string | null, timestampMs: number, reason: string | undefined];

function poison(): Poison[] {
  const event = (fields: object) => JSON.stringify({ 'client.address': '198.51.100.7', ...fields });
  return [
    [null, baseMs, 'empty'],
    ['', baseMs, 'empty'],
    [Buffer.from([0xff, 0xfe, 0x00, 0x01, 0x80]), baseMs, 'bad_utf8'],
    [Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 197) & 0xff)), baseMs, 'bad_utf8'],
    ['{"time":', baseMs, 'bad_json'],
    ['[1,2]', baseMs, 'not_an_object'],
    [`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, baseMs, 'too_deep'],
    ['{"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}}}', baseMs, undefined],
    [Buffer.alloc(5 * 1024 * 1024, 'x'), baseMs, 'too_long'],
    [event({ message: 'x'.repeat(5 * 1024 * 1024) }), baseMs, 'too_long'],
    // Times that are none, or wrong: of the event, and of the record.
    [event({ time: 'yesterday' }), baseMs, undefined],
    [event({ time: { a: 1 } }), baseMs, undefined],
    [event({ time: -1 }), baseMs, undefined],
    [event({ time: 0 }), baseMs, undefined],
    [event({ time: 1e300 }), baseMs, undefined],
    [event({ time: baseMs + 24 * hourMs }), baseMs, 'future_dated'],
    [event({ time: '9999-12-31T23:59:59Z' }), baseMs, 'future_dated'],
    [event({}), 0, undefined],
    [event({ time: baseMs }), 0, 'future_dated'],
  ];
}

describe.skipIf(unavailable).each(kafkaDrivers)('a poisoned topic, over %s', (driver) => {
  test('stops nothing and hides nothing: each record is counted, and kept where it is no event', { timeout: 60_000 }, async () => {
    const id = randomBytes(4).toString('hex');
    const [topic, dead] = [`poison-${id}`, `dead-${id}`];
    const large = { 'max.message.bytes': String(8 * 1024 * 1024) };
    // The dead letter takes what topics take by default.
    await broker.createTopics({ topic, config: large }, { topic: dead });
    const poisons = poison();
    // An attack with poison between its records.
    const attack = Array.from({ length: 6 }, (_, i) => JSON.stringify({ time: baseMs + i * 1000, 'client.address': '203.0.113.9' }));
    const end = JSON.stringify({ time: baseMs + hourMs, 'client.address': '192.0.2.1' });
    const half = attack.slice(0, 3).map((value): Poison => [value, baseMs, undefined]);
    const rest = attack.slice(3).map((value): Poison => [value, baseMs, undefined]);
    const all = [...half, ...poisons, ...rest, [end, baseMs + hourMs, undefined] as Poison];
    const producer = await connectKafkajs(new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }));
    for (const [value, timestampMs] of all) await producer.send(topic, [{ value, timestamp: String(timestampMs) }]);
    await producer.disconnect();
    const deadText = await collect(broker.brokers, dead);

    const file = join(await tempDir(), 'dead.jsonl');
    const [toFile, toTopic] = [createDeadLetterFile({ path: file }), new KafkaDeadLetter({ brokers: broker.brokers, driver, topic: dead })];
    const [sink, pipeline] = [new MemorySink(), new Pipeline([many])];
    const source = new KafkaSource({ brokers: broker.brokers, driver, topics: [topic], group: id, dataset: 'app', format: 'json' });
    const engine = new Engine(
      {
        sources: [source],
        sinks: [sink],
        pipeline,
        deadLetter: {
          name: 'both',
          open: async () => void (await Promise.all([toFile.open(), toTopic.open()])),
          write: async (records) => void (await Promise.all([toFile.write(records), toTopic.write(records)])),
          close: async () => void (await Promise.all([toFile.close(), toTopic.close()])),
          health: () => toFile.health(),
        },
        checkpoints: new MemoryCheckpoints(),
        log: pino({ level: 'silent' }),
        clock: Date.now,
      },
      { idleMs: Number.POSITIVE_INFINITY },
    );
    const running = engine.run();
    await expect.poll(() => pipeline.counters.records, patience).toBe(all.length);
    engine.stop();
    await running;

    const refused = all.flatMap(([value, , reason], offset) =>
      reason === undefined ? [] : [{ topic, partition: 0, offset, reason, value }],
    );
    const kept = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(kept.map(({ offset, reason }) => `${offset} ${reason}`)).toEqual(refused.map(({ offset, reason }) => `${offset} ${reason}`));
    for (const [i, { value }] of refused.entries()) {
      const bytes = kept[i].base64 === undefined ? Buffer.from(kept[i].text ?? '') : Buffer.from(kept[i].base64, 'base64');
      expect(bytes.equals(Buffer.from(value ?? ''))).toBe(true);
    }
    await expect.poll(() => deadText.length, patience).toBe(refused.length);
    for (const { offset, value } of refused) {
      const stored = deadText.find(({ key }) => key === `${topic}/0/${offset}`);
      const length = value?.length ?? 0;
      expect(stored?.headers.cutFromBytes).toBe(length > 1024 ** 2 ? String(length) : undefined);
    }
    const counted: Record<string, number> = {};
    for (const { reason } of refused) counted[reason] = (counted[reason] ?? 0) + 1;
    expect(pipeline.counters.rejected).toEqual(counted);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    // Found as it is, told as one of which something may be missing; and nobody's clock was moved by poison.
    const [opened] = sink.findings.filter(({ rule, activity }) => rule === 'many' && activity === 'open');
    expect(sink.findings.map(({ key }) => key['client.address'])).toContain('203.0.113.9');
    expect(opened).toMatchObject({ degraded: true });
    expect(pipeline.watermark.highMs).toBe(baseMs + hourMs);
  });
});
