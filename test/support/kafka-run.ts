/** A source that runs against a test's broker, with the least of an engine behind it. */
import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { partitionKey, type SourceRecord } from '../../processors/record.ts';
import { KafkaSource, type KafkaSourceOptions } from '../../src/source/kafka/kafka.ts';

export interface Taken extends SourceRecord {
  readonly key: string;
}

export interface KafkaRun {
  readonly source: KafkaSource;
  /** The first of its topics. */
  readonly topic: string;
  /** Values as they came; the bytes are copied. */
  readonly taken: Taken[];
  /** Partition keys, as they were announced. */
  readonly announced: string[];
  readonly revocations: string[][];
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export const unique = (name: string) => `${name}-${randomBytes(4).toString('hex')}`;

/** Commits what it took when partitions are taken away; is stopped when the test is over. `before`: awaited before a batch counts. */
export function runSource(
  options: Pick<KafkaSourceOptions, 'brokers' | 'topics'> & Partial<KafkaSourceOptions>,
  before: (taken: readonly Taken[]) => Promise<void> | void = () => undefined,
): KafkaRun {
  const source = new KafkaSource({ group: unique('group'), dataset: 'app', format: 'auto', ...options });
  const [taken, announced, revocations]: [Taken[], string[], string[][]] = [[], [], []];
  const next: Record<string, number> = {};
  const done = source.run(
    {},
    {
      partitions: (keys) => void announced.push(...keys),
      ended: () => undefined,
      batch: async ({ topic, partition, records }) => {
        await before(taken);
        const key = partitionKey(topic, partition);
        for (const record of records) {
          taken.push({ ...record, key, value: record.value === null ? null : Buffer.from(record.value) });
          next[key] = record.offset + 1;
        }
      },
      revoked: async (keys) => {
        revocations.push([...keys]);
        await source.commit(Object.fromEntries(keys.filter((key) => key in next).map((key) => [key, next[key]])));
      },
    },
  );
  done.catch(() => undefined);
  const stop = async () => {
    await source.stop();
    await done.catch(() => undefined);
  };
  onTestFinished(stop);
  return { source, topic: options.topics[0], taken, announced, revocations, done, stop };
}
