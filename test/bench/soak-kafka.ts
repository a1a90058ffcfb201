/**
 * The command itself, from a topic to a topic with checkpoints on disk, once with each client beside the other: the same records for both.
 * The topic keeps only what was written last, as a busy one does.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import { type KafkaBroker, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { requestsRule, writeRule } from '../support/many-requests.ts';
import { Child } from '../torture/child.ts';
import { mostKeys, RecordMill } from './record-mill.ts';
import { growthOf, megabytes, type Sample, type SoakResult } from './soak-memory.ts';

const recordsPerSecond = 4_000;
const newKeysPerSecond = 1_000;
const liveKeys = 20_000;
const sampleEveryMs = 1_000;
const partitions = 4;
const topic = 'soak';

/** Distinct counts, and events: of ten seconds, so that keys come and go. */
const rules = [
  requestsRule('requests', 20).replace('{ size: 60s, slide: 5s, lateness: 0s }', '{ size: 10s, slide: 1s }'),
  requestsRule('emails', 20)
    .replace('{ size: 60s, slide: 5s, lateness: 0s }', '{ size: 10s, slide: 1s }')
    .replace('measure: count', 'measure: { distinct: user.email }'),
];

class Processor {
  readonly samples: Sample[] = [];
  readonly driver: string;
  private readonly child: Child;
  private readonly startMs = Date.now();

  constructor(driver: string, cwd: string) {
    this.driver = driver;
    this.child = new Child(['run'], cwd);
  }

  async sample(): Promise<void> {
    this.samples.push({ atMs: Date.now() - this.startMs, rssBytes: await this.metric('resident_memory_bytes') });
  }

  /** A metric without labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${await this.child.address()}/metrics`)).text();
    return Number(new RegExp(`^streamgauge_${name} (\\S+)$`, 'm').exec(text)?.[1]);
  }

  async told(): Promise<string> {
    const rss = this.samples.at(-1)?.rssBytes ?? 0;
    return `${this.driver}: RSS ${megabytes(rss)}, ${await this.metric('records_total')} records`;
  }

  async end(): Promise<void> {
    const { code } = await this.child.end('SIGTERM');
    if (code !== 0) throw new Error(`${this.driver}: ended with ${code}:\n${this.child.said.slice(-2000)}`);
  }
}

export async function soakKafka(minutes: number, print: (line: string) => void = console.log): Promise<Record<string, SoakResult>> {
  const durationMs = minutes * 60_000;
  const broker = await startKafka();
  const root = mkdtempSync(join(tmpdir(), 'soak-kafka-'));
  const producer = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING }).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  const timers: NodeJS.Timeout[] = [];
  try {
    await broker.createTopics({ topic, partitions, config: { 'retention.bytes': String(64 * 2 ** 20) } }, { topic: 'soak-findings' });
    await producer.connect();
    const processors = await Promise.all(kafkaDrivers.map((driver) => startProcessor(broker, driver, join(root, driver))));
    timers.push(setInterval(() => void Promise.all(processors.map((each) => each.sample())), sampleEveryMs));
    timers.push(setInterval(() => void tell(processors, print), Math.min(60_000, durationMs / 6)));
    const sent = await feed(producer, durationMs);
    const results: Record<string, SoakResult> = {};
    for (const processor of processors) {
      const records = await caughtUp(processor, sent);
      results[processor.driver] = { records, growth: growthOf(processor.samples, durationMs) };
      await processor.end();
    }
    return results;
  } finally {
    for (const timer of timers) clearInterval(timer);
    await producer.disconnect();
    await broker.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

async function startProcessor(broker: KafkaBroker, driver: string, cwd: string): Promise<Processor> {
  for (const rule of rules) await writeRule(join(cwd, 'rules'), rule);
  const config = [
    'rules: [./rules]',
    'http: { listen: "127.0.0.1:0" }',
    `sources: [{ kafka: { brokers: ["${broker.brokers[0]}"], driver: ${driver}, topics: [${topic}], group: ${driver}, dataset: app, format: json } }]`,
    `sinks: [{ kafka: { topic: soak-findings, driver: ${driver} } }]`,
    'state: { dir: ./data }',
    '',
  ];
  writeFileSync(join(cwd, 'streamgauge.yaml'), config.join('\n'));
  return new Processor(driver, cwd);
}

/** At a steady rate until the time is over; returns how many. */
async function feed(producer: Producer, durationMs: number): Promise<number> {
  const mill = new RecordMill(200);
  const startMs = Date.now();
  let sent = 0;
  for (let batch = 0; Date.now() - startMs < durationMs; batch++) {
    const nowMs = Date.now();
    const firstKey = Math.floor(((nowMs - startMs) * newKeysPerSecond) / 1000);
    const { records } = mill.batch(
      () => nowMs,
      (record) => (firstKey + ((record * 7919) % liveKeys)) % mostKeys,
      (record) => (record * 104_729) % 1_000_000,
    );
    await producer.send({ topic, messages: records.map(({ value }) => ({ partition: batch % partitions, value: value as Buffer })) });
    sent += records.length;
    await setTimeout(Math.max(0, startMs + (sent * 1000) / recordsPerSecond - Date.now()));
  }
  return sent;
}

async function caughtUp(processor: Processor, sent: number): Promise<number> {
  for (let tries = 0; tries < 600; tries++) {
    const records = await processor.metric('records_total');
    if (records >= sent) return records;
    await setTimeout(100);
  }
  throw new Error(`${processor.driver}: read ${await processor.metric('records_total')} of ${sent} records within a minute of the last`);
}

async function tell(processors: readonly Processor[], print: (line: string) => void): Promise<void> {
  print((await Promise.all(processors.map((each) => each.told()))).join('; '));
}
