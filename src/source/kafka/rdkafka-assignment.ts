/**
 * The changes of what a member holds, one at a time, and what each owes before the next: what came of partitions that go is durable and
 * committed before they are handed back, the places to begin are known before records come, and the windows are made whole before anything
 * new is handed in.
 */
import { partitionKey } from '../../../processors/record.ts';
import type { Positions, RecordIntake } from '../source.ts';
import type { HandInQueue } from './hand-in-queue.ts';
import type { GroupPartitions } from './kafka-group-partitions.ts';
import type { KafkaRebuild } from './kafka-rebuild.ts';
import { attempt, type RdConsumer, type RdPartition } from './rdkafka-client.ts';
import type { RdkafkaCommits } from './rdkafka-commit.ts';

export interface AssignmentParts {
  readonly partitions: GroupPartitions;
  readonly queue: HandInQueue;
  readonly commits: RdkafkaCommits;
  readonly rebuild: KafkaRebuild;
  readonly into: RecordIntake;
  readonly member: AssignedMember;
}

/** Whose assignment it is. */
export interface AssignedMember {
  /** Told to stop. */
  stopping(): boolean;
  /** Has left the group, or is about to. */
  over(): boolean;
  failed(): boolean;
  /** Ends the run with this error. */
  fail(error: unknown): void;
  /** Resolves when it was done, between two rounds; left out once the member failed or is over. */
  atRest(act: (consumer: RdConsumer | undefined) => void): Promise<void>;
}

export class RdkafkaAssignment {
  readonly #parts: AssignmentParts;
  /** Revoked or being so: what still comes of them is left out. */
  readonly #leaving = new Set<string>();
  #changes: Promise<void> = Promise.resolve();
  #changing = 0;
  /** Counts the changes that were asked for. */
  #generation = 0;

  constructor(parts: AssignmentParts) {
    this.#parts = parts;
  }

  get changing(): boolean {
    return this.#changing > 0;
  }

  /** Is this partition being handed back? */
  leaves(key: string): boolean {
    return this.#leaving.has(key);
  }

  /** These are ours now. */
  assigned(partitions: readonly RdPartition[]): Promise<void> {
    return this.#change(() => this.#assign(partitions));
  }

  /** These are to be handed back. */
  revoked(partitions: readonly RdPartition[]): Promise<void> {
    return this.#change(() => this.#revoke(partitions));
  }

  /** Hands back all that is held when its turn comes. */
  giveBack(): Promise<void> {
    const { held } = this.#parts.partitions;
    return this.#change(() => this.#revoke([...held.values()].map(({ topic, partition }) => ({ topic, partition }))));
  }

  /** One change of the assignment at a time. What it rejects with ends the run. */
  #change(change: () => Promise<void>): Promise<void> {
    const { queue, rebuild, member } = this.#parts;
    this.#changing++;
    const generation = ++this.#generation;
    queue.nudge();
    this.#changes = this.#changes
      .then(() => rebuild.abandon())
      .then(change)
      .then(() => void this.#makeWindowsWhole(generation))
      .catch((error) => member.fail(error))
      .finally(() => this.#changing--);
    return this.#changes;
  }

  async #assign(assigned: readonly RdPartition[]): Promise<void> {
    const { partitions, commits, into, member } = this.#parts;
    const commitStart = (positions: Positions) => void commits.commit(positions).catch((error) => member.fail(error));
    const started = await partitions.add(assigned, commitStart);
    if (member.over() || member.failed()) return;
    into.partitions(started.map(({ topic, partition }) => partitionKey(topic, partition)));
    const begins = started.map(({ topic, partition, next }) => ({ topic, partition, offset: next }));
    await member.atRest((consumer) => consumer?.incrementalAssign(begins));
  }

  async #revoke(revoked: readonly RdPartition[]): Promise<void> {
    const { partitions, queue, commits, into, member } = this.#parts;
    const keys = revoked.map(({ topic, partition }) => partitionKey(topic, partition)).filter((key) => partitions.held.has(key));
    for (const key of keys) this.#leaving.add(key);
    try {
      await queue.drop(this.#leaving);
      if (keys.length > 0 && !member.failed()) await into.revoked(keys);
      await commits.settled();
    } finally {
      partitions.giveUp(keys);
      for (const key of keys) this.#leaving.delete(key);
    }
    // After a session was lost they may be gone already.
    if (revoked.length > 0) await member.atRest((consumer) => attempt(() => consumer?.incrementalUnassign(revoked)));
  }

  /** After a change: windows are made again where they have to be, and nothing new is handed in until they are whole. */
  async #makeWindowsWhole(generation: number): Promise<void> {
    const { partitions, queue, rebuild, member } = this.#parts;
    try {
      await queue.hold();
      // Another change is on its way, and does this when it is done.
      if (generation !== this.#generation || member.stopping() || member.over() || member.failed()) return;
      const held = [...partitions.held.values()];
      if (rebuild.neededFor(held)) await rebuild.run(held);
      if (rebuild.whole) queue.release();
    } catch (error) {
      member.fail(error);
    }
  }
}
