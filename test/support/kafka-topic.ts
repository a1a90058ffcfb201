/** Writing to and reading from a topic of a test's broker. */
import { randomBytes } from 'node:crypto';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { onTestFinished } from 'vitest';

export interface ToSend {
  readonly partition: number;
  readonly value: string;
  readonly timestampMs: number;
}

export interface Stored {
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Idempotent, so that what a producer has to send again is there once. */
export async function produce(brokers: readonly string[], topic: string, messages: readonly ToSend[]): Promise<void> {
  const producer = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, retry: { retries: 20 } }).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  try {
    await producer.send({
      topic,
      messages: messages.map(({ partition, value, timestampMs }) => ({ partition, value, timestamp: String(timestampMs) })),
    });
  } finally {
    await producer.disconnect();
  }
}

/** Collects a topic's messages from the beginning on, until the test is over. */
export async function collect(brokers: readonly string[], topic: string): Promise<Stored[]> {
  const stored: Stored[] = [];
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, retry: { retries: 50, maxRetryTime: 1000 } });
  const consumer = kafka.consumer({ groupId: `test-${randomBytes(4).toString('hex')}` });
  await consumer.connect();
  onTestFinished(() => consumer.disconnect());
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      stored.push({
        key: String(key),
        value: String(value),
        headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, header]) => [name, String(header)])),
      });
    },
  });
  return stored;
}
