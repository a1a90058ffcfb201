/** Writes messages to one topic, in order and acknowledged by every in-sync replica; sits an outage out until a deadline. */
import type { Kafka, Message } from 'kafkajs';
import { DependencyError } from '../errors.ts';
import {
  connectForMsDefault,
  createKafka,
  type KafkaConnection,
  type KafkaDriver,
  kafkaError,
  outageForMsDefault,
  persist,
} from '../source/kafka/kafka-client.ts';
import { chooseDriver, type DriverChoice } from '../source/kafka/kafka-driver.ts';
import { connectKafkajs, connectRdkafka, type KafkaProducer, type TopicEnds } from './kafka-producer.ts';
import type { SinkHealth } from './sink.ts';

/** Well below a topic's usual `max.message.bytes` (1 MiB), which holds for what goes to one partition at once. */
const maxRequestBytes = 512 * 1024;
/** Of a message beside its key, value and headers: lengths, deltas, attributes. */
const messageHeadBytes = 32;

/** Keeps what a failed attempt wrote after all from being written again. Without one, a repeat is possible. */
export interface WriteGuard {
  /** Which of them are not there yet; `again` after an attempt that failed. Rejects with the client's error. */
  missing(messages: readonly Message[], again: boolean): Promise<readonly Message[]>;
  /** They are there. */
  wrote(messages: readonly Message[], ends: TopicEnds): void;
}

export class KafkaWriter {
  readonly #options: KafkaConnection & { readonly topic: string };
  readonly #what: string;
  readonly #guard: WriteGuard | undefined;
  readonly #kafka: Kafka;
  readonly #choice: DriverChoice;
  #producer: KafkaProducer | undefined;
  #connecting: Promise<KafkaProducer> | undefined;
  #last: Promise<void> = Promise.resolve();
  #retries = 0;
  #told = false;
  #waits = true;
  #problem: string | undefined;

  /** @param what is written, for messages: `findings`. Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read, a UsageError if the driver cannot be had. */
  constructor(options: KafkaConnection & { readonly topic: string }, what: string, guard?: WriteGuard) {
    this.#options = options;
    this.#what = what;
    this.#guard = guard;
    this.#kafka = createKafka(options);
    this.#choice = chooseDriver(options.driver ?? 'auto', options);
  }

  get driver(): KafkaDriver {
    return this.#choice.driver;
  }

  /** Rejects with a DependencyError if the topic cannot be reached. */
  async open(): Promise<void> {
    const { topic, log, connectForMs = connectForMsDefault } = this.#options;
    const { driver, reason } = this.#choice;
    if (!this.#told) log?.info({ sink: `kafka:${topic}`, driver, reason }, 'Kafka driver');
    this.#told = true;
    await this.#persist(`find topic ${topic}`, connectForMs, async () => {
      const admin = this.#kafka.admin();
      try {
        await admin.connect();
        await admin.fetchTopicMetadata({ topics: [topic] });
      } finally {
        await admin.disconnect();
      }
      await this.#connected();
    });
  }

  /** Resolves when every in-sync replica has them. One write at a time: a second one waits for the first, which keeps the order. */
  write(messages: readonly Message[]): Promise<void> {
    const done = this.#last.then(() => this.#writeNow(messages));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Whatever fails from now on rejects after the attempt under way. */
  stopWaiting(): void {
    this.#waits = false;
  }

  async close(): Promise<void> {
    this.stopWaiting();
    await this.#last;
    await this.#drop();
  }

  health(): SinkHealth {
    return { ok: this.#problem === undefined, ...(this.#problem === undefined ? {} : { reason: this.#problem }), retries: this.#retries };
  }

  async #writeNow(all: readonly Message[]): Promise<void> {
    const { topic, outageForMs = outageForMsDefault } = this.#options;
    for (const messages of requests(all)) {
      let again = false;
      await this.#persist(`write ${messages.length} ${this.#what} to ${topic}`, outageForMs, async () => {
        const producer = await this.#connected();
        const owed = (await this.#guard?.missing(messages, again)) ?? messages;
        if (owed.length === 0) return;
        again = true;
        try {
          const ends = await producer.send(topic, owed);
          this.#guard?.wrote(owed, ends);
        } catch (error) {
          // Its sequence numbers may no longer be the broker's: the next attempt takes a new producer id.
          await this.#drop();
          throw error;
        }
      });
    }
  }

  /** `open` and a write may ask at once: a second producer would be nobody's, and would keep the process from ending. */
  #connected(): Promise<KafkaProducer> {
    if (this.#producer !== undefined) return Promise.resolve(this.#producer);
    const { rdkafka } = this.#choice;
    this.#connecting ??= (rdkafka === undefined ? connectKafkajs(this.#kafka) : connectRdkafka(rdkafka, this.#options))
      .then((producer) => {
        this.#producer = producer;
        return producer;
      })
      .finally(() => {
        this.#connecting = undefined;
      });
    return this.#connecting;
  }

  async #drop(): Promise<void> {
    await this.#connecting?.catch(() => undefined);
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.disconnect().catch(() => undefined);
  }

  async #persist(tried: string, forMs: number, attempt: () => Promise<void>): Promise<void> {
    try {
      let failed = false;
      const unlessStopped = () => {
        if (!failed || this.#waits) return attempt();
        throw new DependencyError(this.#problem ?? `could not ${tried}`);
      };
      await persist(this.#options, tried, forMs, unlessStopped, (error) => {
        failed = true;
        this.#retries++;
        this.#problem = kafkaError(this.#options, tried, error).message;
      });
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }
}

/** Messages in pieces that a broker takes at once. */
function requests(messages: readonly Message[]): Message[][] {
  const pieces: Message[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const message of messages) {
    const length = bytesOf(message);
    if (bytes + length > maxRequestBytes) {
      pieces.push([]);
      bytes = 0;
    }
    bytes += length;
    pieces[pieces.length - 1].push(message);
  }
  return pieces;
}

function bytesOf({ key, value, headers = {} }: Message): number {
  let bytes = messageHeadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0);
  return bytes;
}
