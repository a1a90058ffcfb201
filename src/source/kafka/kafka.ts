/** Kafka topics as a source: as a member of a consumer group, over either driver, or as a bounded replay that touches no group. */
import type { Kafka } from 'kafkajs';
import { anyDataset, partitionKey } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Origin, Positions, RecordIntake, Source, SourceHealth } from '../source.ts';
import { connectForMsDefault, createKafka, kafkaError, persist } from './kafka-client.ts';
import { chooseDriver, type DriverChoice } from './kafka-driver.ts';
import { KafkaGroup } from './kafka-group.ts';
import type { KafkaSourceOptions, OffsetGap } from './kafka-options.ts';
import { type Fetched, KafkaReader } from './kafka-reader.ts';
import { KafkaReplay } from './kafka-replay.ts';
import { KafkaTopics } from './kafka-topics.ts';
import { RdkafkaGroup } from './rdkafka-group.ts';

export type { KafkaFrom, KafkaSourceOptions, OffsetGap } from './kafka-options.ts';

const readForMsDefault = 5_000;
/** Kafka sends one whole batch of records at least, however little is asked for; more than the one we look for is not needed. */
const readBytes = 1_024;
const keepFetchedMs = 1_000;

/**
 * `stop` hands the partitions back first: the engine's `revoked` is called, and its commits still count, before the group is left. A
 * commit after that is too late and is left out, which costs the next owner a repeat.
 */
export class KafkaSource implements Source {
  readonly name: string;
  readonly #options: KafkaSourceOptions;
  readonly #kafka: Kafka;
  readonly #topics: KafkaTopics;
  readonly #choice: DriverChoice;
  #group: KafkaGroup | RdkafkaGroup | undefined;
  #replay: KafkaReplay | undefined;
  #running: Promise<void> | undefined;
  #asking: Promise<Origin | undefined> | undefined;
  #samples: Promise<KafkaReader> | undefined;
  /** What the last read brought, and of where. */
  #fetched: (Fetched & { readonly key: string; readonly from: number }) | undefined;
  #starting: string | undefined;
  #ended = false;
  #stopping = false;
  #lost = 0;
  #into: RecordIntake | undefined;

