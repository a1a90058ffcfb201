/**
 * A topic through the whole engine on a real broker: Kafka source -> rules -> Kafka sink, checkpoints on disk; as a share of what the bare
 * client reads from the same topic in the same run. All take turns, so that a neighbour on the machine slows all.
 *
 * Where the engine is the limit its share says how fast the engine is. So there are two rows where it is not: the source alone, handing in
 * to what only counts; and the whole engine with ten rules that take another dataset.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import type { Rule } from '../../processors/rule.ts';
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
const rounds = 5;
const linesPerSecond = 200;
const window = '{ size: 10m, slide: 1m }';
/** Fires for the hottest few addresses. */
const detect = '{ above: 100 }';

/** Rules that nothing of the topic comes to. */
const tenElsewhere: readonly Rule[] = Array.from({ length: 5 }, (_, i) =>
  benchRules({ window, detect }).map((rule): Rule => ({ ...rule, id: `${rule.id}_${i}`, from: [`elsewhere.${i}`] })),
).flat();

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

export async function benchKafkaEngine(print: (line: string) => void = console.log, records = 300_000): Promise<Figure[]> {
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
  const rates: Record<'bare' | 'source' | 'elsewhere' | 'engine', number[]> = { bare: [], source: [], elsewhere: [], engine: [] };
  let findings = 0;
  for (let round = 0; round < rounds; round++) {
    rates.bare.push(await consumeBare(broker.brokers, topic, records, driver));
    rates.source.push(await runSource(broker, driver, topic, records));
    rates.elsewhere.push((await runEngine(broker, driver, topic, records, `elsewhere-${round}`, tenElsewhere)).recordsPerSecond);
    const run = await runEngine(broker, driver, topic, records, `${round}`, benchRules({ window, detect }));
    if (run.findings === 0) throw new Error('the two rules found nothing');
    rates.engine.push(run.recordsPerSecond);
    findings = run.findings;
    const shown = Object.entries(rates).map(([name, list]) => `${name} ${list[round].toFixed(0)}/s`);
    print(`- ${driver}, round ${round + 1}: ${shown.join(', ')}, ${findings} findings`);
  }
  const shares = (list: readonly number[]) => list.map((rate, round) => rate / rates.bare[round]);
  const share = (name: string, list: readonly number[]): Figure => {
    return { name: `${name}, ${driver}`, value: median(shares(list)), unit: 'x', note: spread(shares(list)) };
  };
  return [
    { name: `topic to findings, ${driver}`, value: median(rates.engine), unit: 'events/s', note: `${load}, ${findings} findings` },
    { name: `bare client, ${driver}`, value: median(rates.bare), unit: 'records/s', note: 'the same topic' },
    share('source alone over the bare client', rates.source),
    share('ten rules of another dataset over the bare client', rates.elsewhere),
    share('share of the bare client', rates.engine),
  ];
}

/** The source and nothing behind it, as a member of a group like the others. */
async function runSource(broker: KafkaBroker, driver: KafkaDriver, topic: string, records: number): Promise<number> {
  const place = { brokers: broker.brokers, driver, topics: [topic], group: `source-${Date.now()}` };
  const source = new TimedSource({ ...place, from: 'earliest', dataset: 'app', format: 'json' });
  let bytes = 0;
  source.expected = records;
  const read = new Promise<void>((resolve) => {
    source.done = resolve;
  });
  const running = source.run(
    {},
    {
      partitions: () => undefined,
      ended: () => undefined,
      revoked: () => Promise.resolve(),
      batch: async (batch) => {
        for (const { value } of batch.records) bytes += value?.length ?? 0;
      },
    },
  );
  await Promise.race([read, running]);
  await source.stop();
  if (bytes === 0 || source.records !== records) throw new Error(`${source.records} records of ${bytes} bytes came, expected ${records}`);
  return (records / (source.lastMs - source.firstMs)) * 1000;
}

/** Reads the topic from its beginning as a group of its own, into a findings topic of its own; the findings are counted there. */
async function runEngine(
  broker: KafkaBroker,
  driver: KafkaDriver,
  topic: string,
  records: number,
  run: string,
  rules: readonly Rule[],
): Promise<Run> {
  const findingsTopic = `${topic}-findings-${driver}-${run}`;
  await broker.createTopics({ topic: findingsTopic });
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-bench-'));
  const { brokers } = broker;
  try {
    const place = { brokers, driver, topics: [topic], group: findingsTopic };
    const source = new TimedSource({ ...place, from: 'earliest', dataset: 'app', format: 'json' });
    const pipeline = new Pipeline(rules);
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
    const written = [...engine.sinks.written.values()].reduce((sum, count) => sum + count, 0);
    const stored = await broker.admin((admin) => admin.fetchTopicOffsets(findingsTopic));
    const findings = stored.reduce((sum, { high }) => sum + Number(high), 0);
    if (source.records !== records) throw new Error(`${source.records} records came, expected ${records}`);
    if (findings !== written) throw new Error(`${findings} findings in ${findingsTopic}, ${written} written`);
    return { recordsPerSecond: (records / (source.lastMs - source.firstMs)) * 1000, findings };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
