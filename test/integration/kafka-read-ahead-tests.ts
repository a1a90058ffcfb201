/** How far librdkafka reads ahead of an engine that takes nothing: rounds over the real client, with the queue in sight. */
import { expect, onTestFinished, test } from 'vitest';
import type { RecordBatch } from '../../processors/record.ts';
import { HandInQueue } from '../../src/source/kafka/hand-in-queue.ts';
import type { KafkaSourceOptions } from '../../src/source/kafka/kafka-options.ts';
import { connectRd, memberSettings, type RdConsumer, type Rdkafka, type RdPartition } from '../../src/source/kafka/rdkafka-client.ts';
import { maxBatchBytes, maxWaitingBytes, RdkafkaRounds } from '../../src/source/kafka/rdkafka-rounds.ts';
import type { KafkaForAll } from '../support/kafka-for-all.ts';
import { unique } from '../support/kafka-run.ts';

const patience = { timeout: 20_000, interval: 20 };
const mebibyte = 1024 * 1024;

interface ReadAhead {
  readonly queue: HandInQueue;
  readonly batches: RecordBatch[];
  readonly most: { bytes: number; records: number };
  assign(...partitions: number[]): Promise<void>;
  /** Resolves after so many more rounds. */
  rounds(count: number): Promise<void>;
  /** Lets the engine take what waits, and all that comes. */
  release(): void;
}

async function readAhead(rdkafka: Rdkafka, options: KafkaSourceOptions): Promise<ReadAhead> {
  const consumer: RdConsumer = new rdkafka.KafkaConsumer(memberSettings(options), {});
  await connectRd(consumer, options, 10_000);
  const batches: RecordBatch[] = [];
  const most = { bytes: 0, records: 0 };
  const reading: RdPartition[] = [];
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const failures: unknown[] = [];
  const queue = new HandInQueue(
    async (batch) => {
      await released;
      batches.push(batch);
    },
    (error) => failures.push(error),
  );
  const rounds = new RdkafkaRounds(consumer, queue, options, {
    batch: (waiting) => {
      queue.add(waiting);
      most.bytes = Math.max(most.bytes, queue.bytes);
      most.records = Math.max(most.records, queue.records);
    },
    alive: () => undefined,
    refused: (error) => failures.push(error),
    awaited: () => false,
    reading: () => reading,
  });
  const running = rounds.run();
  onTestFinished(async () => {
    release();
    rounds.end();
    await running;
    await queue.close();
    await new Promise<void>((resolve) => consumer.disconnect(resolve));
    expect(failures).toEqual([]);
  });
  return {
    queue,
    batches,
    most,
    release,
    assign: (...partitions) =>
      rounds.atRest(() => {
        const added = partitions.map((partition) => ({ topic: options.topics[0], partition, offset: 0 }));
        consumer.incrementalAssign(added);
        reading.push(...added);
      }),
    rounds: async (count) => {
      for (let round = 0; round < count; round++) await rounds.atRest(() => undefined);
    },
  };
}

export function readAheadTests(kafka: KafkaForAll, rdkafka: Rdkafka | undefined): void {
  const begin = (topic: string): Promise<ReadAhead> => {
    if (rdkafka === undefined) throw new Error('not loaded');
    return readAhead(rdkafka, { brokers: kafka.broker.brokers, topics: [topic], group: topic, dataset: 'app', format: 'auto' });
  };

  test('what waits for the engine is bounded in bytes, and so is a batch, also where large records come after small ones', async () => {
    const topic = unique('large');
    await kafka.broker.createTopics({ topic });
    const small = Array.from({ length: 1_000 }, (_, i) => ({ value: `line ${i}` }));
    await kafka.producer.send(topic, small);
    const large = Buffer.alloc(900_000, 'x');
    for (let sent = 0; sent < 120; sent++) await kafka.producer.send(topic, [{ value: large }]);
    const run = await begin(topic);
    await run.assign(0);
    const waiting = () => run.rounds(1).then(() => run.queue.bytes);
    await expect.poll(waiting, patience).toBeGreaterThan(maxWaitingBytes);
    await run.rounds(5);
    // Two rounds of what librdkafka has at hand come on top: that which crosses the bound, and the one under way meanwhile.
    expect(run.most.bytes).toBeLessThan(maxWaitingBytes + 2 * 20 * mebibyte);
    run.release();
    await expect.poll(() => run.batches.reduce((sum, { records }) => sum + records.length, 0), patience).toBe(1_120);
    expect(run.batches.flatMap(({ records }) => records.map(({ offset }) => offset))).toEqual(Array.from({ length: 1_120 }, (_, i) => i));
    const bytes = run.batches.map(({ records }) => records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0));
    expect(Math.max(...bytes)).toBeLessThanOrEqual(maxBatchBytes);
    expect(run.queue).toMatchObject({ records: 0, bytes: 0 });
  });

  test('a partition that comes while the others are paused is paused as well', async () => {
    const topic = unique('paused');
    await kafka.broker.createTopics({ topic, partitions: 2 });
    const lines = (partition: number) => Array.from({ length: 6_000 }, (_, i) => ({ partition, value: `line ${i}` }));
    await kafka.producer.send(topic, [...lines(0), ...lines(1)]);
    const run = await begin(topic);
    await run.assign(0);
    await run.rounds(8);
    expect(run.most.records).toBeGreaterThan(2_000);
    await run.assign(1);
    await run.rounds(8);
    expect(run.most.records).toBeLessThanOrEqual(5_000);
    run.release();
    await expect.poll(() => run.batches.reduce((sum, { records }) => sum + records.length, 0), patience).toBe(12_000);
    for (const partition of [0, 1]) {
      const offsets = run.batches
        .filter((batch) => batch.partition === partition)
        .flatMap(({ records }) => records.map((one) => one.offset));
      expect(offsets).toEqual(Array.from({ length: 6_000 }, (_, i) => i));
    }
  });
}
