/** The short form of `npm run torture`: the built command killed and its broker ended, held against a replay; and acknowledgements that get lost. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { KafkaSink } from '../../src/sink/kafka.ts';
import type { KafkaProducer } from '../../src/sink/kafka-producer.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import { randomOf } from '../bench/lines.ts';
import { sampleFinding } from '../contracts/sink-laws.ts';
import { builtCommand } from '../support/build.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { outOf } from '../torture/compare.ts';
import { kills } from '../torture/kills.ts';
import { Plant } from '../torture/plant.ts';
import { between, lineOf, reportOf } from '../torture/scenario.ts';

/** How much of the next sends reaches the broker before an error takes the place of the acknowledgement: what is written is real, the loss is not. */
const network = vi.hoisted((): { faults: number[] } => ({ faults: [] }));

vi.mock('../../src/sink/kafka-producer.ts', async (original) => {
  const real = await original<typeof import('../../src/sink/kafka-producer.ts')>();
  const lossy = (producer: KafkaProducer): KafkaProducer => ({
    ...producer,
    send: async (topic, messages) => {
      const share = network.faults.shift();
      if (share === undefined) return producer.send(topic, messages);
      await producer.send(topic, messages.slice(0, Math.ceil(messages.length * share)));
      throw new Error('the answer got lost');
    },
  });
  return {
    ...real,
    connectKafkajs: async (...args: Parameters<typeof real.connectKafkajs>) => lossy(await real.connectKafkajs(...args)),
    connectRdkafka: async (...args: Parameters<typeof real.connectRdkafka>) => lossy(await real.connectRdkafka(...args)),
  };
});

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

const best = kafkaDrivers[kafkaDrivers.length - 1];
const seed = Number(process.env.TORTURE_SEED ?? Date.now() % 1_000_000);

const stateInTopic = { driver: best, kills: 2, stateInTopic: true } as const;

/** Lives of these lengths: the second is past a checkpoint, which comes every 5 s. */
function nextOf(...lives: number[]): () => number {
  return () => lives.shift() ?? 1_000;
}

let broker: KafkaBroker;

beforeAll(async () => {
  if (unavailable) return;
  builtCommand();
  broker = await startKafka();
});

afterAll(() => broker?.stop());

describe.skipIf(unavailable)('nothing is lost and nothing doubled', () => {
  test.skipIf(process.env.KAFKA_BROKERS !== undefined)(
    'when the process is killed five times and the broker once, with load on both',
    { timeout: 90_000 },
    async () => {
      console.log(`torture, short form: seed ${seed}`);
      const random = randomOf(seed);
      const plant = await Plant.make({ broker, driver: best });
      onTestFinished(() => plant.dispose());
      plant.startFeed();
      // The third life is past a checkpoint, which comes every 5 s.
      for (const life of [
        between(random, 100, 900),
        between(random, 600, 1_200),
        between(random, 5_400, 6_000),
        between(random, 600, 1_500),
      ]) {
        const child = plant.start();
        await sleep(life);
        expect(await child.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
        await plant.checkOffsets();
      }
      const fifth = plant.start();
      await sleep(between(random, 700, 1_000));
      await broker.halt('SIGKILL');
      await broker.resume();
      await fifth.end('SIGKILL');
      await plant.drain(plant.start(), 60_000);
      const report = await reportOf('short form', plant, 6);
      console.log(lineOf(report));
      expect(report.wrong).toEqual([]);
      expect(report.comparison.byActivity).toMatchObject({
        Create: expect.any(Number),
        Update: expect.any(Number),
        Close: expect.any(Number),
      });
    },
  );

  test('when the process is killed twice, with its state in a topic', { timeout: 60_000 }, async () => {
    const report = await kills({ broker, random: randomOf(seed), print: console.log }, { ...stateInTopic, lifeMs: nextOf(1_200, 5_600) });
    console.log(lineOf(report));
    expect(report.wrong).toEqual([]);
    expect(report.kills).toBe(2);
  });

  describe.each(kafkaDrivers)('over %s', (driver) => {
    async function setUp() {
      const topic = `findings-${randomBytes(4).toString('hex')}`;
      await broker.createTopics({ topic, partitions: 3 });
      const sink = async (mark?: string) => {
        const made = new KafkaSink({ brokers: broker.brokers, driver, topic });
        onTestFinished(() => made.close());
        await made.open();
        await made.resume(mark);
        return made;
      };
      const plant = await Plant.make({ broker, driver });
      onTestFinished(() => plant.dispose());
      const stored = async () => outOf(await plant.values(topic)).map(({ finding, sequence }) => `${finding}/${sequence}`);
      return { sink, stored };
    }

    const names = (count: number) => Array.from({ length: count }, (_, i) => `${sampleFinding(i).id}/0`);
    const findings = (count: number) => Array.from({ length: count }, (_, i) => sampleFinding(i));

    test('when acknowledgements get lost, and the client starts over with a new identity', { timeout: 30_000 }, async () => {
      const { sink, stored } = await setUp();
      const one = await sink();
      await one.write(findings(4));
      network.faults = [0.5, 0, 1];
      await one.write(findings(30));
      expect(network.faults).toEqual([]);
      expect((await stored()).sort()).toEqual([...names(4), ...names(30)].sort());
    });

    test('and a source that is stopped while it connects is over: with rdkafka it read on, and the process had to be killed', {
      timeout: 60_000,
    }, async () => {
      const topic = `logs-${randomBytes(4).toString('hex')}`;
      await broker.createTopics({ topic });
      // About as long as it takes to connect, and then some.
      for (const afterMs of [0, 5, 10, 20, 30, 40, 60, 100]) {
        const source = new KafkaSource({ brokers: broker.brokers, driver, topics: [topic], group: topic, dataset: 'app', format: 'json' });
        const into = { partitions: () => undefined, ended: () => undefined, batch: async () => undefined, revoked: async () => undefined };
        const running = source.run({}, into);
        await sleep(afterMs);
        await source.stop();
        await running;
      }
    });

    test('when what a killed process had sent comes in after the next one has looked', { timeout: 30_000 }, async () => {
      const { sink, stored } = await setUp();
      const killed = await sink();
      const mark = await killed.mark();
      await killed.write(findings(3));
      const next = await sink(mark);
      await killed.write(findings(10).slice(3));
      await next.write(findings(20));
      expect((await stored()).sort()).toEqual(names(20).sort());
    });
  });
});
