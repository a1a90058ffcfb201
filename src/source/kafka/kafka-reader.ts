/**
 * Reading Kafka without a group: offsets of partitions, and fetches by partition and offset. Nothing is joined, nothing is committed, so
 * it may run beside a group, with no right but Read and Describe on its topics. Used for samples, bounded replays and start positions.
 */
import type { Cluster, Consumer, Kafka, KafkaMessage } from 'kafkajs';
import { partitionKey } from '../../../processors/record.ts';
import { createConsumer, errorType } from './kafka-client.ts';
import { safeOffset } from './kafka-record.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export type OffsetAt = 'earliest' | 'latest' | { readonly timestampMs: number };

/** What one fetch gave of a partition: records that may be seen (no control records, nothing of aborted transactions), in order. */
export interface Fetched {
  readonly messages: readonly KafkaMessage[];
  /** Where to go on: past control and aborted records too; the fetched offset itself if nothing came. */
  readonly nextOffset: number;
  /** True if the offset was no longer (or not yet) there: nothing was read. */
  readonly outOfRange: boolean;
}

/** The parts of a fetch response that kafkajs' types leave out. */
interface FetchResponse {
  responses: {
    topicName: string;
    partitions: { partition: number; messages: RawMessage[]; abortedTransactions?: { producerId: string; firstOffset: string }[] }[];
  }[];
}
type RawMessage = KafkaMessage & { isControlRecord?: boolean; batchContext?: { producerId: string; inTransaction: boolean } };

const readCommitted = 1;

export class KafkaReader {
  readonly #consumer: Consumer;
  readonly #cluster: Cluster;
  /** The last fetch of each broker, by node id. */
  readonly #fetches = new Map<string, Promise<unknown>>();

  constructor(kafka: Kafka) {
    // The group id is never sent: a consumer that is not run joins nothing.
    const { consumer, cluster } = createConsumer(kafka, { groupId: 'streamgauge-reader-unused' });
    this.#consumer = consumer;
    this.#cluster = cluster;
  }

  /** Connects and learns the topics' partitions. Rejects with kafkajs' error, e.g. UNKNOWN_TOPIC_OR_PARTITION. */
  async connect(topics: readonly string[]): Promise<void> {
    await this.#cluster.connect();
    await this.#cluster.addMultipleTargetTopics([...topics]);
  }

