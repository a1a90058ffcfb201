/** The laws of sources, sinks and checkpoints, on a real broker. */
import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import { afterAll, beforeAll, describe } from 'vitest';
import { partitionKey } from '../../processors/record.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { RecordIntake } from '../../src/source/source.ts';
import { sinkLaws } from '../contracts/sink-laws.ts';
import { sourceLaws } from '../contracts/source-laws.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { topicCheckpointTests } from './checkpoint-topic-tests.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

let broker: KafkaBroker;
let producer: Producer;
const unique = (name: string) => `${name}-${randomBytes(4).toString('hex')}`;

beforeAll(async () => {
  if (unavailable) return;
  broker = await startKafka();
  producer = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
});

afterAll(async () => {
  await producer?.disconnect();
  await broker?.stop();
});

async function sourceHarness(driver: KafkaDriver, names: string[], until: 'end' | undefined) {
  const topic = unique('law');
  const group = unique('group');
  await broker.createTopics({ topic, partitions: names.length });
  const started: KafkaSource[] = [];
  return {
    partitions: names,
    source() {
      const source = new KafkaSource({ brokers: broker.brokers, driver, topics: [topic], group, dataset: 'app', format: 'auto', until });
      started.push(source);
      return source;
    },
    async write(name: string, lines: readonly string[]) {
      const partition = names.indexOf(name);
      await producer.send({ topic, messages: lines.map((line) => ({ partition, value: Buffer.from(line, 'latin1') })) });
    },
    async dispose() {
      for (const source of started) await source.stop().catch(() => undefined);
    },
  };
}

/** Findings in the order of the topic's one partition, read by a replay of the topic. */
async function stored(topic: string): Promise<{ id: string; sequence: number }[]> {
  const found: { id: string; sequence: number }[] = [];
  const intake: RecordIntake = {
    partitions: () => undefined,
    ended: (key) => {
      if (key !== partitionKey(topic, 0)) throw new Error(`a second partition: ${key}`);
    },
    revoked: () => Promise.resolve(),
    batch: async ({ records }) => {
      for (const { value } of records) {
        const { metadata, finding_info } = JSON.parse(Buffer.from(value ?? []).toString());
        found.push({ id: finding_info.uid, sequence: metadata.sequence });
      }
    },
  };
  const options = { brokers: broker.brokers, topics: [topic], group: unique('unused'), dataset: 'findings', format: 'json' };
  const source = new KafkaSource({ ...options, from: 'earliest', until: 'end' });
  await source.run({}, intake);
  await source.stop();
  return found;
}

describe.skipIf(unavailable)('the laws', { timeout: 40_000 }, () => {
  for (const driver of kafkaDrivers) sourceLaws(`kafka group over ${driver}`, () => sourceHarness(driver, ['p0', 'p1'], undefined));

  // One partition: a replay ends a second one that is empty at once, where the law on stopping expects no end. Many: `kafka.test.ts`.
  sourceLaws('kafka replay', () => sourceHarness('kafkajs', ['p0'], 'end'));

  for (const driver of kafkaDrivers) {
    sinkLaws(`kafka over ${driver}`, async () => {
      const topic = unique('findings');
      await broker.createTopics({ topic });
      const opened: KafkaSink[] = [];
      return {
        sink() {
          const sink = new KafkaSink({ brokers: broker.brokers, driver, topic });
          opened.push(sink);
          return sink;
        },
        stored: () => stored(topic),
        async dispose() {
          for (const sink of opened) await sink.close();
        },
      };
    });
  }

  topicCheckpointTests(() => broker);
});
