/**
 * Reading as a member of a consumer group, over librdkafka, in rounds (`rdkafka-rounds.ts`), never its flowing mode, which has no back-pressure.
 *
 * Rebalances are cooperative (cooperative-sticky, or KIP-848): only what moves is revoked, and the rest goes on. librdkafka waits for
 * `incrementalAssign` and `incrementalUnassign`, so what a change owes (`rdkafka-assignment.ts`) is done before it goes on.
 */
import { partitionKey, type RecordBatch } from '../../../processors/record.ts';
import type { Positions, RecordIntake } from '../source.ts';
import { HandInQueue, type WaitingBatch } from './hand-in-queue.ts';
import { connectForMsDefault, outageForMsDefault, persist } from './kafka-client.ts';
import { GroupPartitions } from './kafka-group-partitions.ts';
import { heartbeatMs } from './kafka-member.ts';
import { type KafkaSourceOptions, topicRefreshMsDefault } from './kafka-options.ts';
import { KafkaOutage } from './kafka-outage.ts';
import type { KafkaReader } from './kafka-reader.ts';
import { KafkaRebuild } from './kafka-rebuild.ts';
import type { KafkaTopics } from './kafka-topics.ts';
import { RdkafkaAssignment } from './rdkafka-assignment.ts';
import {
  attempt,
  connectRd,
  memberSettings,
  type RdConsumer,
  type RdError,
  type Rdkafka,
  type RdPartition,
  rdCode,
  rdFailure,
} from './rdkafka-client.ts';
import { RdkafkaCommits } from './rdkafka-commit.ts';
import { RdkafkaRounds } from './rdkafka-rounds.ts';

/** How long a stop may be held up by a commit, and then by leaving the group, while the broker is away. */
const stopForMs = 8_000;
const leaveForMs = 4_000;

