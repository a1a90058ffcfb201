/**
 * Reading as a member of a consumer group, over librdkafka: `consume(n)` in rounds, never its flowing mode, which has no back-pressure.
 *
 * Rebalances are cooperative (cooperative-sticky, or KIP-848): only what moves is revoked, and the rest goes on. librdkafka waits for
 * `incrementalAssign` and `incrementalUnassign`, so the engine makes durable and commits before partitions go, and the places to begin are
 * looked up before records come. Both are called between two rounds only, so that no round has records of two assignments.
 *
 * Rounds go on while a batch is with the engine, because rebalances and the answers to commits come through them; what they bring waits
 * in a bounded queue, and past its bound the partitions are paused.
 */
import { partitionKey, type RecordBatch } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Positions, RecordIntake } from '../source.ts';
import { HandInQueue } from './hand-in-queue.ts';
import { connectForMsDefault, errorType, kafkaError, mayRecover, outageForMsDefault, persist } from './kafka-client.ts';
import { GroupPartitions } from './kafka-group-partitions.ts';
import { heartbeatMs } from './kafka-member.ts';
import { type KafkaSourceOptions, maxBatchRecordsDefault, topicRefreshMsDefault } from './kafka-options.ts';
import type { KafkaReader } from './kafka-reader.ts';
import type { KafkaTopics } from './kafka-topics.ts';
import {
  connectRd,
  memberSettings,
  type RdConsumer,
  type RdError,
  type Rdkafka,
  type RdPartition,
  rdCode,
  rdFailure,
} from './rdkafka-client.ts';
import { commitAndWait, commitAnswerMs, type OffsetCommits } from './rdkafka-commit.ts';
import { toBatches } from './rdkafka-record.ts';

