/** The partitions a group member holds: where each begins, how far it is, what is missing in it. */
import { partitionKey } from '../../../processors/record.ts';
import type { Positions } from '../source.ts';
import { outageForMsDefault, persist } from './kafka-client.ts';
import type { KafkaSourceOptions } from './kafka-options.ts';
import type { KafkaReader, TopicPartition } from './kafka-reader.ts';
import { safeOffset } from './kafka-record.ts';
import type { KafkaTopics } from './kafka-topics.ts';

export interface Held extends TopicPartition {
  /** The next offset to hand in. */
  next: number;
  /** Known end of the partition. */
  end: number;
  /** False until `next` is known: nothing is handed in before. */
  started: boolean;
  /** Another member has worked on it since it was part of our state, or always has. */
  foreign: boolean;
}

/** What a state is made of whose windows can be made again. */
export interface StateParts {
  /** Is this partition part of the state? */
  has(key: string): boolean;
}

/** Offsets by partition key. */
interface Known {
  readonly earliest: Map<string, number>;
  readonly latest: Map<string, number>;
  readonly committed: Map<string, number>;
  readonly from: Map<string, number>;
}

export class GroupPartitions {
  readonly #options: KafkaSourceOptions;
  readonly #topics: KafkaTopics;
  readonly #reader: KafkaReader;
  readonly #positions: Positions;
  readonly #state: StateParts | undefined;
  /** How far each partition was when it was given up last. */
  readonly #before = new Map<string, number>();
  /** By partition key. */
  readonly held = new Map<string, Held>();
  #generation = 0;
  #joins = 0;

  constructor(options: KafkaSourceOptions, topics: KafkaTopics, reader: KafkaReader, positions: Positions, state?: StateParts) {
    this.#state = state;
    this.#options = options;
    this.#topics = topics;
    this.#reader = reader;
    this.#positions = positions;
  }

  /** Records known to wait; undefined while nothing is known. */
  lag(): number | undefined {
    let sum: number | undefined;
    for (const held of this.held.values()) if (held.started) sum = (sum ?? 0) + Math.max(0, held.end - held.next);
    return sum;
  }

  /** Since then without a break. */
  holds(held: Held): boolean {
    return this.held.get(partitionKey(held.topic, held.partition)) === held;
  }

  /** These partitions, or all of them. */
  giveUp(keys: Iterable<string> = [...this.held.keys()]): void {
    this.#generation++;
    for (const key of keys) {
      const held = this.held.get(key);
      if (held?.started) this.#before.set(key, held.next);
      this.held.delete(key);
    }
  }

  /** An assignment that replaces the one before; undefined if another rebalance came between. `commitStart`: as for `add`. */
  async take(assignment: Readonly<Record<string, number[]>>, commitStart: (positions: Positions) => void): Promise<Held[] | undefined> {
    this.giveUp();
    const generation = this.#generation;
    const partitions = Object.entries(assignment).flatMap(([topic, list]) => list.map((partition) => ({ topic, partition })));
    const taken = await this.add(partitions, commitStart);
    return generation === this.#generation ? taken : undefined;
  }

  /**
   * Finds where each assigned partition begins; those that were given up meanwhile are left out. `commitStart` is told where a run starts
   * that begins at none of the group's commits: without that, a crash or a second member before the first commit would start at a later
   * `latest` and miss what came between.
   */
  async add(assigned: readonly TopicPartition[], commitStart: (positions: Positions) => void): Promise<Held[]> {
    const first = this.#joins++ === 0;
    const added = assigned.map(({ topic, partition }): Held => ({ topic, partition, next: 0, end: 0, started: false, foreign: false }));
    for (const held of added) this.held.set(partitionKey(held.topic, held.partition), held);
    if (added.length === 0) return added;
    const { outageForMs = outageForMsDefault } = this.#options;
    const known = await persist(this.#options, `find where to begin in ${this.#topics}`, outageForMs, () => this.#lookUp(added));
    const taken = added.filter((held) => this.holds(held));
    const alone = taken.length === this.#topics.partitionCount;
    const fresh: Record<string, number> = {};
    for (const held of taken) this.#begin(held, known, first && alone, fresh);
    if (Object.keys(fresh).length > 0) commitStart(fresh);
    return taken;
  }

  async #lookUp(taken: readonly TopicPartition[]): Promise<Known> {
    const { from = 'committed', group } = this.#options;
    // A topic may have grown since.
    await this.#topics.refresh(this.#reader);
    const earliest = await this.#reader.offsets(taken, 'earliest');
    return {
      earliest,
      latest: await this.#reader.offsets(taken, 'latest'),
      committed: await this.#reader.committed(group, taken),
      from: from === 'committed' ? earliest : await this.#reader.offsets(taken, from),
    };
  }

