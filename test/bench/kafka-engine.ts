/**
 * A topic through the whole engine on a real broker: Kafka source -> ten rules -> Kafka sink, checkpoints on disk. All rows take turns, so
 * that a neighbour on the machine slows all.
 *
 * The client and the engine share a thread, so with ten rules that count every line the engine is what decides: beside it stands what the
 * same engine does with the same records from memory. What the client decides shows where the engine has little to do: the source handing in
 * to what only counts, and the whole engine with ten rules that take another dataset.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch, SourceRecord } from '../../processors/record.ts';
import type { Rule } from '../../processors/rule.ts';
import { createLocalCheckpoints } from '../../src/checkpoint/local.ts';
import { Engine } from '../../src/engine.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import type { Sink } from '../../src/sink/sink.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Positions, RecordIntake, Source } from '../../src/source/source.ts';
import { type KafkaBroker, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { MemorySink } from '../support/memory.ts';
import { benchRules } from './bench-rules.ts';
import { type Figure, median, spread } from './figure.ts';
import { consumeBare, produceLines } from './kafka.ts';
import { appLines } from './lines.ts';
import { MillSource } from './mill-source.ts';

const partitions = 4;
const rounds = 5;
const linesPerSecond = 200;
const batchRecords = 1_000;

/** Two measures over five windows; they fire for the hottest address or two. */
function tenRules(from?: string): Rule[] {
  return ['2m', '5m', '10m', '15m', '20m'].flatMap((size) =>
    benchRules({ window: `{ size: ${size}, slide: 1m }`, detect: '{ above: 2000 }' }).map(
      (rule): Rule => ({ ...rule, id: `${rule.id}_${size}`, from: from === undefined ? rule.from : [from] }),
    ),
  );
}

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
      figures.push(...(await benchDriver({ broker, driver, topic, lines }, load, print)));
    }
    return figures;
  } finally {
    await broker.stop();
  }
}

interface Place {
  readonly broker: KafkaBroker;
  readonly driver: KafkaDriver;
  readonly topic: string;
  readonly lines: readonly Buffer[];
}

async function benchDriver(place: Place, load: string, print: (line: string) => void): Promise<Figure[]> {
  const { broker, driver, topic, lines } = place;
  const rates: Record<'bare' | 'memory' | 'whole' | 'source' | 'elsewhere', number[]> = {
    bare: [],
    memory: [],
    whole: [],
    source: [],
    elsewhere: [],
  };
  let findings = 0;
  for (let round = 0; round < rounds; round++) {
    rates.bare.push(await consumeBare(broker.brokers, topic, lines.length, driver));
    rates.source.push(await runSource(place));
    rates.elsewhere.push((await runTopic(place, `elsewhere-${round}`, tenRules('elsewhere'))).recordsPerSecond);
    const memory = await runMemory(lines);
    const whole = await runTopic(place, `${round}`, tenRules());
    if (whole.findings === 0) throw new Error('the ten rules found nothing');
    rates.memory.push(memory.recordsPerSecond);
    rates.whole.push(whole.recordsPerSecond);
    findings = whole.findings;
    const shown = Object.entries(rates).map(([name, list]) => `${name} ${list[round].toFixed(0)}/s`);
    print(`- ${driver}, round ${round + 1}: ${shown.join(', ')}, ${findings} findings (${memory.findings} from memory)`);
  }
  const share = (name: string, list: readonly number[], of: readonly number[]): Figure => {
    const shares = list.map((rate, round) => rate / of[round]);
    return { name: `${name}, ${driver}`, value: median(shares), unit: 'x', note: spread(shares) };
  };
  return [
    {
      name: `topic to findings with ten rules, ${driver}`,
      value: median(rates.whole),
      unit: 'events/s',
      note: `${load}, ${findings} findings`,
    },
    { name: `the same records from memory, ${driver}`, value: median(rates.memory), unit: 'events/s', note: '' },
    { name: `bare client, ${driver}`, value: median(rates.bare), unit: 'records/s', note: 'the same topic' },
    share('source alone over the bare client', rates.source, rates.bare),
    share('ten rules of another dataset over the bare client', rates.elsewhere, rates.bare),
  ];
}

/** The source and nothing behind it, as a member of a group like the others. */
async function runSource({ broker, driver, topic, lines: { length: records } }: Place): Promise<number> {
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
async function runTopic({ broker, driver, topic, lines }: Place, run: string, rules: readonly Rule[]): Promise<Run> {
  const findingsTopic = `${topic}-findings-${driver}-${run}`;
  await broker.createTopics({ topic: findingsTopic });
  const { brokers } = broker;
  const place = { brokers, driver, topics: [topic], group: findingsTopic };
  const source = new TimedSource({ ...place, from: 'earliest', dataset: 'app', format: 'json' });
  const sink = new KafkaSink({ brokers, driver, topic: findingsTopic });
  source.expected = lines.length;
  const engine = await runEngine(source, sink, rules, (running) => {
    source.done = () => running.stop();
  });
  const written = [...engine.sinks.written.values()].reduce((sum, count) => sum + count, 0);
  const stored = await broker.admin((admin) => admin.fetchTopicOffsets(findingsTopic));
  const findings = stored.reduce((sum, { high }) => sum + Number(high), 0);
  if (source.records !== lines.length) throw new Error(`${source.records} records came, expected ${lines.length}`);
  if (findings !== written) throw new Error(`${findings} findings in ${findingsTopic}, ${written} written`);
  return { recordsPerSecond: (lines.length / (source.lastMs - source.firstMs)) * 1000, findings };
}

/** What the engine does when the next batch is always there. */
async function runMemory(lines: readonly Buffer[]): Promise<Run> {
  let batch = 0;
  let firstMs = 0;
  let lastMs = 0;
  const source = new MillSource(() => {
    lastMs = performance.now();
    if (batch === 0) firstMs = lastMs;
    return memoryBatch(lines, batch++);
  });
  const sink = new MemorySink();
  await runEngine(source, sink, tenRules());
  return { recordsPerSecond: (lines.length / (lastMs - firstMs)) * 1000, findings: sink.findings.length };
}

/** Line i is of partition i mod 4, as on the topic; the partitions take turns. */
function memoryBatch(lines: readonly Buffer[], batch: number): RecordBatch | undefined {
  const partition = batch % partitions;
  const firstOffset = Math.floor(batch / partitions) * batchRecords;
  const records: SourceRecord[] = [];
  for (let offset = firstOffset; offset < firstOffset + batchRecords; offset++) {
    const line = offset * partitions + partition;
    if (line >= lines.length) break;
    records.push({ value: lines[line], timestampMs: Date.now(), offset });
  }
  return records.length === 0 ? undefined : { topic: 'memory', partition, dataset: 'app', format: 'json', records };
}

/** With checkpoints in a folder of its own, until the source ends or the engine is told to stop. */
async function runEngine(source: Source, sink: Sink, rules: readonly Rule[], begun: (engine: Engine) => void = () => {}): Promise<Engine> {
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-bench-'));
  try {
    const checkpoints = createLocalCheckpoints({ dir, identity: 'bench' });
    const log = pino({ level: 'silent' });
    const engine = new Engine({ pipeline: new Pipeline(rules), sources: [source], sinks: [sink], checkpoints, log, clock: Date.now });
    begun(engine);
    await engine.run();
    return engine;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