  /** Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read, a UsageError if the driver cannot be had. */
  constructor(options: KafkaSourceOptions) {
    this.name = `kafka:${options.topics.join(',')}`;
    this.#kafka = createKafka(options);
    this.#topics = new KafkaTopics(options.topics);
    this.#choice =
      options.until === undefined
        ? chooseDriver(options.driver ?? 'auto', options)
        : { driver: 'kafkajs', reason: 'a replay joins no group: kafkajs reads it with either driver' };
    // Before anything is tried: also where the broker never answers.
    const { driver, reason } = this.#choice;
    options.log?.info({ source: this.name, driver, reason }, 'Kafka driver');
    this.#options = {
      ...options,
      onGap: (gap: OffsetGap) => {
        if (gap.kind === 'expired') this.#lost += gap.toOffset - gap.fromOffset;
        this.#tellLoss(gap);
        options.onGap?.(gap);
      },
    };
  }

  run(positions: Positions, into: RecordIntake): Promise<void> {
    if (this.#running) throw new Error(`${this.name}: run was called twice`);
    this.#into = into;
    this.#running = this.#run(positions, into);
    return this.#running;
  }

  async #run(positions: Positions, into: RecordIntake): Promise<void> {
    const reader = new KafkaReader(this.#kafka);
    try {
      if (this.#stopping) return;
      if (this.#options.until !== undefined) {
        this.#replay = new KafkaReplay(this.#options, this.#topics, reader);
        await this.#replay.run(positions, into);
      } else {
        await this.#connect(reader);
        if (this.#stopping) return;
        const { rdkafka } = this.#choice;
        this.#group =
          rdkafka === undefined
            ? new KafkaGroup(this.#options, this.#kafka, this.#topics, reader, positions, into)
            : new RdkafkaGroup(this.#options, rdkafka, this.#topics, reader, positions, into);
        await this.#group.run();
      }
    } finally {
      this.#ended = true;
      await reader.disconnect().catch(() => undefined);
    }
  }

  #connect(reader: KafkaReader): Promise<void> {
    const { connectForMs = connectForMsDefault } = this.#options;
    return persist(
      this.#options,
      `find ${this.#topics}`,
      this.#stopping ? 0 : connectForMs,
      () => (this.#stopping ? Promise.resolve() : this.#topics.refresh(reader)),
      (error) => {
        this.#starting = kafkaError(this.#options, `find ${this.#topics}`, error).message;
      },
    ).finally(() => {
      this.#starting = undefined;
    });
  }

  reads(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** The first connection: what `run` needs is found, or is not. Rejects with a DependencyError. */
  origin(): Promise<Origin | undefined> {
    this.#asking = this.#origin();
    return this.#asking;
  }

  async #origin(): Promise<Origin | undefined> {
    const reader = new KafkaReader(this.#kafka);
    try {
      await this.#connect(reader);
      const { connectForMs = connectForMsDefault, group } = this.#options;
      const ask = async () => (this.#stopping ? undefined : reader.clusterId());
      const cluster = await persist(this.#options, 'find the id of the cluster', connectForMs, ask);
      return cluster === undefined ? undefined : { cluster, group };
    } finally {
      await reader.disconnect().catch(() => undefined);
    }
  }

  /** A replay commits nothing. */
  async commit(positions: Positions): Promise<void> {
    await this.#group?.commit(positions);
  }

  /**
   * Reads through its own connection and without a group, so it neither waits for a fetch in progress nor moves anything. Rejects with a
   * DependencyError if the broker does not answer within 5 s.
   */
  async read(topic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${readForMsDefault} ms`)), readForMsDefault);
    });
    try {
      return await Promise.race([this.#readOne(topic, partition, offset), timeout]);
    } catch (error) {
      throw error instanceof DependencyError ? error : kafkaError(this.#options, `read ${topic}/${partition} at ${offset}`, error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readOne(topic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    this.#samples ??= this.#openReader();
    let reader: KafkaReader;
    try {
      reader = await this.#samples;
    } catch (error) {
      this.#samples = undefined;
      throw error;
    }
    // A topic of a pattern may have come since the reader was opened.
    if (this.#topics.names.includes(topic)) await reader.connect([topic]);
    for (let from = offset; ; ) {
      const before = this.#fetched;
      const known =
        before !== undefined && before.key === partitionKey(topic, partition) && before.from <= from && from < before.nextOffset;
      const fetched = known ? before : await this.#fetch(reader, topic, partition, from);
      const message = fetched.messages.find((one) => Number(one.offset) === offset);
      if (message) return message.value;
      if (fetched.nextOffset === from || fetched.nextOffset > offset) return null;
      from = fetched.nextOffset;
    }
  }

  /** Kept for a moment: the next one asked for may be in the same batch of records, and is, where a key wrote many. */
  async #fetch(reader: KafkaReader, topic: string, partition: number, from: number): Promise<Fetched> {
    const fetched = { ...(await reader.fetch(topic, partition, from, readBytes, 100)), key: partitionKey(topic, partition), from };
    this.#fetched = fetched;
    setTimeout(() => {
      if (this.#fetched === fetched) this.#fetched = undefined;
    }, keepFetchedMs).unref();
    return fetched;
  }

  async #openReader(): Promise<KafkaReader> {
    const reader = new KafkaReader(this.#kafka);
    await this.#topics.refresh(reader);
    return reader;
  }

  /** Not to be awaited from inside `into.batch`: it waits for that batch. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#replay?.stop();
    try {
      await this.#asking?.catch(() => undefined);
      await this.#group?.stop();
      await this.#running?.catch(() => undefined);
    } finally {
      const samples = this.#samples;
      this.#samples = undefined;
      await samples?.then((reader) => reader.disconnect()).catch(() => undefined);
    }
  }

  health(): SourceHealth {
    const problem = this.#starting ?? this.#group?.problem;
    const reason = problem ?? this.#worthKnowing();
    const lagRecords = this.#group?.lag() ?? this.#replay?.lag();
    return {
      ok: problem === undefined || problem === 'rebalancing',
      ...(reason === undefined ? {} : { reason }),
      ...(lagRecords === undefined ? {} : { lagRecords }),
      driver: this.#choice.driver,
      ...(problem === undefined || problem === 'rebalancing' ? {} : { away: true }),
    };
  }

  /** What was skipped was nothing to see: compaction, markers of transactions. What is gone can have named a dataset of its own. */
  #tellLoss({ topic, partition, fromOffset, toOffset, kind }: OffsetGap): void {
    if (kind === 'skipped') return;
    const records = kind === 'expired' ? toOffset - fromOffset : undefined;
    this.#into?.lost?.({ key: partitionKey(topic, partition), dataset: anyDataset, kind, records });
  }

  #worthKnowing(): string | undefined {
    if (this.#ended) return 'end of input';
    const refused = this.#group?.refusedCommits ?? 0;
    const facts = [
      ...(this.#lost > 0 ? [`${this.#lost} records expired before they were read`] : []),
      ...(refused > 0 ? [`the group refused ${refused} commits in rebalances`] : []),
    ];
    return facts.length > 0 ? facts.join('; ') : undefined;
  }
}
