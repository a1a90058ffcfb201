/**
 * A topic through the whole engine on a real broker: Kafka source -> two rules -> Kafka sink, checkpoints on disk; as a share of what the
 * bare client reads from the same topic in the same run. Both take turns, so that a neighbour on the machine slows both.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { createLocalCheckpoints } from '../../src/checkpoint/local.ts';
import { Engine } from '../../src/engine.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-driver.ts';
import type { Positions, RecordIntake } from '../../src/source/source.ts';
import { type KafkaBroker, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { benchRules } from './bench-rules.ts';
import { type Figure, median, spread } from './figure.ts';
import { consumeBare, produceLines } from './kafka.ts';
import { appLines } from './lines.ts';

const partitions = 4;
const rounds = 3;
const linesPerSecond = 200;
const window = '{ size: 10m, slide: 1m }';
/** Fires for the hottest few addresses. */
const detect = '{ above: 100 }';

/** Tells when the first batch came and when the last record had gone through. */
class TimedSource extends KafkaSource {
  firstMs = Number.NaN;
  lastMs = Number.NaN;
  records = 0;
  expected = Number.POSITIVE_INFINITY;
  done: () => void = () => {};

  override run(positions: Positions, into: RecordIntake): Promise<void> {
    const batch = async (records: RecordBatch) => {
      if (this.records === 0) this.firstMs = performance.now();
      await into.batch(records);
      this.records += records.records.length;
      this.lastMs = performance.now();
      if (this.records >= this.expected) this.done();
    };
    return super.run(positions, { ...into, batch });
  }
}

interface Run {
  readonly recordsPerSecond: number;
  readonly findings: number;
}

export async function benchKafkaEngine(print: (line: string) => void = console.log, records = 400_000): Promise<Figure[]> {
  const broker = await startKafka();
  const topic = `bench-engine-${Date.now()}`;
  try {
    await broker.createTopics({ topic, partitions });
    const { lines, meanBytes } = appLines(records, 100_000, linesPerSecond);
    await produceLines(broker.brokers, topic, partitions, lines);
    const figures: Figure[] = [];
    for (const driver of kafkaDrivers) {
      const load = `${records / 1000}k records of ${meanBytes.toFixed(0)} B, ${partitions} partitions`;
      figures.push(...(await benchDriver(broker, driver, topic, records, load, print)));
    }
    return figures;
  } finally {
    await broker.stop();
  }
}

async function benchDriver(
  broker: KafkaBroker,
  driver: KafkaDriver,
  topic: string,
  records: number,
  load: string,
  print: (line: string) => void,
): Promise<Figure[]> {
  const bare: number[] = [];
  const engine: number[] = [];
  let findings = 0;
  for (let round = 0; round < rounds; round++) {
    bare.push(await consumeBare(broker.brokers, topic, records, driver));
    const run = await runEngine(broker, driver, topic, records, round);
    engine.push(run.recordsPerSecond);
    findings = run.findings;
    print(`- ${driver}, round ${round + 1}: bare ${bare[round].toFixed(0)}/s, engine ${engine[round].toFixed(0)}/s, ${findings} findings`);
  }
  const shares = engine.map((rate, round) => rate / bare[round]);
  return [
    { name: `topic to findings, ${driver}`, value: median(engine), unit: 'events/s', note: `${load}, ${findings} findings` },
    { name: `bare client, ${driver}`, value: median(bare), unit: 'records/s', note: 'the same topic' },
    { name: `share of the bare client, ${driver}`, value: median(shares), unit: 'x', note: spread(shares) },
  ];
}

/** Reads the topic from its beginning as a group of its own, into a findings topic of its own; the findings are counted there. */
async function runEngine(broker: KafkaBroker, driver: KafkaDriver, topic: string, records: number, round: number): Promise<Run> {
  const findingsTopic = `${topic}-findings-${driver}-${round}`;
  await broker.createTopics({ topic: findingsTopic });
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-bench-'));
  const { brokers } = broker;
  try {
    const place = { brokers, driver, topics: [topic], group: findingsTopic };
    const source = new TimedSource({ ...place, from: 'earliest', dataset: 'app', format: 'json' });
    const pipeline = new Pipeline(benchRules({ window, detect }));
    const engine = new Engine({
      pipeline,
      sources: [source],
      sinks: [new KafkaSink({ brokers, driver, topic: findingsTopic })],
      checkpoints: createLocalCheckpoints({ dir, identity: 'bench' }),
      log: pino({ level: 'silent' }),
      clock: Date.now,
    });
    source.expected = records;
    source.done = () => engine.stop();
    await engine.run();
    const written = [...engine.written.values()].reduce((sum, count) => sum + count, 0);
    const stored = await broker.admin((admin) => admin.fetchTopicOffsets(findingsTopic));
    const findings = stored.reduce((sum, { high }) => sum + Number(high), 0);
    if (source.records !== records) throw new Error(`${source.records} records came, expected ${records}`);
    if (findings === 0 || findings !== written) throw new Error(`${findings} findings in ${findingsTopic}, ${written} written`);
    return { recordsPerSecond: (records / (source.lastMs - source.firstMs)) * 1000, findings };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
