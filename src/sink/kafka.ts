/**
 * Findings to a Kafka topic: key = the finding's uid, so that its updates stay in order in one partition and the topic can be compacted;
 * value = OCSF JSON; headers = CloudEvents in binary mode. The producer is idempotent, so the client's own retries neither repeat nor
 * reorder; after an outage that outlasts those, a new producer sends the batch again, and a repeat is harmless.
 */
import { type Kafka, type Message, Partitioners, type Producer } from 'kafkajs';
import type { Finding } from '../../processors/detect/finding.ts';
import { cloudEventHeaders, findingJson } from '../../processors/detect/ocsf.ts';
import { connectForMsDefault, createKafka, type KafkaConnection, kafkaError, outageForMsDefault, persist } from '../source/kafka-client.ts';
import type { Sink, SinkHealth } from './sink.ts';

export interface KafkaSinkOptions extends KafkaConnection {
  readonly topic: string;
  readonly productVersion?: string;
}

/** Well below a topic's usual `max.message.bytes` (1 MiB), which holds for what goes to one partition at once. */
const maxRequestBytes = 512 * 1024;

export class KafkaSink implements Sink {
  readonly name: string;
  readonly #options: KafkaSinkOptions;
  readonly #kafka: Kafka;
  #producer: Producer | undefined;
  #last: Promise<void> = Promise.resolve();
  #retries = 0;
  #problem: string | undefined;

  /** Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read. */
  constructor(options: KafkaSinkOptions) {
    this.name = `kafka:${options.topic}`;
    this.#options = options;
    this.#kafka = createKafka(options);
  }

  /** Rejects with a DependencyError if the topic cannot be reached. */
  async open(): Promise<void> {
    const { topic, connectForMs = connectForMsDefault } = this.#options;
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
  write(findings: readonly Finding[]): Promise<void> {
    const done = this.#last.then(() => this.#writeNow(findings));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #writeNow(findings: readonly Finding[]): Promise<void> {
    const { topic, outageForMs = outageForMsDefault } = this.#options;
    for (const messages of this.#requests(findings)) {
      await this.#persist(`write ${messages.length} findings to ${topic}`, outageForMs, async () => {
        const producer = await this.#connected();
        try {
          await producer.send({ topic, acks: -1, messages });
        } catch (error) {
          // Its sequence numbers may no longer be the broker's: the next attempt takes a new producer id.
          await this.#drop();
          throw error;
        }
      });
    }
  }

  #requests(findings: readonly Finding[]): Message[][] {
    const requests: Message[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const finding of findings) {
      const value = Buffer.from(findingJson(finding, { productVersion: this.#options.productVersion }));
      if (bytes + value.length > maxRequestBytes) {
        requests.push([]);
        bytes = 0;
      }
      bytes += value.length;
      requests[requests.length - 1].push({ key: finding.id, value, headers: cloudEventHeaders(finding) });
    }
    return requests;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#drop();
  }

  health(): SinkHealth {
    return { ok: this.#problem === undefined, ...(this.#problem === undefined ? {} : { reason: this.#problem }), retries: this.#retries };
  }

  async #persist(tried: string, forMs: number, attempt: () => Promise<void>): Promise<void> {
    try {
      await persist(this.#options, tried, forMs, attempt, (error) => {
        this.#retries++;
        this.#problem = kafkaError(this.#options, tried, error).message;
      });
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#producer) return this.#producer;
    const producer = this.#kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // Few, because the bound is ours (`persist`).
      retry: { retries: 4 },
    });
    await producer.connect();
    this.#producer = producer;
    return producer;
  }

  async #drop(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.disconnect().catch(() => undefined);
  }
}