  #begin(held: Held, known: Known, startsOver: boolean, fresh: Record<string, number>): void {
    const key = partitionKey(held.topic, held.partition);
    const earliest = known.earliest.get(key) ?? 0;
    const before = this.#before.get(key);
    const commit = known.committed.get(key);
    const chosen = (this.#options.from ?? 'committed') !== 'committed';
    const inState = this.#state?.has(key) ? (before ?? this.#positions[key]) : undefined;
    const beginsAnew = inState === undefined && before === undefined && chosen && startsOver;
    held.foreign = commit !== undefined && !beginsAnew && commit > (inState ?? earliest);
    // What came into being while we run is read from its beginning: `latest` means the end as it was at the start.
    const from = this.#topics.isNew(key) ? earliest : (known.from.get(key) ?? earliest);
    held.end = known.latest.get(key) ?? earliest;
    if (before !== undefined) {
      // Another member may have had it since, and gone further.
      held.next = Math.max(before, commit ?? 0);
    } else if (this.#positions[key] !== undefined) {
      // Where others went further, their records are in no window of ours: they are read again with those before them.
      held.next = this.#state === undefined ? this.#positions[key] : Math.max(this.#positions[key], commit ?? 0);
    } else {
      held.next = chosen && startsOver ? from : (commit ?? from);
      if (chosen && (startsOver || commit === undefined)) fresh[key] = held.next;
    }
    if (held.next < earliest) this.#gap(held, earliest, 'expired');
    else if (held.next > held.end) this.#gap(held, earliest, 'reset');
    held.started = true;
  }

  /** A fetch came back: notes the end, and what lies between where we were and its first record. */
  arrived(held: Held, fetchedFrom: string, first: string, highWatermark: string): void {
    const { topic, partition } = held;
    held.end = safeOffset(topic, partition, highWatermark);
    const from = safeOffset(topic, partition, fetchedFrom);
    // kafkajs answers "offset out of range" by going to the beginning: behind us, or before us if the partition is a new one.
    if (from > held.next) this.#gap(held, from, 'expired');
    else if (from < held.next) this.#gap(held, from, 'reset');
    const firstOffset = safeOffset(topic, partition, first);
    if (firstOffset > held.next) this.#gap(held, firstOffset, 'skipped');
  }

  skipUnseen(topic: string, partition: number, lastOffset: string): void {
    const held = this.held.get(partitionKey(topic, partition));
    if (held?.started) held.next = Math.max(held.next, safeOffset(topic, partition, lastOffset) + 1);
  }

  /** Asks the broker for the ends, so that the lag is seen while the engine is slow. Rejects if it does not answer. */
  async refreshEnds(): Promise<void> {
    const started = [...this.held.values()].filter((held) => held.started);
    if (started.length === 0) return;
    const ends = await this.#reader.offsets(started, 'latest');
    for (const held of started) held.end = Math.max(held.end, ends.get(partitionKey(held.topic, held.partition)) ?? 0);
  }

  /**
   * For a client that does not say where a fetch began: the first record of a batch is known, and its offset. Asks the broker what kind of
   * gap it is, only where there is one.
   */
  async arrivedAt(held: Held, first: number): Promise<void> {
    if (first < held.next) return this.#gap(held, first, 'reset');
    if (first === held.next) return;
    const earliest = (await this.#reader.offsets([held], 'earliest')).get(partitionKey(held.topic, held.partition)) ?? 0;
    if (earliest > held.next) this.#gap(held, Math.min(earliest, first), 'expired');
    if (first > held.next) this.#gap(held, first, 'skipped');
  }

  #gap(held: Held, toOffset: number, kind: 'expired' | 'skipped' | 'reset'): void {
    this.#options.onGap?.({ topic: held.topic, partition: held.partition, fromOffset: held.next, toOffset, kind });
    held.next = toOffset;
  }
}
