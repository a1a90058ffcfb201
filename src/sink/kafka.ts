/**
 * Findings to a Kafka topic: key = the finding's uid, so that its updates stay in order in one partition and the topic can be compacted;
 * value = OCSF JSON; headers = CloudEvents in binary mode.
 *
 * Each is there once. The client's own retries are the broker's to recognise (an idempotent producer). Where they end, at a restart or
 * when a write failed and the next attempt has a new producer, nobody knows what landed: then what lies past the last acknowledged write,
 * or past the mark of the last checkpoint, is read, and what is there is not written again.
 */
import type { Message } from 'kafkajs';
import type { Finding } from '../../processors/detect/finding.ts';
import { cloudEventHeaders, eventId, findingJson } from '../../processors/detect/ocsf.ts';
import { connectForMsDefault, createKafka, type KafkaConnection, persist } from '../source/kafka/kafka-client.ts';
import type { TopicEnds } from './kafka-producer.ts';
import { KafkaWriter, type WriteGuard } from './kafka-writer.ts';
import { Repeats, type WrittenFinding, writtenFinding } from './repeats.ts';
import type { Sink, SinkHealth } from './sink.ts';
import { TopicTail } from './topic-tail.ts';

export interface KafkaSinkOptions extends KafkaConnection {
  readonly topic: string;
}

/**
 * A request that was on its way when a process was killed, or given up, may land after the topic was read. For this long every write looks
 * first whether something came; a broker handles what it has received within milliseconds, a lagging replica may show it up to 30 s later.
 */
const lookAgainForMs = 60_000;

export class KafkaSink implements Sink {
  readonly name: string;
  readonly #options: KafkaSinkOptions;
  readonly #writer: KafkaWriter;
  readonly #tail: TopicTail;
  readonly #repeats: Repeats;
  /** Whose a message is; messages are made for one write. */
  readonly #written = new WeakMap<Message, WrittenFinding>();
  /** Messages that are known to be in the topic. */
  readonly #there = new WeakSet<Message>();
  #lookUntilMs = 0;

  /** Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read. */
  constructor(options: KafkaSinkOptions) {
    this.name = `kafka:${options.topic}`;
    this.#options = options;
    const guard: WriteGuard = {
      missing: (messages, again) => this.#missing(messages, again),
      wrote: (messages, ends) => this.#wrote(messages, ends),
    };
    this.#writer = new KafkaWriter(options, 'findings', guard);
    this.#tail = new TopicTail(createKafka(options), options.topic);
    this.#repeats = new Repeats((message) => options.log?.warn({ sink: this.name }, message));
  }

  /** Rejects with a DependencyError if the topic cannot be reached. */
  async open(): Promise<void> {
    await this.#writer.open();
    await this.#persist('find the end of', () => this.#tail.open());
  }

  /** Resolves when every in-sync replica has them. One write at a time: a second one waits for the first, which keeps the order. */
  async write(findings: readonly Finding[]): Promise<void> {
    const messages = findings.map((finding): Message => {
      const message = { key: finding.id, value: Buffer.from(findingJson(finding)), headers: cloudEventHeaders(finding) };
      this.#written.set(message, { id: eventId(finding), rule: finding.rule, timeMs: finding.timeMs });
      return message;
    });
    try {
      await this.#writer.write(messages);
    } catch (error) {
      // It is tried again as a whole: what is known to be there must not come a second time, and what may be is looked for.
      for (const message of messages) if (this.#there.has(message)) this.#remember(this.#written.get(message));
      this.#lookUntilMs = Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  async mark(): Promise<string> {
    return JSON.stringify({ ends: this.#tail.toJson(), owed: this.#repeats.toJson() });
  }

  /** Without a mark nothing is left out: what the topic holds is of a life whose state is gone, and cannot be told from what is new. */
  async resume(mark: string | undefined): Promise<void> {
    this.#lookUntilMs = performance.now() + lookAgainForMs;
    if (mark === undefined) return;
    const { ends, owed } = parseMark(mark, this.name);
    this.#repeats.addJson(owed);
    await this.#persist('read what was written since the last checkpoint to', async () => {
      await this.#tail.goBack(ends);
      await this.#tail.catchUp(({ value }) => this.#remember(value === null ? undefined : writtenFinding(value.toString())));
    });
    const { size } = this.#repeats;
    if (size > 0) this.#options.log?.info({ sink: this.name, findings: size }, 'written after the checkpoint: not written again');
  }

  async recall(sinceMs: number): Promise<void> {
    // Another process may have written until it was ended, a moment ago.
    this.#lookUntilMs = Math.max(this.#lookUntilMs, performance.now() + lookAgainForMs);
    await this.#persist('read what was written lately to', async () => {
      await this.#tail.goBackTo(sinceMs);
      await this.#tail.catchUp(({ value }) => this.#remember(value === null ? undefined : writtenFinding(value.toString())));
    });
  }

  stopWaiting(): void {
    this.#writer.stopWaiting();
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#tail.close().catch(() => undefined);
  }

  health(): SinkHealth {
    return this.#writer.health();
  }

  /** Those of a request that are not in the topic. `again`: an attempt before this one failed. Rejects with the client's error. */
  async #missing(messages: readonly Message[], again: boolean): Promise<readonly Message[]> {
    const failed = again || this.#lookUntilMs === Number.POSITIVE_INFINITY;
    if (failed || performance.now() < this.#lookUntilMs) {
      await this.#tail.catchUp(({ value }) => this.#remember(value === null ? undefined : writtenFinding(value.toString())));
      if (failed) this.#lookUntilMs = performance.now() + lookAgainForMs;
    }
    for (const message of messages) {
      const written = this.#written.get(message);
      if (written !== undefined && this.#repeats.take(written)) this.#there.add(message);
    }
    return messages.filter((message) => !this.#there.has(message));
  }

  #wrote(messages: readonly Message[], ends: TopicEnds): void {
    for (const message of messages) this.#there.add(message);
    this.#tail.wrote(ends);
  }

  #remember(written: WrittenFinding | undefined): void {
    if (written !== undefined) this.#repeats.remember(written);
  }

  #persist(what: string, attempt: () => Promise<void>): Promise<void> {
    const { topic, connectForMs = connectForMsDefault } = this.#options;
    return persist(this.#options, `${what} ${topic}`, connectForMs, attempt);
  }
}

function parseMark(mark: string, sink: string): { ends: ReadonlyMap<number, number>; owed: unknown } {
  try {
    const { ends, owed } = JSON.parse(mark) as { ends: Record<string, number>; owed: unknown };
    return { ends: new Map(Object.entries(ends).map(([partition, end]) => [Number(partition), end])), owed };
  } catch (cause) {
    throw new Error(`${sink}: the checkpoint's mark is ${JSON.stringify(mark.slice(0, 80))}, expected {ends, owed}`, { cause });
  }
}