/** How long a round waits for a first record, and so how long a stop or a commit may take. */
const roundMs = 100;
/** How long the engine may take with what is there before rounds go on beside it. */
const settleMs = 500;
/** How long a stop may be held up by a commit, and then by leaving the group, while the broker is away. */
const stopForMs = 8_000;
const leaveForMs = 4_000;
/** The group has moved on without us: the offsets are another member's to commit now. */
const membershipErrors = new Set(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID', 'FENCED_MEMBER_EPOCH']);

export class RdkafkaGroup {
  readonly #options: KafkaSourceOptions;
  readonly #rdkafka: Rdkafka;
  readonly #reader: KafkaReader;
  readonly #topics: KafkaTopics;
  readonly #into: RecordIntake;
  readonly #partitions: GroupPartitions;
  readonly #queue: HandInQueue;
  readonly #commitAnswers: OffsetCommits = new Set();
  #consumer: RdConsumer | undefined;
  #subscribed: readonly string[] = [];
  /** Revoked or being so: what still comes of them is left out. */
  readonly #leaving = new Set<string>();
  /** To be done between two rounds. */
  #between: (() => void)[] = [];
  #changes: Promise<void> = Promise.resolve();
  #changing = 0;
  #commits: Promise<void> = Promise.resolve();
  #paused: RdPartition[] = [];
  #failure: { error: unknown } | undefined;
  #stopping = false;
  #over = false;
  #stopByMs = Number.POSITIVE_INFINITY;
  #downSinceMs: number | undefined;
  #stood = false;
  #refusal: unknown;
  #looking = false;
  #problem: string | undefined;
  /** Commits that came after their partition was lost; the new owner repeats the records. */
  refusedCommits = 0;

  constructor(
    options: KafkaSourceOptions,
    rdkafka: Rdkafka,
    topics: KafkaTopics,
    reader: KafkaReader,
    positions: Positions,
    into: RecordIntake,
  ) {
    this.#options = options;
    this.#rdkafka = rdkafka;
    this.#topics = topics;
    this.#reader = reader;
    this.#into = into;
    this.#partitions = new GroupPartitions(options, topics, reader, positions);
    this.#queue = new HandInQueue(
      (batch) => this.#handIn(batch),
      (error) => this.#fail(error),
    );
  }

  get problem(): string | undefined {
    return this.#problem ?? (this.#changing > 0 ? 'rebalancing' : undefined);
  }

  lag(): number | undefined {
    return this.#partitions.lag();
  }

  /** Resolves after `stop`; rejects with a DependencyError when an outage outlasts its bound, or with what the intake rejected with. */
  async run(): Promise<void> {
    const { topicRefreshMs = topicRefreshMsDefault, connectForMs = connectForMsDefault } = this.#options;
    const consumer = await persist(this.#options, `join group ${this.#options.group}`, connectForMs, () => this.#connect());
    this.#consumer = consumer;
    const look = setInterval(() => void this.#look(), heartbeatMs(this.#options));
    const scan = setInterval(() => void this.#resubscribe(consumer), topicRefreshMs);
    try {
      this.#subscribed = this.#topics.names;
      consumer.subscribe(this.#subscribed);
      await this.#rounds(consumer);
    } finally {
      this.#over = true;
      clearInterval(look);
      clearInterval(scan);
      await this.#queue.close();
      this.#partitions.giveUp();
      await this.#disconnect(consumer);
    }
    if (this.#failure) throw this.#failure.error;
  }

  /** Hands the partitions back, leaves the group; `run` resolves then. Not to be awaited from inside `into.batch`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopByMs = performance.now() + stopForMs;
    this.#queue.nudge();
    const held = () => [...this.#partitions.held.values()].map(({ topic, partition }) => ({ topic, partition }));
    await this.#change(() => this.#revoke(held()));
    this.#over = true;
    this.#queue.nudge();
  }

  /** Commits of partitions that are not ours (any more) are left out. Resolves when the broker has them. */
  commit(positions: Positions): Promise<void> {
    const done = this.#commits.then(() => this.#commitNow(positions));
    this.#commits = done.catch(() => undefined);
    return done;
  }

  async #connect(): Promise<RdConsumer> {
    const settings = {
      ...memberSettings(this.#options),
      rebalance_cb: (error: RdError, partitions: RdPartition[]) => this.#rebalanced(error, partitions),
      offset_commit_cb: (error: RdError | undefined, partitions: RdPartition[]) => {
        for (const answered of this.#commitAnswers) answered(error, partitions);
      },
    };
    const consumer = new this.#rdkafka.KafkaConsumer(settings, { 'auto.offset.reset': 'earliest' });
    consumer.on('event.error', (error) => this.#trouble(error));
    consumer.on('event.log', ({ message, ...rest }) => this.#options.log?.debug({ librdkafka: rest.fac }, message));
    consumer.setDefaultConsumeTimeout(roundMs);
    await connectRd(consumer, this.#options, 10_000);
    return consumer;
  }

  async #rounds(consumer: RdConsumer): Promise<void> {
    const { maxBatchRecords = maxBatchRecordsDefault } = this.#options;
    const count = Math.max(maxBatchRecords, 1_000);
    let round = this.#consume(consumer, count);
    while (!this.#over && !this.#failure) {
      const messages = await round;
      for (const batch of toBatches(messages, this.#options, maxBatchRecords)) this.#enqueue(batch);
      for (const act of this.#between.splice(0)) act();
      this.#balance(consumer, count);
      // The next round runs while the engine works.
      round = this.#consume(consumer, count);
      if (this.#changing === 0 && this.#commitAnswers.size === 0) await this.#queue.settled(settleMs);
    }
    await round;
    for (const act of this.#between.splice(0)) act();
  }

  #consume(consumer: RdConsumer, count: number) {
    return new Promise<Parameters<typeof toBatches>[0]>((resolve) => {
      consumer.consume(count, (error, messages = []) => {
        if (error) this.#trouble(error, true);
        else if (messages.length > 0) this.#up();
        resolve(messages);
      });
    });
  }

  #enqueue(batch: RecordBatch): void {
    const key = partitionKey(batch.topic, batch.partition);
    if (this.#stopping || this.#leaving.has(key) || !this.#partitions.held.get(key)?.started) return;
    this.#queue.add(batch);
  }

  /** Pauses what is held once enough waits, and resumes it when nothing does. */
  #balance(consumer: RdConsumer, count: number): void {
    if (this.#paused.length === 0 && this.#queue.records > 2 * count) {
      this.#paused = [...this.#partitions.held.values()]
        .filter(({ started }) => started)
        .map(({ topic, partition }) => ({ topic, partition }));
      consumer.pause(this.#paused);
    } else if (this.#paused.length > 0 && this.#queue.records === 0) {
      const ours = this.#paused.filter(({ topic, partition }) => this.#partitions.held.has(partitionKey(topic, partition)));
      this.#paused = [];
      if (ours.length > 0) consumer.resume(ours);
    }
  }

  async #handIn(batch: RecordBatch): Promise<void> {
    const held = this.#partitions.held.get(partitionKey(batch.topic, batch.partition));
    if (!held || this.#stopping || this.#failure) return;
    const { records } = batch;
    const { outageForMs = outageForMsDefault } = this.#options;
    if (records[0].offset !== held.next) {
      await persist(this.#options, `look at ${batch.topic}`, outageForMs, () => this.#partitions.arrivedAt(held, records[0].offset));
    }
    if (this.#leaving.has(partitionKey(batch.topic, batch.partition)) || this.#stopping) return;
    await this.#into.batch(batch);
    held.next = records[records.length - 1].offset + 1;
    held.end = Math.max(held.end, held.next);
  }

  #rebalanced(error: RdError, partitions: RdPartition[]): void {
    this.#up();
    if (this.#over) {
      // Leaving the group: it waits for this, and nothing of ours is left to do.
      if (error.code === rdCode.revoke) attempt(() => this.#consumer?.incrementalUnassign(partitions));
      return;
    }
    void this.#change(() => (error.code === rdCode.assign ? this.#assign(partitions) : this.#revoke(partitions)));
  }

  /** One change of the assignment at a time. What it rejects with ends the run. */
  #change(change: () => Promise<void>): Promise<void> {
    this.#changing++;
    this.#queue.nudge();
    this.#changes = this.#changes
      .then(change)
      .catch((error) => this.#fail(error))
      .finally(() => this.#changing--);
    return this.#changes;
  }

  async #assign(assigned: readonly RdPartition[]): Promise<void> {
    const commitStart = (positions: Positions) => void this.commit(positions).catch((error) => this.#fail(error));
    const started = await this.#partitions.add(assigned, commitStart);
    if (this.#over || this.#failure) return;
    this.#into.partitions(started.map(({ topic, partition }) => partitionKey(topic, partition)));
    const begins = started.map(({ topic, partition, next }) => ({ topic, partition, offset: next }));
    await this.#atRest(() => this.#consumer?.incrementalAssign(begins));
  }

  async #revoke(revoked: readonly RdPartition[]): Promise<void> {
    const keys = revoked.map(({ topic, partition }) => partitionKey(topic, partition)).filter((key) => this.#partitions.held.has(key));
    for (const key of keys) this.#leaving.add(key);
    try {
      await this.#queue.drop(this.#leaving);
      if (keys.length > 0 && !this.#failure) await this.#into.revoked(keys);
      await this.#commits;
    } finally {
      this.#partitions.giveUp(keys);
      for (const key of keys) this.#leaving.delete(key);
    }
    // After a session was lost they may be gone already.
    if (revoked.length > 0) await this.#atRest(() => attempt(() => this.#consumer?.incrementalUnassign(revoked)));
  }

  /** Resolves when it was done, between two rounds; what it throws is the rejection. */
  #atRest(act: () => void): Promise<void> {
    if (this.#over || this.#failure) return Promise.resolve();
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

  async #commitNow(positions: Positions): Promise<void> {
    const { group, outageForMs = outageForMsDefault } = this.#options;
    await persist(this.#options, `commit offsets of group ${group}`, outageForMs, async () => {
      const list = Object.entries(positions).flatMap(([key, offset]) => {
        const held = this.#partitions.held.get(key);
        return held ? [{ topic: held.topic, partition: held.partition, offset }] : [];
      });
      if (list.length === 0) return;
      if (this.#stopping && performance.now() > this.#stopByMs) throw new DependencyError(`${group}: stopped during an outage`);
      if (this.#over || !this.#consumer) throw new DependencyError(`${group}: no longer a member`);
      this.#queue.nudge();
      try {
        const leftMs = Math.max(0, this.#stopByMs - performance.now());
        await commitAndWait(this.#consumer, this.#commitAnswers, list, Math.min(commitAnswerMs, leftMs));
      } catch (error) {
        if (!membershipErrors.has(errorType(error) ?? '')) throw error;
        this.refusedCommits++;
      }
    });
  }

  /** New topics of a pattern. */
  async #resubscribe(consumer: RdConsumer): Promise<void> {
    if (!this.#topics.hasPatterns || this.#stopping) return;
    // What stands in the way of looking is an outage that `#look` meets as well.
    await this.#topics.refresh(this.#reader).catch(() => undefined);
    if (this.#over || this.#topics.are(this.#subscribed)) return;
    this.#subscribed = this.#topics.names;
    consumer.subscribe(this.#subscribed);
  }

  /** librdkafka sits outages out by itself and says little: whether the broker answers is asked beside it. */
  async #look(): Promise<void> {
    if (this.#looking || this.#over) return;
    this.#looking = true;
    try {
      if (this.#partitions.held.size === 0) await this.#reader.refresh();
      else await this.#partitions.refreshEnds();
      if (this.#refusal === undefined) this.#up();
      else this.#outage(this.#refusal);
    } catch (error) {
      this.#outage(error);
    } finally {
      this.#looking = false;
    }
  }

  /** `refused`: by the group or a topic, which a broker that answers does not mend. */
  #trouble(error: RdError, refused = false): void {
    if (error.code === rdCode.maxPollExceeded || this.#over) return;
    const failure = rdFailure(error);
    if (refused) this.#refusal ??= failure;
    this.#outage(failure);
  }

  #up(): void {
    this.#downSinceMs = undefined;
    this.#problem = undefined;
    this.#refusal = undefined;
    this.#stood = true;
  }

  /** Notes an outage; ends the run once it has lasted too long or cannot end by itself. */
  #outage(error: unknown): void {
    const now = performance.now();
    this.#downSinceMs ??= now;
    const { group, connectForMs = connectForMsDefault, outageForMs = outageForMsDefault } = this.#options;
    const failure = kafkaError(this.#options, `consume ${this.#topics} as group ${group}`, error);
    if (!mayRecover(error) || now - this.#downSinceMs > (this.#stood ? outageForMs : connectForMs)) this.#fail(failure);
    else this.#problem ??= failure.message;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const act of this.#between.splice(0)) attempt(act);
    this.#queue.nudge();
  }

  /** While the broker is away librdkafka tries to leave until the session is over: so long the process cannot end, but nobody waits for it. */
  #disconnect(consumer: RdConsumer): Promise<void> {
    attempt(() => consumer.unsubscribe());
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#options.log?.warn(`librdkafka did not leave group ${this.#options.group} within ${leaveForMs} ms`);
        resolve();
      }, leaveForMs);
      consumer.disconnect(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function attempt(act: () => void): void {
  try {
    act();
  } catch {
    // On the way out: what it would undo is undone with the membership.
  }
}