export class RdkafkaGroup {
  readonly #options: KafkaSourceOptions;
  readonly #rdkafka: Rdkafka;
  readonly #reader: KafkaReader;
  readonly #topics: KafkaTopics;
  readonly #into: RecordIntake;
  readonly #partitions: GroupPartitions;
  readonly #rebuild: KafkaRebuild;
  readonly #queue: HandInQueue;
  readonly #outage: KafkaOutage;
  readonly #commits: RdkafkaCommits;
  readonly #assignment: RdkafkaAssignment;
  #consumer: RdConsumer | undefined;
  #rounds: RdkafkaRounds | undefined;
  #subscribed: readonly string[] = [];
  #failure: { error: unknown } | undefined;
  #stopping = false;
  #over = false;
  #refusal: unknown;
  #looking = false;

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
    this.#outage = new KafkaOutage(options, topics);
    this.#rebuild = new KafkaRebuild(options, topics, reader, positions, into);
    this.#partitions = new GroupPartitions(options, topics, reader, positions, into.rebuild && this.#rebuild);
    this.#commits = new RdkafkaCommits(options, this.#partitions, () => {
      // Its answer comes with a round.
      this.#queue.nudge();
      return this.#over ? undefined : this.#consumer;
    });
    this.#queue = new HandInQueue(
      (batch) => this.#handIn(batch),
      (error) => this.#fail(error),
    );
    this.#assignment = new RdkafkaAssignment({
      partitions: this.#partitions,
      queue: this.#queue,
      commits: this.#commits,
      rebuild: this.#rebuild,
      into,
      member: {
        stopping: () => this.#stopping,
        over: () => this.#over,
        failed: () => this.#failure !== undefined,
        fail: (error) => this.#fail(error),
        atRest: (act) => this.#atRest(act),
      },
    });
  }

  get problem(): string | undefined {
    return this.#outage.problem ?? (this.#assignment.changing || this.#rebuild.running ? 'rebalancing' : undefined);
  }

  lag(): number | undefined {
    return this.#partitions.lag();
  }

  /** Resolves after `stop`; rejects with a DependencyError when an outage outlasts its bound, or with what the intake rejected with. */
  async run(): Promise<void> {
    const { topicRefreshMs = topicRefreshMsDefault, connectForMs = connectForMsDefault } = this.#options;
    const consumer = await persist(this.#options, `join group ${this.#options.group}`, connectForMs, () => this.#connect());
    // Stopped meanwhile: rounds that begin now would be ended by nobody.
    if (this.#over) return this.#disconnect(consumer);
    this.#consumer = consumer;
    const rounds = this.#roundsOf(consumer);
    const look = setInterval(() => void this.#look(), heartbeatMs(this.#options));
    const scan = setInterval(() => void this.#resubscribe(consumer), topicRefreshMs);
    try {
      this.#subscribed = this.#topics.names;
      consumer.subscribe(this.#subscribed);
      await rounds.run();
    } finally {
      this.#over = true;
      clearInterval(look);
      clearInterval(scan);
      await this.#rebuild.abandon();
      await this.#queue.close();
      this.#partitions.giveUp();
      await this.#disconnect(consumer);
    }
    if (this.#failure) throw this.#failure.error;
  }

  /** Hands the partitions back, leaves the group; `run` resolves then. Not to be awaited from inside `into.batch`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#commits.giveUpAt(performance.now() + stopForMs);
    this.#queue.nudge();
    await this.#assignment.giveBack();
    this.#over = true;
    this.#rounds?.end();
    this.#queue.nudge();
  }

  /** Commits of partitions that are not ours (any more) are left out. Resolves when the broker has them. */
  commit(positions: Positions): Promise<void> {
    return this.#commits.commit(positions);
  }

  /** Commits that the group refused; what is still held is committed again. */
  get refusedCommits(): number {
    return this.#commits.refused;
  }

  async #connect(): Promise<RdConsumer> {
    const settings = {
      ...memberSettings(this.#options),
      rebalance_cb: (error: RdError, partitions: RdPartition[]) => this.#rebalanced(error, partitions),
      offset_commit_cb: (error: RdError | undefined, partitions: RdPartition[]) => this.#commits.answered(error, partitions),
    };
    const consumer = new this.#rdkafka.KafkaConsumer(settings, { 'auto.offset.reset': 'earliest' });
    consumer.on('event.error', (error) => this.#trouble(error));
    consumer.on('event.log', ({ message, ...rest }) => this.#options.log?.debug({ librdkafka: rest.fac }, message));
    await connectRd(consumer, this.#options, 10_000);
    return consumer;
  }

  #roundsOf(consumer: RdConsumer): RdkafkaRounds {
    this.#rounds = new RdkafkaRounds(consumer, this.#queue, this.#options, {
      batch: (batch) => this.#enqueue(batch),
      alive: () => this.#up(),
      refused: (error) => this.#trouble(error, true),
      awaited: () => this.#assignment.changing || this.#commits.awaited,
      reading: () => [...this.#partitions.held.values()].filter(({ started }) => started),
    });
    return this.#rounds;
  }

  #enqueue(waiting: WaitingBatch): void {
    const key = partitionKey(waiting.batch.topic, waiting.batch.partition);
    if (this.#stopping || this.#assignment.leaves(key) || !this.#partitions.held.get(key)?.started) return;
    this.#queue.add(waiting);
  }

  async #handIn(batch: RecordBatch): Promise<void> {
    const held = this.#partitions.held.get(partitionKey(batch.topic, batch.partition));
    if (!held || this.#stopping || this.#failure) return;
    const { records } = batch;
    const { outageForMs = outageForMsDefault } = this.#options;
    if (records[0].offset !== held.next) {
      await persist(this.#options, `look at ${batch.topic}`, outageForMs, () => this.#partitions.arrivedAt(held, records[0].offset));
    }
    if (this.#assignment.leaves(partitionKey(batch.topic, batch.partition)) || this.#stopping) return;
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
    void (error.code === rdCode.assign ? this.#assignment.assigned(partitions) : this.#assignment.revoked(partitions));
  }

  #atRest(act: (consumer: RdConsumer | undefined) => void): Promise<void> {
    return this.#failure || this.#over ? Promise.resolve() : (this.#rounds?.atRest(() => act(this.#consumer)) ?? Promise.resolve());
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
      else this.#down(this.#refusal);
    } catch (error) {
      this.#down(error);
    } finally {
      this.#looking = false;
    }
  }

  /** `refused`: by the group or a topic, which a broker that answers does not mend. */
  #trouble(error: RdError, refused = false): void {
    if (error.code === rdCode.maxPollExceeded || this.#over) return;
    const failure = rdFailure(error);
    if (refused) this.#refusal ??= failure;
    this.#down(failure);
  }

  #up(): void {
    this.#refusal = undefined;
    this.#outage.over();
  }

  #down(error: unknown): void {
    const failure = this.#outage.note(error);
    if (failure !== undefined) this.#fail(failure);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#rounds?.end();
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
