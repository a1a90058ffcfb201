/** One broker for all tests of a file, and a producer for what they read. */
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll } from 'vitest';
import { connectKafkajs, type KafkaProducer } from '../../src/sink/kafka-producer.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from './kafka-broker.ts';

/** Why there can be none here, to skip with. */
export const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

export interface KafkaForAll {
  readonly broker: KafkaBroker;
  readonly producer: KafkaProducer;
}

/** To be called once in a file; to be looked into by its tests. */
export function kafkaForAll(): KafkaForAll {
  let broker: KafkaBroker | undefined;
  let producer: KafkaProducer | undefined;
  beforeAll(async () => {
    if (unavailable) return;
    broker = await startKafka();
    producer = await connectKafkajs(new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }));
  });
  afterAll(async () => {
    await producer?.disconnect();
    await broker?.stop();
  });
  const there = <T>(what: T | undefined): T => {
    if (what === undefined) throw new Error('asked for before the tests run, or where there is no broker');
    return what;
  };
  return {
    get broker() {
      return there(broker);
    },
    get producer() {
      return there(producer);
    },
  };
}
