/** How far a topic is known that we write to, by partition; and reading what lies past that, whoever wrote it. */
import type { Kafka, KafkaMessage } from 'kafkajs';
import { partitionKey } from '../../processors/record.ts';
import { KafkaReader, type OffsetAt } from '../source/kafka/kafka-reader.ts';
import type { TopicEnds } from './kafka-producer.ts';

const fetchBytes = 1024 * 1024;
const fetchWaitMs = 100;
/** Empty answers in a row, before the end, after which a partition counts as read: what is missing was compacted away. */
const emptyFetches = 3;

export class TopicTail {
  private readonly topic: string;
  private readonly reader: KafkaReader;
  /** Everything before it is known: written by us and acknowledged, or read. */
  private readonly ends = new Map<number, number>();

  constructor(kafka: Kafka, topic: string) {
    this.topic = topic;
    this.reader = new KafkaReader(kafka);
  }

  /** Everything that is in the topic now is known from here on. Rejects with the client's error. */
  async open(): Promise<void> {
    await this.reader.connect([this.topic]);
    for (const [partition, end] of await this.offsets('latest')) this.ends.set(partition, end);
  }

  close(): Promise<void> {
    return this.reader.disconnect();
  }

  /** Ours, and acknowledged. */
  wrote(ends: TopicEnds): void {
    for (const [partition, end] of ends) this.ends.set(partition, Math.max(this.ends.get(partition) ?? 0, end));
  }

  /**
   * Goes back to where it was known before. A partition that has no place there (it is newer), or ends before it (the topic was made anew),
   * is not known at all.
   */
  async goBack(ends: TopicEnds): Promise<void> {
    const [first, last] = [await this.offsets('earliest'), await this.offsets('latest')];
    for (const [partition, end] of last) {
      const earliest = first.get(partition) ?? 0;
      const known = ends.get(partition) ?? earliest;
      this.ends.set(partition, known > end ? earliest : Math.max(known, earliest));
    }
  }

  /** Goes back to what came at this time, by the broker's index, or later. */
  async goBackTo(timestampMs: number): Promise<void> {
    for (const [partition, offset] of await this.offsets({ timestampMs })) this.ends.set(partition, offset);
  }

  /** Reads up to the ends that the partitions have now, which are known then. May be called again when it was rejected. */
  async catchUp(each: (message: KafkaMessage) => void): Promise<void> {
    for (const [partition, end] of await this.offsets('latest')) {
      let at = this.ends.get(partition) ?? 0;
      for (let empty = 0; at < end && empty < emptyFetches; ) {
        const { messages, nextOffset, outOfRange } = await this.reader.fetch(this.topic, partition, at, fetchBytes, fetchWaitMs);
        if (outOfRange) break;
        for (const message of messages) each(message);
        empty = nextOffset === at ? empty + 1 : 0;
        at = nextOffset;
        this.ends.set(partition, at);
      }
      this.ends.set(partition, Math.max(at, end));
    }
  }

  /** For a mark. */
  toJson(): Record<string, number> {
    return Object.fromEntries(this.ends);
  }

  private async offsets(at: OffsetAt): Promise<Map<number, number>> {
    // The topic may have grown.
    if (at !== 'earliest') await this.reader.refresh();
    const partitions = this.reader.partitions(this.topic).map((partition) => ({ topic: this.topic, partition }));
    const found = await this.reader.offsets(partitions, at);
    return new Map(
      partitions.flatMap(({ partition }) => {
        const offset = found.get(partitionKey(this.topic, partition));
        return offset === undefined ? [] : [[partition, offset] as const];
      }),
    );
  }
}
