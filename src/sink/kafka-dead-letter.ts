/** Records that could not be decoded, in a topic: the bytes as they were, where they lay and why in headers. */
import type { KafkaConnection } from '../source/kafka/kafka-client.ts';
import type { DeadLetter, DeadRecord } from './dead-letter.ts';
import { KafkaWriter } from './kafka-writer.ts';

export class KafkaDeadLetter implements DeadLetter {
  readonly name: string;
  private readonly writer: KafkaWriter;

  constructor(options: KafkaConnection & { readonly topic: string }) {
    this.name = `kafka:${options.topic}`;
    this.writer = new KafkaWriter(options, 'dead letters');
  }

  open(): Promise<void> {
    return this.writer.open();
  }

  write(records: readonly DeadRecord[]): Promise<void> {
    return this.writer.write(
      records.map(({ topic, partition, offset, reason, value }) => ({
        key: `${topic}/${partition}/${offset}`,
        // A record without a value is told apart from one with an empty value by its reason; a null value would be a tombstone.
        value: Buffer.from(value ?? []),
        headers: { topic, partition: String(partition), offset: String(offset), reason },
      })),
    );
  }

  close(): Promise<void> {
    return this.writer.close();
  }

  health() {
    return this.writer.health();
  }
}
