/**
 * One client of librdkafka as a member of a group: how it connects, why it died, how it leaves. A client that met a fatal error does
 * nothing any more; only another one may go on.
 */
import type { KafkaSourceOptions } from './kafka-options.ts';
import {
  attempt,
  connectRd,
  fatalFailure,
  memberSettings,
  type RdConsumer,
  type RdError,
  type Rdkafka,
  type RdPartition,
} from './rdkafka-client.ts';

/** How long leaving the group may hold up a stop while the broker is away. */
const leaveForMs = 4_000;

/** Kept for the life of the process: a client that is collected as garbage leaves its group first, and stops the process meanwhile. */
const abandoned = new Set<RdConsumer>();

export interface RdkafkaMemberEvents {
  rebalanced(member: RdkafkaMember, error: RdError, partitions: RdPartition[]): void;
  committed(error: RdError | undefined, partitions: RdPartition[]): void;
  trouble(error: RdError): void;
}

export class RdkafkaMember {
  readonly consumer: RdConsumer;
  readonly #options: KafkaSourceOptions;
  #lastWords = '';

  /** Connects to nothing yet. */
  constructor(options: KafkaSourceOptions, rdkafka: Rdkafka, events: RdkafkaMemberEvents) {
    this.#options = options;
    const settings = {
      ...memberSettings(options),
      rebalance_cb: (error: RdError, partitions: RdPartition[]) => events.rebalanced(this, error, partitions),
      offset_commit_cb: (error: RdError | undefined, partitions: RdPartition[]) => events.committed(error, partitions),
    };
    this.consumer = new rdkafka.KafkaConsumer(settings, { 'auto.offset.reset': 'earliest' });
    this.consumer.on('event.error', (error) => events.trouble(error));
    this.consumer.on('event.log', ({ message, fac }) => {
      if (fac === 'FATAL') this.#lastWords = message;
      options.log?.debug({ librdkafka: fac }, message);
    });
  }

  connect(): Promise<void> {
    return connectRd(this.consumer, this.#options, 10_000);
  }

  /** What it died of. */
  async fatal(): Promise<Error> {
    // The log comes by another way than the error itself, which was sent later.
    await new Promise((resolve) => setImmediate(resolve));
    return fatalFailure(this.#lastWords, this.#options.instanceId);
  }

  /**
   * While the broker is away librdkafka tries to leave until the session is over, in a thread that Node waits for before it ends: so then it
   * is not told to, and the group finds out by itself. Where the broker goes while we leave, nobody here waits for that.
   */
  leave(brokerAway: boolean): Promise<void> {
    attempt(() => this.consumer.unsubscribe());
    if (brokerAway) {
      abandoned.add(this.consumer);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#options.log?.warn(`librdkafka did not leave group ${this.#options.group} within ${leaveForMs} ms`);
        resolve();
      }, leaveForMs);
      this.consumer.disconnect(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
