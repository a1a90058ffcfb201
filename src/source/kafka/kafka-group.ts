/**
 * Reading as a member of a consumer group, over kafkajs' `eachBatch`.
 *
 * What is ours and not kafkajs': where a partition begins (positions, commits, `from`), heartbeats while a batch is with the engine,
 * handing partitions back before a rejoin (`kafka-member.ts`), and how long an outage is sat out.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { partitionKey } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Positions, RecordIntake } from '../source.ts';
import { errorType, outageForMsDefault, persist } from './kafka-client.ts';
import { GroupPartitions, type Held } from './kafka-group-partitions.ts';
import { createMember, heartbeatMs, type Member } from './kafka-member.ts';
import { type KafkaSourceOptions, maxBatchRecordsDefault, topicRefreshMsDefault } from './kafka-options.ts';
import { KafkaOutage } from './kafka-outage.ts';
import type { KafkaReader } from './kafka-reader.ts';
import { KafkaRebuild } from './kafka-rebuild.ts';
import { safeOffset, toRecords } from './kafka-record.ts';
import type { KafkaTopics } from './kafka-topics.ts';

const lagRefreshMs = 10_000;
/** How long a commit may hold up a stop while the broker is away. */
const stopForMs = 10_000;
/** The group has moved on without us: the offsets are another member's to commit now. */
const membershipErrors = new Set(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID']);
const rejoinErrors = new Set([...membershipErrors, 'NOT_COORDINATOR_FOR_GROUP']);

export class KafkaGroup {
  readonly #options: KafkaSourceOptions;
  readonly #kafka: Kafka;
  readonly #into: RecordIntake;
  readonly #reader: KafkaReader;
  readonly #topics: KafkaTopics;
  #subscribed: readonly string[] = [];
  readonly #partitions: GroupPartitions;
  readonly #rebuild: KafkaRebuild;
  readonly #outage: KafkaOutage;
  #session: Member | undefined;
  #memberId: string | undefined;
  #beat: (() => Promise<void>) | undefined;
  #rejoin: unknown;
  #rejoining = false;
  #handing = 0;
  #settled: (() => void)[] = [];
  #revoking: Promise<void> | undefined;
  #commits: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;
  #stopping = false;
  #stopByMs = Number.POSITIVE_INFINITY;
  #wake: () => void = () => undefined;
  /** Commits that came after their partition was lost; the new owner repeats the records. */
  refusedCommits = 0;

  constructor(
    options: KafkaSourceOptions,
    kafka: Kafka,
    topics: KafkaTopics,
    reader: KafkaReader,
    positions: Positions,
    into: RecordIntake,
  ) {
    this.#options = options;
    this.#kafka = kafka;
    this.#into = into;
    this.#topics = topics;
    this.#reader = reader;
    this.#outage = new KafkaOutage(options, topics);
    this.#rebuild = new KafkaRebuild(options, topics, reader, positions, into);
    this.#partitions = new GroupPartitions(options, topics, reader, positions, this.#into.rebuild && this.#rebuild);
  }

  get problem(): string | undefined {
    return this.#outage.problem ?? (this.#rejoining || this.#rebuild.running ? 'rebalancing' : undefined);
  }

  lag(): number | undefined {
    return this.#partitions.lag();
  }

  /** Resolves after `stop`; rejects with a DependencyError when an outage outlasts its bound, or with what the intake rejected with. */
  async run(): Promise<void> {
    const heartbeats = setInterval(() => void this.#heartbeat(), heartbeatMs(this.#options));
    // An outage is met by the consumer itself.
    const lag = setInterval(() => void this.#partitions.refreshEnds().catch(() => undefined), lagRefreshMs);
    const scan = setInterval(() => void this.#lookForTopics(), this.#options.topicRefreshMs ?? topicRefreshMsDefault);
    try {
      for (let waitMs = 100; !this.#stopping && !this.#failure; waitMs = Math.min(waitMs * 2, 5_000)) {
        const error = await this.#runSession();
        if (this.#stopping || this.#failure) break;
        if (error === undefined) continue;
        if (!this.#outage.lasts) waitMs = 100;
        const failure = this.#outage.note(error);
        if (failure !== undefined) throw failure;
        await this.#pause(waitMs);
      }
    } finally {
      clearInterval(heartbeats);
      clearInterval(lag);
      clearInterval(scan);
      await this.#session?.consumer.disconnect().catch(() => undefined);
      this.#session = undefined;
    }
    if (this.#failure) throw this.#failure.error;
  }

  /** Hands the partitions back, leaves the group; `run` resolves then. Not to be awaited from inside `into.batch`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopByMs = performance.now() + stopForMs;
    try {
      // What the engine rejects with is what `run` rejects with.
      await this.#revoke().catch(() => undefined);
      await this.#commits;
    } finally {
      this.#wake();
    }
  }

  /** Commits of partitions that are not ours (any more) are left out. Resolves when the broker has them. */
  commit(positions: Positions): Promise<void> {
    const done = this.#commits.then(() => this.#commitNow(positions));
    this.#commits = done.catch(() => undefined);
    return done;
  }

  async #commitNow(positions: Positions): Promise<void> {
    const list = Object.entries(positions).flatMap(([key, offset]) => {
      const held = this.#partitions.held.get(key);
      return held ? [{ topic: held.topic, partition: held.partition, offset: String(offset) }] : [];
    });
    if (list.length === 0) return;
    const outageForMs = this.#options.outageForMs ?? outageForMsDefault;
    await persist(this.#options, `commit offsets of group ${this.#options.group}`, outageForMs, async () => {
      if (this.#stopping && performance.now() > this.#stopByMs)
        throw new DependencyError(`${this.#options.group}: stopped during an outage`);
      if (!this.#session) throw new Error('not connected');
      try {
        await this.#session.consumer.commitOffsets(list);
      } catch (error) {
        if (!membershipErrors.has(errorType(error) ?? '')) throw error;
        this.refusedCommits++;
      }
    });
  }

  /** New topics of a pattern: kafkajs subscribes once, so a consumer with the new list takes the place of this one. */
  async #lookForTopics(): Promise<void> {
    if (!this.#topics.hasPatterns || !this.#session || this.#stopping) return;
    // What stands in the way of looking is an outage that the consumer meets as well.
    await this.#topics.refresh(this.#reader).catch(() => undefined);
    if (this.#topics.are(this.#subscribed) || this.#stopping) return;
    await this.#revoke().catch(() => undefined);
    this.#wake();
  }

  /** One consumer, until it gives up or we stop. Resolves with the error it gave up with; undefined where it was ended. */
  async #runSession(): Promise<unknown> {
    this.#subscribed = this.#topics.names;
    const { consumer, crashed } = createMember(this.#kafka, this.#options, this.#memberId, {
      beforeJoin: () => this.#revoke(),
      joined: (memberId, assignment) => {
        this.#memberId = memberId;
        this.#joined(consumer, assignment);
      },
      alive: () => this.#outage.over(),
      unseen: (topic, partition, lastOffset) => this.#partitions.skipUnseen(topic, partition, lastOffset),
    });
    this.#session = { consumer, crashed };
    const stopped = new Promise<undefined>((resolve) => {
      this.#wake = () => resolve(undefined);
    });
    let error: unknown;
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...this.#subscribed], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => this.#eachBatch(payload) });
      error = await Promise.race([crashed, this.#stopping || this.#failure ? undefined : stopped]);
    } catch (thrown) {
      error = thrown;
    }
    this.#session = undefined;
    this.#beat = undefined;
    await consumer.disconnect().catch(() => undefined);
    return error;
  }

  /** Waits for the batch in hand, lets the engine make durable and commit what it has, and gives all partitions up. */
  #revoke(): Promise<void> {
    if (this.#partitions.held.size === 0) return this.#revoking ?? Promise.resolve();
    this.#rejoining = true;
    this.#revoking ??= (async () => {
      try {
        await this.#rebuild.abandon();
        while (this.#handing > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
        if (!this.#failure) await this.#into.revoked([...this.#partitions.held.keys()]);
      } catch (error) {
        this.#fail(error);
        throw error;
      } finally {
        this.#partitions.giveUp();
        this.#revoking = undefined;
      }
    })();
    return this.#revoking;
  }

  #joined(consumer: Consumer, assignment: Record<string, number[]>): void {
    this.#outage.over();
    this.#rejoining = false;
    this.#rejoin = undefined;
    // kafkajs does not wait for this listener, so nothing is fetched until the places to begin are known.
    const assigned = Object.entries(assignment).map(([topic, partitions]) => ({ topic, partitions }));
    if (assigned.length > 0) consumer.pause(assigned);
    const commitStart = (positions: Positions) => void this.commit(positions).catch((error) => this.#fail(error));
    const begin = async () => {
      const started = await this.#partitions.take(assignment, commitStart);
      if (!started || this.#session?.consumer !== consumer) return;
      this.#into.partitions(started.map(({ topic, partition }) => partitionKey(topic, partition)));
      if (this.#rebuild.neededFor(started)) await this.#rebuild.run(started);
      if (this.#session?.consumer !== consumer || started.some((held) => !this.#partitions.holds(held))) return;
      for (const { topic, partition, next } of started) consumer.seek({ topic, partition, offset: String(next) });
      if (assigned.length > 0) consumer.resume(assigned);
    };
    begin().catch((error) => this.#fail(error));
  }

  async #eachBatch({ batch, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
    this.#beat = heartbeat;
    const { topic, partition, messages } = batch;
    const held = this.#partitions.held.get(partitionKey(topic, partition));
    if (!held?.started || messages.length === 0) return;
    this.#handing++;
    try {
      const fetchedFrom = 'fetchedOffset' in batch ? String(batch.fetchedOffset) : batch.firstOffset();
      this.#partitions.arrived(held, fetchedFrom ?? messages[0].offset, messages[0].offset, batch.highWatermark);
      const step = this.#options.maxBatchRecords ?? maxBatchRecordsDefault;
      for (let at = 0; at < messages.length && this.#mayHandIn(); at += step) {
        const end = Math.min(at + step, messages.length);
        await this.#handIn(held, toRecords(topic, partition, messages, at, end));
        const last = messages[end - 1].offset;
        resolveOffset(last);
        held.next = safeOffset(topic, partition, end === messages.length ? batch.lastOffset() : last) + 1;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#handing--;
      if (this.#handing === 0) for (const resolve of this.#settled.splice(0)) resolve();
    }
    if (this.#rejoin) throw this.#rejoin;
  }

  #mayHandIn(): boolean {
    return !this.#stopping && !this.#failure && !this.#rejoining && !this.#rejoin;
  }

  #handIn(held: Held, records: ReturnType<typeof toRecords>): Promise<void> {
    const { dataset, format } = this.#options;
    return this.#into.batch({ topic: held.topic, partition: held.partition, dataset, format, records });
  }

  /** kafkajs sends heartbeats between batches only; a slow engine must not cost the session. */
  async #heartbeat(): Promise<void> {
    if (this.#handing === 0 && !this.#revoking) return;
    try {
      await this.#beat?.();
    } catch (error) {
      if (rejoinErrors.has(errorType(error) ?? '')) this.#rejoin = error;
      // Anything else is an outage, which kafkajs meets itself at its next request.
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  #pause(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
