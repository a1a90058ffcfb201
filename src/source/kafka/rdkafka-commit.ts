/** Commits over librdkafka: asked for in one call, answered through the consumer's rounds. */
import { partitionKey } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Positions } from '../source.ts';
import { errorType, outageForMsDefault, persist } from './kafka-client.ts';
import type { GroupPartitions, Held } from './kafka-group-partitions.ts';
import type { KafkaSourceOptions } from './kafka-options.ts';
import { type RdConsumer, type RdError, type RdPartition, rdFailure } from './rdkafka-client.ts';

/** How long to wait for the answer to a commit. */
const commitAnswerMs = 10_000;
/** When what the group refused is tried again, for the partitions that stay ours: a rebalance that takes one refuses the commits of all. */
const againMs = 500;
/** The group has moved on: the offsets of what we lost are another member's to commit now. */
const membershipErrors = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'FENCED_INSTANCE_ID',
  'FENCED_MEMBER_EPOCH',
  'REBALANCE_IN_PROGRESS',
  '_FATAL',
]);

/** Who waits for an answer. */
type OffsetCommits = Set<(error: RdError | undefined, partitions: readonly RdPartition[]) => void>;

/** The commits of a member, one after the other. */
export class RdkafkaCommits {
  readonly #options: KafkaSourceOptions;
  readonly #partitions: GroupPartitions;
  /** Of a member that is one still; undefined where it is none; throws where its client is dead. */
  readonly #consumer: () => RdConsumer | undefined;
  readonly #answers: OffsetCommits = new Set();
  #last: Promise<void> = Promise.resolve();
  #stopByMs = Number.POSITIVE_INFINITY;
  /** Commits that the group refused. Where the partition was lost, the new owner repeats the records. */
  refused = 0;
  /** What was refused and is still to be committed, as long as it is held without a break. */
  readonly #owed = new Map<string, { readonly held: Held; readonly offset: number }>();
  #again: NodeJS.Timeout | undefined;

  constructor(options: KafkaSourceOptions, partitions: GroupPartitions, consumer: () => RdConsumer | undefined) {
    this.#options = options;
    this.#partitions = partitions;
    this.#consumer = consumer;
  }

  /** Somebody waits for an answer, which comes through the rounds. */
  get awaited(): boolean {
    return this.#answers.size > 0;
  }

  /** For the consumer's `offset_commit_cb`. */
  answered(error: RdError | undefined, partitions: readonly RdPartition[]): void {
    for (const answered of this.#answers) answered(error, partitions);
  }

  /** Commits of partitions that are not ours (any more) are left out. Resolves when the broker has them. */
  commit(positions: Positions): Promise<void> {
    const done = this.#last.then(() => this.#commitNow(positions));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when those that were asked for have come to an end. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** From then on an outage is sat out no longer. By `performance.now()`. */
  giveUpAt(atMs: number): void {
    this.#stopByMs = atMs;
    clearTimeout(this.#again);
  }

  async #commitNow(positions: Positions): Promise<void> {
    const { group, outageForMs = outageForMsDefault } = this.#options;
    await persist(this.#options, `commit offsets of group ${group}`, outageForMs, async () => {
      const list = Object.entries(positions).flatMap(([key, offset]) => {
        const held = this.#partitions.held.get(key);
        return held ? [{ topic: held.topic, partition: held.partition, offset }] : [];
      });
      if (list.length === 0) return;
      const leftMs = this.#stopByMs - performance.now();
      if (leftMs <= 0) throw new DependencyError(`${group}: stopped during an outage`);
      try {
        const consumer = this.#consumer();
        if (consumer === undefined) throw new DependencyError(`${group}: no longer a member`);
        await commitAndWait(consumer, this.#answers, list, Math.min(commitAnswerMs, leftMs));
        // Whatever comes later is no less than what came before.
        for (const { topic, partition } of list) this.#owed.delete(partitionKey(topic, partition));
      } catch (error) {
        if (!membershipErrors.has(errorType(error) ?? '')) throw error;
        this.refused++;
        this.#owe(list);
      }
    });
  }

  /** Nobody need ask for them a second time: a quiet topic would show a lag for ever. */
  #owe(list: readonly Required<RdPartition>[]): void {
    for (const { topic, partition, offset } of list) {
      const key = partitionKey(topic, partition);
      const held = this.#partitions.held.get(key);
      if (held !== undefined) this.#owed.set(key, { held, offset });
    }
    if (this.#stopByMs !== Number.POSITIVE_INFINITY) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      const still = [...this.#owed].filter(([key, { held }]) => this.#partitions.held.get(key) === held);
      this.#owed.clear();
      const positions = Object.fromEntries(still.map(([key, { offset }]) => [key, offset]));
      if (still.length > 0) this.commit(positions).catch(() => undefined);
    }, againMs).unref();
  }
}

/** Not `commitSync`, which would hold up the event loop for as long as the broker does. Rejects with the protocol's error. */
function commitAndWait(
  consumer: RdConsumer,
  answers: OffsetCommits,
  list: readonly Required<RdPartition>[],
  withinMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const wanted = new Set(list.map(placeOf));
    const settle = (error?: Error) => {
      clearTimeout(timer);
      answers.delete(answered);
      if (error) reject(error);
      else resolve();
    };
    const answered = (error: RdError | undefined, partitions: readonly RdPartition[]) => {
      // A late answer to a commit that was given up is not ours.
      if (partitions.length !== wanted.size || !partitions.every((one) => wanted.has(placeOf(one)))) return;
      settle(error ? rdFailure(error) : undefined);
    };
    const timer = setTimeout(() => settle(new Error(`no answer to a commit within ${withinMs} ms`)), withinMs);
    answers.add(answered);
    try {
      consumer.commit(list);
    } catch (error) {
      settle(rdFailure(error as RdError));
    }
  });
}

function placeOf({ topic, partition, offset }: RdPartition): string {
  return `${topic}/${partition}@${offset}`;
}
