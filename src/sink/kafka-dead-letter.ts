/** Records that could not be decoded, in a topic: the bytes as they were, where they lay and why in headers. */
import { errorType, type KafkaConnection } from '../source/kafka/kafka-client.ts';
import type { DeadLetter, DeadRecord } from './dead-letter.ts';
import { KafkaWriter } from './kafka-writer.ts';

/** A topic takes 1 MiB at once unless it is told otherwise. */
const maxValueBytes = 768 * 1024;

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

  /** A record that the topic does not take as a whole is cut: what cannot be kept must not stop what can. */
  async write(records: readonly DeadRecord[]): Promise<void> {
    const messages = records.map(messageOf);
    const isLarge = ({ value }: DeadMessage) => value.length > maxValueBytes;
    await this.writer.write(messages.filter((message) => !isLarge(message)));
    for (const message of messages.filter(isLarge)) {
      try {
        await this.writer.write([message]);
      } catch (error) {
        if (errorType(error) !== 'MESSAGE_TOO_LARGE') throw error;
        await this.writer.write([cut(message)]);
      }
    }
  }

  close(): Promise<void> {
    return this.writer.close();
  }

  health() {
    return this.writer.health();
  }
}

interface DeadMessage {
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

function messageOf({ topic, partition, offset, reason, value, cutFromBytes }: DeadRecord): DeadMessage {
  return {
    key: `${topic}/${partition}/${offset}`,
    // A record without a value is told apart from one with an empty value by its reason; a null value would be a tombstone.
    value: Buffer.from(value ?? []),
    headers: {
      ...{ topic, partition: String(partition), offset: String(offset), reason },
      ...(cutFromBytes === undefined ? {} : { cutFromBytes: String(cutFromBytes) }),
    },
  };
}

function cut({ key, value, headers }: DeadMessage): DeadMessage {
  return { key, value: value.subarray(0, maxValueBytes), headers: { cutFromBytes: String(value.length), ...headers } };
}
