/**
 * Keeps a drain's records in a topic: a request is answered once every in-sync replica has its records.
 *
 * Requests that wait share a write. One that is over its deadline before its write began is taken out and its sender told to come back;
 * one whose write is under way cannot be taken back, so whether it is durable is told when the broker says so. While the broker is away
 * nothing is held longer than its deadline, and the broker is tried again until it answers.
 */
import type { Message } from 'kafkajs';
import { datasetHeader } from '../../../processors/decode/dataset-header.ts';
import { rejectHeader } from '../../../processors/decode/reject-header.ts';
import { KafkaWriter } from '../../sink/kafka-writer.ts';
import type { DrainKeeper, DrainRecords, KeepWait } from '../drain/drain-keeper.ts';
import type { JournalRecord } from '../drain/journal.ts';
import { RecordSlices } from '../drain/record-slices.ts';
import type { KafkaConnection, KafkaDriver } from './kafka-client.ts';

/** Bytes of values in one write; what waits beyond it takes the next. */
const maxGroupBytes = 4 * 1024 ** 2;
/** A topic takes 1 MiB at once unless it is told otherwise, and a decoder takes no longer record: the rest of one is cut off. */
const maxValueBytes = 768 * 1024;
/** The length of a record that was cut. */
export const cutFromHeader = 'streamgauge-cut-from';
const retryAfterMs = 250;
const probeAfterMs = 1_000;

interface Waiting extends KeepWait {
  readonly messages: readonly Message[];
  readonly bytes: number;
  readonly answer: (problem: string | undefined) => void;
  timer: NodeJS.Timeout | undefined;
  expired: boolean;
  wasHeld: boolean;
}

export class KafkaKeeper implements DrainKeeper {
  readonly #writer: KafkaWriter;
  readonly #topic: string;
  readonly #dataset: string;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;
  #failing = false;
  /** A write is under way for longer than a request may wait. */
  #stalled: string | undefined;
  #afterFailed = false;
  #closed = false;
  #wake: () => void = () => {};

  /**
   * @param dataset goes with each record, so that whoever reads the topic need not be told.
   * Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read, a UsageError if the driver cannot be had.
   */
  constructor(connection: KafkaConnection & { readonly topic: string }, dataset: string) {
    this.#topic = connection.topic;
    this.#dataset = dataset;
    // Its own patience is one attempt: how long to wait is for each request to say.
    this.#writer = new KafkaWriter({ ...connection, outageForMs: 0 }, 'records');
  }

  get driver(): KafkaDriver {
    return this.#writer.driver;
  }

  get trouble(): string | undefined {
    return this.#writer.health().reason ?? this.#stalled;
  }

  /** Rejects with a DependencyError if the topic cannot be reached. */
  open(): Promise<void> {
    return this.#writer.open();
  }

  keep(kept: DrainRecords, key: string | undefined, wait: KeepWait): Promise<string | undefined> {
    const records = kept instanceof RecordSlices ? kept.toRecords() : kept;
    if (records.length === 0) {
      wait.settled(true);
      return Promise.resolve(undefined);
    }
    return new Promise((resolve) => {
      const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
      const messages = records.map((record) => messageOf(record, key, this.#dataset));
      const waiting: Waiting = { ...wait, messages, bytes, answer: resolve, timer: undefined, expired: false, wasHeld: false };
      waiting.timer = setTimeout(() => this.#expire(waiting), wait.forMs);
      this.#waiting.push(waiting);
      this.#wake();
      this.#working ??= this.#work();
    });
  }

  /** What is under way is finished; what waits is given up. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of [...this.#waiting]) this.#expire(waiting);
    this.#wake();
    await this.#working;
    await this.#writer.close();
  }

  async #work(): Promise<void> {
    // One turn later, so that requests of the same turn share a write.
    await Promise.resolve();
    while (this.#waiting.length > 0 || (this.#failing && !this.#closed)) {
      if (this.#waiting.length === 0) await this.#probe();
      else await this.#writeGroup();
    }
    this.#working = undefined;
  }

  /**
   * Requests that have not failed yet share a write; one that has is written by itself, in turn with them: it may be one that the broker
   * never takes, and must not hold up the others.
   */
  #nextGroup(): Waiting[] {
    const failed = this.#waiting.find(({ wasHeld }) => wasHeld);
    const fresh = this.#waiting.filter(({ wasHeld }) => !wasHeld);
    this.#afterFailed = failed !== undefined && (fresh.length === 0 || !this.#afterFailed);
    const group = new Set<Waiting>();
    if (this.#afterFailed && failed !== undefined) group.add(failed);
    else {
      let bytes = 0;
      for (const each of fresh) {
        bytes += each.bytes;
        if (group.size > 0 && bytes > maxGroupBytes) break;
        group.add(each);
      }
    }
    this.#waiting = this.#waiting.filter((each) => !group.has(each));
    return [...group];
  }

  async #writeGroup(): Promise<void> {
    const group = this.#nextGroup();
    try {
      await this.#writer.write(group.flatMap(({ messages }) => messages));
    } catch {
      this.#failing = true;
      for (const waiting of group) this.#tryAgain(waiting);
      if (this.#waiting.length > 0 && this.#waiting.every(({ wasHeld }) => wasHeld)) await this.#pause(retryAfterMs);
      return;
    }
    this.#failing = false;
    this.#stalled = undefined;
    for (const { answer, settled, timer } of group) {
      clearTimeout(timer);
      answer(undefined);
      settled(true);
    }
  }

  /** Nobody waits, but a load balancer may wait for us to be well again. */
  async #probe(): Promise<void> {
    await this.#pause(probeAfterMs);
    if (this.#closed || this.#waiting.length > 0) return;
    try {
      await this.#writer.open();
      this.#failing = false;
      this.#stalled = undefined;
    } catch {
      // `trouble` says it.
    }
  }

  #tryAgain(waiting: Waiting): void {
    if (waiting.expired) {
      waiting.settled(false);
      return;
    }
    if (!waiting.wasHeld) waiting.held();
    waiting.wasHeld = true;
    this.#waiting.push(waiting);
    if (this.#closed) this.#expire(waiting);
  }

  #expire(waiting: Waiting): void {
    clearTimeout(waiting.timer);
    waiting.expired = true;
    const at = this.#waiting.indexOf(waiting);
    waiting.answer(this.trouble ?? `topic ${this.#topic} has not taken them in time`);
    if (at < 0) {
      // Its write is under way, and nobody knows yet what comes of it.
      this.#stalled = `topic ${this.#topic} has not taken what was written in time`;
      return;
    }
    this.#waiting.splice(at, 1);
    waiting.settled(false);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      // New requests do not cut a pause between attempts short; the end does, and so do they where nobody waited.
      const probing = this.#waiting.length === 0;
      this.#wake = () => {
        if (probing || this.#closed) done();
      };
    });
  }
}

function messageOf({ value, timestampMs, headers }: JournalRecord, key: string | undefined, dataset: string): Message {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const message = { key, value: bytes, timestamp: String(timestampMs), headers: { ...headers, [datasetHeader]: dataset } };
  if (bytes.length <= maxValueBytes) return message;
  const marks = { [rejectHeader]: 'too_long', [cutFromHeader]: String(bytes.length) };
  return { ...message, value: bytes.subarray(0, maxValueBytes), headers: { ...message.headers, ...marks } };
}
