/**
 * Ranges of partitions, read without a group and merged by their records' timestamps, so that event time moves through all of them together
 * and few panes stay open, however unequal they are.
 */
import type { KafkaMessage } from 'kafkajs';
import { partitionKey, type RecordBatch } from '../../../processors/record.ts';
import { outageForMsDefault, persist } from './kafka-client.ts';
import { type KafkaSourceOptions, maxBatchRecordsDefault } from './kafka-options.ts';
import type { Fetched, KafkaReader, TopicPartition } from './kafka-reader.ts';
import { toRecords } from './kafka-record.ts';

const fetchBytes = 2 * 1024 * 1024;
/** Empty answers in a row, before its end, after which a partition counts as read: what is missing there was compacted away. */
const emptyFetches = 3;

/** Offsets [start, end) of a partition. */
export interface LaneRange extends TopicPartition {
  readonly start: number;
  readonly end: number;
}

export interface LaneIntake {
  batch(records: RecordBatch): Promise<void>;
  /** Everything of this partition has been handed in. */
  ended(key: string): void;
}

interface Lane extends TopicPartition {
  next: number;
  readonly end: number;
  messages: readonly KafkaMessage[];
  /** The next of `messages` to hand in. */
  at: number;
  /** Where to fetch on. */
  fetchFrom: number;
  empty: number;
  pending: Promise<Fetched> | undefined;
  ended: boolean;
}

export class KafkaLanes {
  readonly #options: KafkaSourceOptions;
  readonly #reader: KafkaReader;
  readonly #lanes: readonly Lane[];
  #stopping = false;

  constructor(options: KafkaSourceOptions, reader: KafkaReader, ranges: readonly LaneRange[]) {
    this.#options = options;
    this.#reader = reader;
    this.#lanes = ranges.map(({ topic, partition, start, end }) => {
      return { topic, partition, next: start, end, messages: [], at: 0, fetchFrom: start, empty: 0, pending: undefined, ended: false };
    });
  }

  /** Resolves at the end of every range, or after `stop`. Rejects with a DependencyError, or with what `into.batch` rejected with. */
  async run(into: LaneIntake): Promise<void> {
    while (!this.#stopping) {
      const lane = await this.#oldest();
      for (const finished of this.#lanes.filter((one) => !one.ended && one.next >= one.end)) {
        finished.ended = true;
        into.ended(partitionKey(finished.topic, finished.partition));
      }
      if (!lane) return;
      await this.#handIn(lane, into);
    }
    await Promise.allSettled(this.#lanes.map((lane) => lane.pending));
  }

  stop(): void {
    this.#stopping = true;
  }

  /** Records still to come. */
  lag(): number {
    return this.#lanes.reduce((sum, lane) => sum + Math.max(0, lane.end - lane.next), 0);
  }

  /** The lane whose next record is the oldest; undefined when all have ended. Fetches where nothing is at hand. */
  async #oldest(): Promise<Lane | undefined> {
    let best: Lane | undefined;
    let bestMs = Number.POSITIVE_INFINITY;
    // Ask for all of them before waiting for the first.
    for (const lane of this.#lanes) if (lane.at >= lane.messages.length) this.#ask(lane);
    for (const lane of this.#lanes) {
      while (lane.at >= lane.messages.length && lane.next < lane.end && !this.#stopping) await this.#refill(lane);
      if (lane.at >= lane.messages.length) continue;
      const stampMs = Number(lane.messages[lane.at].timestamp);
      if (best === undefined || stampMs < bestMs) {
        best = lane;
        bestMs = stampMs;
      }
    }
    return best;
  }

  #ask(lane: Lane): void {
    if (lane.pending || lane.fetchFrom >= lane.end) return;
    const { topic, partition } = lane;
    const pending = persist(this.#options, `read ${topic}/${partition}`, this.#options.outageForMs ?? outageForMsDefault, () =>
      this.#reader.fetch(topic, partition, lane.fetchFrom, fetchBytes, 500),
    );
    // It may fail while another lane is being handed in: that is not unhandled, `refill` will see it.
    pending.catch(() => undefined);
    lane.pending = pending;
  }

  async #refill(lane: Lane): Promise<void> {
    this.#ask(lane);
    const fetched = await lane.pending;
    lane.pending = undefined;
    if (!fetched) {
      lane.next = lane.end;
      return;
    }
    if (fetched.outOfRange) return this.#skipExpired(lane);
    lane.messages = fetched.messages;
    lane.at = 0;
    // Records that came after the replay began are not part of it.
    if (fetched.nextOffset > lane.end) lane.messages = lane.messages.filter((message) => Number(message.offset) < lane.end);
    lane.empty = fetched.nextOffset === lane.fetchFrom ? lane.empty + 1 : 0;
    lane.fetchFrom = lane.empty >= emptyFetches ? lane.end : fetched.nextOffset;
    if (lane.messages.length === 0) this.#moveTo(lane, lane.fetchFrom);
  }

  /** Retention overtook the replay: go on where the partition begins now. */
  async #skipExpired(lane: Lane): Promise<void> {
    const found = await this.#reader.offsets([lane], 'earliest');
    const first = found.get(partitionKey(lane.topic, lane.partition)) ?? lane.end;
    const toOffset = first > lane.next ? Math.min(first, lane.end) : lane.end;
    this.#options.onGap?.({ topic: lane.topic, partition: lane.partition, fromOffset: lane.next, toOffset, kind: 'expired' });
    lane.fetchFrom = toOffset;
    lane.next = toOffset;
  }

  #moveTo(lane: Lane, offset: number): void {
    if (offset > lane.next) this.#skipped(lane, offset);
    lane.next = offset;
  }

  #skipped(lane: Lane, toOffset: number): void {
    this.#options.onGap?.({ topic: lane.topic, partition: lane.partition, fromOffset: lane.next, toOffset, kind: 'skipped' });
  }

  async #handIn(lane: Lane, into: LaneIntake): Promise<void> {
    const { topic, partition } = lane;
    const end = Math.min(lane.at + (this.#options.maxBatchRecords ?? maxBatchRecordsDefault), lane.messages.length);
    const records = toRecords(topic, partition, lane.messages, lane.at, end);
    if (records[0].offset > lane.next) this.#skipped(lane, records[0].offset);
    const inLast = end === lane.messages.length;
    lane.at = end;
    // The next fetch runs while this batch is being processed.
    if (inLast) this.#ask(lane);
    await into.batch({ topic, partition, dataset: this.#options.dataset, format: this.#options.format, records });
    lane.next = inLast ? Math.min(lane.fetchFrom, lane.end) : records[records.length - 1].offset + 1;
  }
}
