/** A bounded replay: every partition from its start to the end it has when the replay begins, group-less. */
import { partitionKey } from '../../../processors/record.ts';
import type { Positions, RecordIntake } from '../source.ts';
import { connectForMsDefault, persist } from './kafka-client.ts';
import { KafkaLanes, type LaneRange } from './kafka-lanes.ts';
import type { KafkaSourceOptions } from './kafka-options.ts';
import type { KafkaReader } from './kafka-reader.ts';
import type { KafkaTopics } from './kafka-topics.ts';

export class KafkaReplay {
  readonly #options: KafkaSourceOptions;
  readonly #topics: KafkaTopics;
  readonly #reader: KafkaReader;
  #lanes: KafkaLanes | undefined;
  #stopping = false;

  constructor(options: KafkaSourceOptions, topics: KafkaTopics, reader: KafkaReader) {
    this.#options = options;
    this.#topics = topics;
    this.#reader = reader;
  }

  /** Resolves at the end of every partition, or after `stop`. Rejects with a DependencyError, or with what `into.batch` rejected with. */
  async run(positions: Positions, into: RecordIntake): Promise<void> {
    const { connectForMs = connectForMsDefault } = this.#options;
    const ranges = await persist(this.#options, `read ${this.#topics}`, connectForMs, () => this.#plan(positions));
    into.partitions(ranges.map(({ topic, partition }) => partitionKey(topic, partition)));
    this.#lanes = new KafkaLanes(this.#options, this.#reader, ranges);
    if (this.#stopping) return;
    await this.#lanes.run(into);
  }

  stop(): void {
    this.#stopping = true;
    this.#lanes?.stop();
  }

  /** Records still to come. */
  lag(): number {
    return this.#lanes?.lag() ?? 0;
  }

  async #plan(positions: Positions): Promise<LaneRange[]> {
    const { until, from = 'committed', group } = this.#options;
    await this.#topics.refresh(this.#reader);
    const partitions = this.#topics.names.flatMap((topic) => this.#reader.partitions(topic).map((partition) => ({ topic, partition })));
    const earliest = await this.#reader.offsets(partitions, 'earliest');
    const ends = await this.#reader.offsets(partitions, until === undefined || until === 'end' ? 'latest' : until);
    const starts = from === 'committed' ? await this.#reader.committed(group, partitions) : await this.#reader.offsets(partitions, from);
    return partitions.map(({ topic, partition }) => {
      const key = partitionKey(topic, partition);
      const first = earliest.get(key) ?? 0;
      const wanted = positions[key] ?? starts.get(key) ?? first;
      if (wanted < first) this.#options.onGap?.({ topic, partition, fromOffset: wanted, toOffset: first, kind: 'expired' });
      return { topic, partition, start: Math.max(wanted, first), end: ends.get(key) ?? first };
    });
  }
}
