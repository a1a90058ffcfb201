/**
 * librdkafka's `consume(n)` in rounds. They go on while a batch is with the engine, because rebalances and the answers to commits come
 * through them; what they bring waits in a bounded queue, and past its bound the partitions are paused.
 *
 * What changes the assignment is done between two rounds, so that no round has records of two assignments.
 */
import type { HandInQueue, WaitingBatch } from './hand-in-queue.ts';
import { type KafkaSourceOptions, maxBatchRecordsDefault } from './kafka-options.ts';
import type { RdConsumer, RdError, RdMessage, RdPartition } from './rdkafka-client.ts';
import { toBatches } from './rdkafka-record.ts';
import { RdkafkaRoundSize } from './rdkafka-round-size.ts';

/** How long the engine may take with what is there before rounds go on beside it. */
const settleMs = 500;
/** What may wait before partitions are paused; a round or two come on top of it. */
export const maxWaitingBytes = 32 * 1024 * 1024;
/** Of one batch, unless one record is larger. The engine has nothing else in hand meanwhile. */
export const maxBatchBytes = 4 * 1024 * 1024;

export interface RoundEvents {
  batch(batch: WaitingBatch): void;
  /** Records came. */
  alive(): void;
  /** The group or a topic refuses us. */
  refused(error: RdError): void;
  /** Somebody waits for what rounds bring: do not wait for the engine. */
  awaited(): boolean;
  /** What is held now, of which records may come: the same object for as long as it is held without a break. */
  reading(): readonly RdPartition[];
}

export class RdkafkaRounds {
  readonly #consumer: RdConsumer;
  readonly #queue: HandInQueue;
  readonly #options: KafkaSourceOptions;
  readonly #events: RoundEvents;
  readonly #maxBatchRecords: number;
  readonly #mostRecords: number;
  readonly #size: RdkafkaRoundSize;
  #between: (() => void)[] = [];
  #paused: ReadonlySet<RdPartition> = new Set();
  #ended = false;

  constructor(consumer: RdConsumer, queue: HandInQueue, options: KafkaSourceOptions, events: RoundEvents) {
    this.#consumer = consumer;
    this.#queue = queue;
    this.#options = options;
    this.#events = events;
    this.#maxBatchRecords = options.maxBatchRecords ?? maxBatchRecordsDefault;
    this.#mostRecords = Math.max(this.#maxBatchRecords, 1_000);
    this.#size = new RdkafkaRoundSize(this.#mostRecords);
  }

  /** Resolves after `end`. */
  async run(): Promise<void> {
    let round = this.#consume();
    while (!this.#ended) {
      const messages = await round;
      this.#handOver(messages);
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

  #handOver(messages: readonly RdMessage[]): void {
    const batches = toBatches(messages, this.#options, { maxRecords: this.#maxBatchRecords, maxBytes: maxBatchBytes });
    let bytes = 0;
    for (const batch of batches) {
      bytes += batch.bytes;
      this.#events.batch(batch);
    }
    this.#size.brought(messages.length, bytes);
  }

  #consume(): Promise<RdMessage[]> {
    const { records, waitMs } = this.#size.next();
    this.#consumer.setDefaultConsumeTimeout(waitMs);
    return new Promise((resolve) => {
      this.#consumer.consume(records, (error, messages = []) => {
        if (error) this.#events.refused(error);
        else if (messages.length > 0) this.#events.alive();
        resolve(messages);
      });
    });
  }

  /** Pauses what is held while too much waits, also what came to us after the rest was paused, and resumes it when nothing does. */
  #balance(): void {
    const { records, bytes } = this.#queue;
    if (records > 2 * this.#mostRecords || bytes > maxWaitingBytes) {
      const reading = this.#events.reading();
      const fresh = reading.filter((held) => !this.#paused.has(held));
      if (fresh.length > 0) this.#consumer.pause(fresh);
      this.#paused = new Set(reading);
    } else if (records === 0 && this.#paused.size > 0) {
      const ours = this.#events.reading().filter((held) => this.#paused.has(held));
      if (ours.length > 0) this.#consumer.resume(ours);
      this.#paused = new Set();
    }
  }
}
