/**
 * librdkafka's `consume(n)` in rounds. They go on while a batch is with the engine, because rebalances and the answers to commits come
 * through them; what they bring waits in a bounded queue, and past its bound the partitions are paused.
 *
 * What changes the assignment is done between two rounds, so that no round has records of two assignments.
 */
import type { RecordBatch } from '../../../processors/record.ts';
import type { HandInQueue } from './hand-in-queue.ts';
import { type KafkaSourceOptions, maxBatchRecordsDefault } from './kafka-options.ts';
import type { RdConsumer, RdError, RdMessage, RdPartition } from './rdkafka-client.ts';
import { toBatches } from './rdkafka-record.ts';

/** How long a round waits for a first record, and so how long a stop or a commit may take. */
export const roundMs = 100;
/** How long the engine may take with what is there before rounds go on beside it. */
const settleMs = 500;

export interface RoundEvents {
  batch(batch: RecordBatch): void;
  /** Records came. */
  alive(): void;
  /** The group or a topic refuses us. */
  refused(error: RdError): void;
  /** Somebody waits for what rounds bring: do not wait for the engine. */
  awaited(): boolean;
  /** What is held now, of which records may come. */
  reading(): RdPartition[];
}

export class RdkafkaRounds {
  readonly #consumer: RdConsumer;
  readonly #queue: HandInQueue;
  readonly #options: KafkaSourceOptions;
  readonly #events: RoundEvents;
  readonly #count: number;
  #between: (() => void)[] = [];
  #paused: RdPartition[] = [];
  #ended = false;

  constructor(consumer: RdConsumer, queue: HandInQueue, options: KafkaSourceOptions, events: RoundEvents) {
    this.#consumer = consumer;
    this.#queue = queue;
    this.#options = options;
    this.#events = events;
    this.#count = Math.max(options.maxBatchRecords ?? maxBatchRecordsDefault, 1_000);
  }

  /** Resolves after `end`. */
  async run(): Promise<void> {
    const { maxBatchRecords = maxBatchRecordsDefault } = this.#options;
    let round = this.#consume();
    while (!this.#ended) {
      const messages = await round;
      for (const batch of toBatches(messages, this.#options, maxBatchRecords)) this.#events.batch(batch);
      this.#actBetween();
      this.#balance();
      // The next round runs while the engine works.
      round = this.#consume();
      if (!this.#events.awaited()) await this.#queue.settled(settleMs);
    }
    await round;
    this.#actBetween();
  }

  end(): void {
    this.#ended = true;
    this.#queue.nudge();
  }

  /** Resolves when it was done, between two rounds; what it throws is the rejection. After `end` it is left out. */
  atRest(act: () => void): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#between.push(() => {
        try {
          act();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
      this.#queue.nudge();
    });
  }

  #actBetween(): void {
    for (const act of this.#between.splice(0)) act();
  }

  #consume(): Promise<RdMessage[]> {
    return new Promise((resolve) => {
      this.#consumer.consume(this.#count, (error, messages = []) => {
        if (error) this.#events.refused(error);
        else if (messages.length > 0) this.#events.alive();
        resolve(messages);
      });
    });
  }

  /** Pauses what is held once enough waits, and resumes it when nothing does. */
  #balance(): void {
    if (this.#paused.length === 0 && this.#queue.records > 2 * this.#count) {
      this.#paused = this.#events.reading();
      this.#consumer.pause(this.#paused);
    } else if (this.#paused.length > 0 && this.#queue.records === 0) {
      const still = new Set(this.#events.reading().map(({ topic, partition }) => `${topic}/${partition}`));
      const ours = this.#paused.filter(({ topic, partition }) => still.has(`${topic}/${partition}`));
      this.#paused = [];
      if (ours.length > 0) this.#consumer.resume(ours);
    }
  }
}
