/** What the bare Kafka client does on this machine: the rate that the engine's own is a share of. */
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { connectRd, loadRdkafka, memberSettings, type RdMessage, rdFailure } from '../../src/source/kafka/rdkafka-client.ts';
import { type KafkaBroker, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';

export interface KafkaClientRate {
  readonly driver: KafkaDriver;
  readonly records: number;
  readonly bytesPerRecord: number;
  readonly partitions: number;
  /** Of kafkajs, which writes what both read. */
  readonly produceRecordsPerSecond: number;
  readonly consumeRecordsPerSecond: number;
}

/** 16 KiB of lines of 375 bytes: what a producer puts into one batch by default, and so what a broker gives out as one piece. */
const batchRecords = 43;

/** Writes lines round-robin over the partitions in idempotent requests; resolves with records per second. */
export async function produceLines(brokers: string[], topic: string, partitions: number, lines: Iterable<Buffer>): Promise<number> {
  const producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  try {
    let count = 0;
    const began = performance.now();
    let messages: { partition: number; value: Buffer }[] = [];
    for (const value of lines) {
      messages.push({ partition: count++ % partitions, value });
      if (messages.length === batchRecords * partitions) {
        await producer.send({ topic, messages });
        messages = [];
      }
    }
    if (messages.length > 0) await producer.send({ topic, messages });
    return (count / (performance.now() - began)) * 1000;
  } finally {
    await producer.disconnect();
  }
}

/** The bare client: looks at every message's length and does nothing else. Resolves with records per second. */
export function consumeBare(brokers: string[], topic: string, expected: number, driver: KafkaDriver = 'kafkajs'): Promise<number> {
  return driver === 'kafkajs' ? consumeKafkajs(brokers, topic, expected) : consumeRdkafka(brokers, topic, expected);
}

/** `consume(1000)` in a row, with the settings of the source. */
async function consumeRdkafka(brokers: string[], topic: string, expected: number): Promise<number> {
  const { module, reason } = loadRdkafka();
  if (module === undefined) throw new Error(`node-rdkafka does not load: ${reason}`);
  const settings = memberSettings({ brokers, topics: [topic], group: `bench-${Date.now()}`, dataset: 'app', format: 'auto' });
  const consumer = new module.KafkaConsumer(settings, { 'auto.offset.reset': 'earliest' });
  consumer.setDefaultConsumeTimeout(100);
  await connectRd(consumer, { brokers }, 10_000);
  consumer.subscribe([topic]);
  try {
    let count = 0;
    let bytes = 0;
    let began = 0;
    while (count < expected) {
      const messages = await new Promise<RdMessage[]>((resolve, reject) => {
        consumer.consume(1_000, (error, found = []) => (error ? reject(rdFailure(error)) : resolve(found)));
      });
      if (began === 0 && messages.length > 0) began = performance.now();
      for (const { value } of messages) bytes += value?.length ?? 0;
      count += messages.length;
    }
    const tookMs = performance.now() - began;
    if (bytes === 0) throw new Error(`${topic}: ${count} records without a byte`);
    return (count / tookMs) * 1000;
  } finally {
    await new Promise<void>((resolve) => consumer.disconnect(resolve));
  }
}

/** `eachBatch`. */
async function consumeKafkajs(brokers: string[], topic: string, expected: number): Promise<number> {
  const consumer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).consumer({ groupId: `bench-${Date.now()}`, maxWaitTimeInMs: 500 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let count = 0;
  let bytes = 0;
  let began = 0;
  try {
    const tookMs = await new Promise<number>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      consumer
        .run({
          autoCommit: false,
          eachBatch: async ({ batch }) => {
            if (began === 0) began = performance.now();
            for (const message of batch.messages) bytes += message.value?.length ?? 0;
            count += batch.messages.length;
            if (count >= expected) resolve(performance.now() - began);
          },
        })
        .catch(reject);
    });
    if (bytes === 0) throw new Error(`${topic}: ${count} records without a byte`);
    return (count / tookMs) * 1000;
  } finally {
    await consumer.disconnect();
  }
}

/**
 * Produces `records` messages of 375 bytes over 4 partitions, and consumes them with nothing but each driver that loads. Starts a broker
 * unless it is given one; the drivers take turns three times, and the median is taken.
 */
export async function benchKafkaClient(records = 400_000, given?: KafkaBroker): Promise<KafkaClientRate[]> {
  const broker = given ?? (await startKafka());
  const partitions = 4;
  const bytesPerRecord = 375;
  const topic = `bench-${Date.now()}`;
  try {
    await broker.createTopics({ topic, partitions });
    const value = Buffer.alloc(bytesPerRecord, 'x');
    const produceRecordsPerSecond = await produceLines(broker.brokers, topic, partitions, repeat(value, records));
    const rates = new Map<KafkaDriver, number[]>(kafkaDrivers.map((driver) => [driver, []]));
    for (let run = 0; run < 3; run++) {
      for (const [driver, list] of rates) list.push(await consumeBare(broker.brokers, topic, records, driver));
    }
    return [...rates].map(([driver, list]) => {
      const consumeRecordsPerSecond = list.sort((a, b) => a - b)[1];
      return { driver, records, bytesPerRecord, partitions, produceRecordsPerSecond, consumeRecordsPerSecond };
    });
  } finally {
    if (!given) await broker.stop();
  }
}

function* repeat(value: Buffer, count: number): Generator<Buffer> {
  for (let i = 0; i < count; i++) yield value;
}
