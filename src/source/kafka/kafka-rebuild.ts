/**
 * When what a group member holds has changed, its windows are made again (`RebuildIntake`): the records of a while before the places where
 * its partitions go on are read, without the group, and handed in before anything new.
 *
 * It is needed when another member has worked on a partition that is here now, and when one that the state was made of is gone; not when
 * partitions come back from where we left them, or come into being.
 */
import { anyDataset, partitionKey } from '../../../processors/record.ts';
import type { Positions, RebuildIntake, RecordIntake } from '../source.ts';
import { outageForMsDefault, persist } from './kafka-client.ts';
import type { Held, StateParts } from './kafka-group-partitions.ts';
import { KafkaLanes, type LaneRange } from './kafka-lanes.ts';
import type { KafkaSourceOptions } from './kafka-options.ts';
import type { KafkaReader } from './kafka-reader.ts';
import type { KafkaTopics } from './kafka-topics.ts';

/** How many records before a place are asked for their time: the middle one counts, so that a wrong one does not. */
const askedRecords = 20;
/** Of records without a timestamp this many are read again. */
const untimedRecords = 100_000;
const fetchBytes = 64 * 1024;

export class KafkaRebuild implements StateParts {
  readonly #options: KafkaSourceOptions;
  readonly #topics: KafkaTopics;
  readonly #reader: KafkaReader;
  readonly #into: RebuildIntake | undefined;
  /** What the state was made of, by partition key; undefined: of something else than what is held. */
  #madeOf: ReadonlySet<string> | undefined;
  #lanes: KafkaLanes | undefined;
  #running: Promise<void> | undefined;
  #abandoned = false;

  constructor(options: KafkaSourceOptions, topics: KafkaTopics, reader: KafkaReader, positions: Positions, { rebuild }: RecordIntake) {
    // What retention took of the past is no loss: it has been through.
    this.#options = { ...options, onGap: undefined };
    this.#topics = topics;
    this.#reader = reader;
    this.#into = rebuild;
    this.#madeOf = new Set(Object.keys(positions).filter((key) => this.#reads(key)));
  }

  #reads(key: string): boolean {
    return this.#topics.names.includes(key.slice(0, key.lastIndexOf('/')));
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Is the state made of what is held? */
  get whole(): boolean {
    return this.#into === undefined || this.#madeOf !== undefined;
  }

  has(key: string): boolean {
    return this.#madeOf?.has(key) ?? false;
  }

  /** Does what is held now ask for it? Where it does not, it is what the state is made of from now on. */
  neededFor(held: readonly Held[]): boolean {
    if (this.#into === undefined) return false;
    const keys = new Set(held.map(({ topic, partition }) => partitionKey(topic, partition)));
    // A topic that was deleted, or left the pattern, is read by nobody: what it brought ages, and its silence is one.
    const gone = this.#madeOf === undefined || [...this.#madeOf].some((key) => !keys.has(key) && this.#reads(key));
    if (gone || held.some(({ foreign }) => foreign)) return true;
    this.#madeOf = keys;
    return false;
  }

  /** Resolves when the windows are whole again, or it was abandoned. Rejects with a DependencyError, or with what the intake rejected with. */
  async run(held: readonly Held[]): Promise<void> {
    while (this.#running !== undefined) await this.abandon();
    this.#abandoned = false;
    this.#running = this.#run(held).finally(() => {
      this.#running = undefined;
      this.#lanes = undefined;
    });
    await this.#running;
  }

  /** What is held is about to change: ends what is under way. Resolves when nothing more is handed in. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    this.#lanes?.stop();
    await this.#running?.catch(() => undefined);
  }

  async #run(held: readonly Held[]): Promise<void> {
    const { outageForMs = outageForMsDefault, log } = this.#options;
    if (this.#into === undefined) return;
    this.#madeOf = undefined;
    const { ranges, sinceMs } = await persist(this.#options, `look for the past of ${this.#topics}`, outageForMs, () => this.#plan(held));
    if (this.#abandoned) return;
    const partitions = ranges.map(({ topic, partition, start }) => ({ key: partitionKey(topic, partition), whole: start === 0 }));
    await this.#into.begin({ topics: this.#topics.names, dataset: anyDataset, partitions, sinceMs });
    const lanes = new KafkaLanes(this.#options, this.#reader, ranges);
    this.#lanes = lanes;
    log?.info({ records: lanes.lag() }, 'records to read again');
    if (!this.#abandoned) await lanes.run({ batch: (records) => this.#into?.batch(records) ?? Promise.resolve(), ended: () => undefined });
    if (this.#abandoned) return;
    await this.#into.done(Object.fromEntries(ranges.map(({ topic, partition, end }) => [partitionKey(topic, partition), end])));
    this.#madeOf = new Set(partitions.map(({ key }) => key));
    for (const one of held) one.foreign = false;
  }

  async #plan(held: readonly Held[]): Promise<{ ranges: LaneRange[]; sinceMs: number }> {
    const lookbackMs = this.#into?.lookbackMs() ?? 0;
    const earliest = await this.#reader.offsets(held, 'earliest');
    const ranges: LaneRange[] = [];
    let sinceMs = Date.now();
    for (const { topic, partition, next } of held) {
      const key = partitionKey(topic, partition);
      const first = Math.min(earliest.get(key) ?? 0, next);
      const stampMs = first === next ? undefined : await this.#timeBefore({ topic, partition }, first, next);
      let start = next;
      if (stampMs !== undefined) {
        const wantedMs = Math.max(0, stampMs - lookbackMs);
        sinceMs = Math.min(sinceMs, wantedMs);
        const found = await this.#reader.offsets([{ topic, partition }], { timestampMs: wantedMs });
        start = Math.min(Math.max(found.get(key) ?? first, first), next);
      } else if (first < next) start = Math.max(first, next - untimedRecords);
      ranges.push({ topic, partition, start, end: next });
    }
    return { ranges, sinceMs };
  }

  /** The middle one of the timestamps just before a place; undefined where there are none. */
  async #timeBefore({ topic, partition }: { topic: string; partition: number }, first: number, next: number): Promise<number | undefined> {
    // What lies right before it may be nothing to see (markers, compaction): then further back.
    for (const back of [askedRecords, askedRecords * 50, untimedRecords]) {
      const from = Math.max(first, next - back);
      const { messages } = await this.#reader.fetch(topic, partition, from, fetchBytes, 100);
      const times = messages.filter(({ offset }) => Number(offset) < next).map(({ timestamp }) => Number(timestamp));
      const stamped = times.filter((timeMs) => timeMs >= 0).sort((a, b) => a - b);
      if (stamped.length > 0) return stamped[stamped.length >> 1];
      if (from === first) break;
    }
    return undefined;
  }
}