  /** Names of all topics that this user may see, without Kafka's own. Connects. */
  async listTopics(): Promise<string[]> {
    await this.#cluster.connect();
    const { topicMetadata } = (await this.#cluster.metadata()) as { topicMetadata: { topic: string; isInternal?: boolean }[] };
    return topicMetadata.filter(({ isInternal }) => !isInternal).map(({ topic }) => topic);
  }

  /** The id that no other cluster has; undefined where the brokers give none. Connects. */
  async clusterId(): Promise<string | undefined> {
    await this.#cluster.connect();
    const { clusterId } = (await this.#cluster.metadata()) as { clusterId?: string | null };
    return clusterId ?? undefined;
  }

  /** Learns what has changed: new partitions, other leaders. */
  async refresh(): Promise<void> {
    await this.#cluster.refreshMetadata();
  }

  async disconnect(): Promise<void> {
    await this.#consumer.disconnect();
  }

  /** The partitions of a connected topic, in order. */
  partitions(topic: string): number[] {
    return this.#cluster
      .findTopicPartitionMetadata(topic)
      .map((partition) => partition.partitionId)
      .sort((a, b) => a - b);
  }

  /** Offsets of partitions, by partition key. `latest` ends before open transactions; a time past the last record gives the end. */
  async offsets(partitions: readonly TopicPartition[], at: OffsetAt): Promise<Map<string, number>> {
    const byTopic = new Map<string, { partition: number }[]>();
    for (const { topic, partition } of partitions) {
      const list = byTopic.get(topic);
      if (list) list.push({ partition });
      else byTopic.set(topic, [{ partition }]);
    }
    const found = new Map<string, number>();
    const missing: TopicPartition[] = [];
    const asked = [...byTopic].map(([topic, list]) =>
      typeof at === 'string'
        ? { topic, partitions: list, fromBeginning: at === 'earliest' }
        : { topic, partitions: list, fromTimestamp: at.timestampMs },
    );
    await this.#cluster.refreshMetadataIfNecessary();
    for (const { topic, partitions: list } of await this.#cluster.fetchTopicsOffset(asked)) {
      for (const { partition, offset } of list) {
        if (Number(offset) >= 0) found.set(partitionKey(topic, partition), safeOffset(topic, partition, offset));
        else missing.push({ topic, partition });
      }
    }
    if (missing.length > 0) for (const [key, offset] of await this.offsets(missing, 'latest')) found.set(key, offset);
    return found;
  }

  /** What the group has committed, by partition key; partitions without a commit are left out. */
  async committed(groupId: string, partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    const coordinator = await this.#cluster.findGroupCoordinator({ groupId });
    const topics = [...new Set(partitions.map(({ topic }) => topic))].map((topic) => ({
      topic,
      partitions: partitions.filter((one) => one.topic === topic).map(({ partition }) => ({ partition, offset: '-1' })),
    }));
    const found = new Map<string, number>();
    for (const { topic, partitions: list } of (await coordinator.offsetFetch({ groupId, topics })).responses) {
      for (const { partition, offset } of list) {
        if (Number(offset) >= 0) found.set(partitionKey(topic, partition), safeOffset(topic, partition, offset));
      }
    }
    return found;
  }

  /** Reads on from `offset`; waits up to `maxWaitMs` for something to come. At least one whole batch of records, whatever `maxBytes` says. */
  async fetch(topic: string, partition: number, offset: number, maxBytes: number, maxWaitMs: number): Promise<Fetched> {
    await this.#cluster.refreshMetadataIfNecessary();
    const leader = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]))[0];
    if (leader === undefined) return { messages: [], nextOffset: offset, outOfRange: true };
    const request = {
      isolationLevel: readCommitted,
      maxWaitTime: maxWaitMs,
      minBytes: 1,
      maxBytes,
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }],
    };
    let response: FetchResponse;
    try {
      response = await this.#inTurn(leader, async () => {
        const broker = await this.#cluster.findBroker({ nodeId: leader });
        return (await broker.fetch(request)) as FetchResponse;
      });
    } catch (error) {
      if (errorType(error) === 'OFFSET_OUT_OF_RANGE') return { messages: [], nextOffset: offset, outOfRange: true };
      // The leader moved or went away: the next call asks the one the cluster names then.
      await this.#cluster.refreshMetadata().catch(() => undefined);
      throw error;
    }
    const part = response.responses[0]?.partitions[0];
    if (!part || part.messages.length === 0) return { messages: [], nextOffset: offset, outOfRange: false };
    const last = part.messages[part.messages.length - 1];
    return {
      messages: visible(part.messages, part.abortedTransactions ?? []).filter((message) => Number(message.offset) >= offset),
      nextOffset: Math.max(offset, safeOffset(topic, partition, last.offset) + 1),
      outOfRange: false,
    };
  }

  /**
   * One fetch of a broker at a time. Where two find its connection closed, kafkajs opens a socket for each and forgets the first, which
   * keeps the process alive until the broker closes it, ten minutes later. A broker answers the fetches of a connection in turn anyway.
   */
  #inTurn<T>(nodeId: string, fetch: () => Promise<T>): Promise<T> {
    const done = (this.#fetches.get(nodeId) ?? Promise.resolve()).then(fetch);
    this.#fetches.set(
      nodeId,
      done.catch(() => undefined),
    );
    return done;
  }
}

/** Drops control records and what aborted transactions wrote (Kafka sends both; a transaction ends at its producer's abort marker). */
function visible(messages: readonly RawMessage[], aborted: readonly { producerId: string; firstOffset: string }[]): RawMessage[] {
  const starts = [...aborted].sort((a, b) => Number(a.firstOffset) - Number(b.firstOffset));
  const aborting = new Set<string>();
  let began = 0;
  const kept: RawMessage[] = [];
  for (const message of messages) {
    while (began < starts.length && Number(message.offset) >= Number(starts[began].firstOffset)) aborting.add(starts[began++].producerId);
    const producer = message.batchContext?.producerId ?? '';
    if (message.isControlRecord) {
      // Abort or commit: either way this producer's transaction is over.
      aborting.delete(producer);
    } else if (!(message.batchContext?.inTransaction && aborting.has(producer))) {
      kept.push(message);
    }
  }
  return kept;
}
