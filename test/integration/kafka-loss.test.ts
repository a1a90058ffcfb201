/** Records that retention took from a real broker before they were read: the windows around them say so. */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import type { CheckpointStore } from '../../src/checkpoint/checkpoint.ts';
import { Engine } from '../../src/engine.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { produce } from '../support/kafka-topic.ts';
import { MemoryCheckpoints, MemorySink } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

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
