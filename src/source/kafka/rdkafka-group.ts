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
import { attempt, type RdConsumer, type RdError, type Rdkafka, type RdPartition, rdCode, rdFailure } from './rdkafka-client.ts';
import { RdkafkaCommits } from './rdkafka-commit.ts';
import { RdkafkaMember } from './rdkafka-member.ts';
import { RdkafkaRounds } from './rdkafka-rounds.ts';

/** How long a stop may be held up by a commit while the broker is away. */
const stopForMs = 8_000;
/** Between the death of a client and the next one. */
const againMs = 1_000;
/** A client that has lived for so long is a member, or waits for a broker that is away. */
const provenMs = 5_000;

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
  #member: RdkafkaMember | undefined;
  /** It met a fatal error. */
  #dead = false;
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
      if (this.#dead) throw rdFailure({ code: rdCode.fatal, message: 'the client is dead' });
      return this.#over ? undefined : this.#member?.consumer;
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
    const { topicRefreshMs = topicRefreshMsDefault, connectForMs = connectForMsDefault, outageForMs = outageForMsDefault } = this.#options;
    const look = setInterval(() => void this.#look(), heartbeatMs(this.#options));
    const scan = setInterval(() => void this.#resubscribe(), topicRefreshMs);
    try {
      let again = await this.#beMember(connectForMs);
      while (again) again = await this.#beMember(outageForMs);
    } finally {
      this.#over = true;
      clearInterval(look);
      clearInterval(scan);
      await this.#rebuild.abandon();
      await this.#queue.close();
      this.#partitions.giveUp();
      await this.#member?.leave(this.#outage.lasts);
    }
    if (this.#failure) throw this.#failure.error;
  }

  /** With one client, until we stop or fail: false; or until it is dead and has given up what it held, and another may try: true. */
  async #beMember(connectForMs: number): Promise<boolean> {
    this.#member = await persist(this.#options, `join group ${this.#options.group}`, connectForMs, () => this.#connect());
    // Stopped meanwhile: rounds that begin now would be ended by nobody.
    if (this.#member === undefined || this.#over || this.#failure) return false;
    const { consumer } = this.#member;
    const before = this.#refusal;
    this.#dead = false;
    this.#rounds = this.#roundsOf(consumer);
    const proven = setTimeout(() => {
      if (this.#refusal === before) this.#refusal = undefined;
    }, provenMs).unref();
    this.#subscribed = this.#topics.names;
    consumer.subscribe(this.#subscribed);
    await this.#rounds.run();
    clearTimeout(proven);
    return this.#dead && (await this.#buried(this.#member));
  }

  /** Whether another client may take the place of this one. */
  async #buried(member: RdkafkaMember): Promise<boolean> {
    const known = this.#outage.lasts;
    const failure = await member.fatal();
    this.#refusal = failure;
    this.#down(failure);
    if (this.#failure) return false;
    if (!known) this.#options.log?.warn(`${this.#outage.problem}; trying again with another client`);
    await this.#assignment.giveBack();
    this.#member = undefined;
    await member.leave(false);
    await new Promise((resolve) => setTimeout(resolve, againMs));
    return !this.#over && this.#failure === undefined;
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

  /** Undefined where that is not wanted any more. */
  async #connect(): Promise<RdkafkaMember | undefined> {
    if (this.#over) return undefined;
    const member = new RdkafkaMember(this.#options, this.#rdkafka, {
      rebalanced: (of, error, partitions) => this.#rebalanced(of, error, partitions),
      committed: (error, partitions) => this.#commits.answered(error, partitions),
      trouble: (error) => this.#trouble(error),
    });
    await member.connect();
    return member;
  }

  #roundsOf(consumer: RdConsumer): RdkafkaRounds {
    this.#rounds = new RdkafkaRounds(consumer, this.#queue, this.#options, {
      batch: (batch) => this.#enqueue(batch),
      alive: () => this.#up(),
      refused: (error) => this.#refused(error),
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

  #rebalanced(member: RdkafkaMember, error: RdError, partitions: RdPartition[]): void {
    if (this.#over || this.#dead || member !== this.#member) {
      // Leaving the group: it waits for this, and nothing of ours is left to do.
      if (error.code === rdCode.revoke) attempt(() => member.consumer.incrementalUnassign(partitions));
      return;
    }
    this.#up();
    void (error.code === rdCode.assign ? this.#assignment.assigned(partitions) : this.#assignment.revoked(partitions));
  }

  #atRest(act: (consumer: RdConsumer | undefined) => void): Promise<void> {
    return this.#failure || this.#over ? Promise.resolve() : (this.#rounds?.atRest(() => act(this.#member?.consumer)) ?? Promise.resolve());
  }

  /** New topics of a pattern. */
  async #resubscribe(): Promise<void> {
    if (!this.#topics.hasPatterns || this.#stopping) return;
    // What stands in the way of looking is an outage that `#look` meets as well.
    await this.#topics.refresh(this.#reader).catch(() => undefined);
    if (this.#over || this.#dead || this.#member === undefined || this.#topics.are(this.#subscribed)) return;
    this.#subscribed = this.#topics.names;
    this.#member.consumer.subscribe(this.#subscribed);
  }

  /** librdkafka sits outages out by itself and says little: whether the broker answers is asked beside it. */
  async #look(): Promise<void> {
    if (this.#looking || this.#over || this.#dead || this.#member === undefined) return;
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

  /** By the group or a topic, which a broker that answers does not mend. */
  #refused(error: RdError): void {
    if (error.code === rdCode.fatal) {
      this.#dead = true;
      this.#rounds?.end();
    } else {
      if (error.code !== rdCode.maxPollExceeded) this.#refusal ??= rdFailure(error);
      this.#trouble(error);
    }
  }

  #trouble(error: RdError): void {
    if (error.code === rdCode.maxPollExceeded || this.#over) return;
    this.#down(rdFailure(error));
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
}
