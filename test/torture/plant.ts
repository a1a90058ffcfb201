/** One deployment between two topics of a broker, with load on it: what faults are done to. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import pino from 'pino';
import { partitionKey } from '../../processors/record.ts';
import { loadConfig } from '../../src/config.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { checkpointsOf } from '../../src/wiring.ts';
import type { KafkaBroker } from '../support/kafka-broker.ts';
import { writeRule } from '../support/many-requests.ts';
import { Child } from './child.ts';
import { type Comparison, compare, type Out, outOf } from './compare.ts';
import { dismissMembers } from './dismiss.ts';
import { Load, partitions, rule } from './load.ts';

export interface PlantOptions {
  readonly broker: KafkaBroker;
  readonly driver: KafkaDriver;
  /** Records a second while the feed runs. */
  readonly rate?: number;
  readonly load?: Load;
  /** Further lines of the config. */
  readonly config?: readonly string[];
  /** Further sinks, in YAML's flow form. */
  readonly sinks?: readonly string[];
  /** Default: `data` in the plant's folder. */
  readonly stateDir?: string;
  /** Of a silent partition; default 7 days: no clock may close a pane, the undisturbed run has none. */
  readonly idle?: string;
  /** Default: that of `load.ts`. */
  readonly rule?: string;
  /** Checkpoints are kept in a topic. */
  readonly stateInTopic?: boolean;
  /** What is done to it may degrade windows. */
  readonly mayDegrade?: boolean;
}

const feedEveryMs = 50;

export class Plant {
  readonly cwd: string;
  readonly topic: string;
  readonly findings: string;
  readonly group: string;
  readonly load: Load;
  readonly #options: PlantOptions;
  readonly #producer: Producer;
  #feeding: Promise<void> | undefined;
  #fed = true;
  #disposed = false;
  /** How often committed offsets were held against the checkpoint. */
  offsetChecks = 0;
  readonly #children: Child[] = [];
  /** Commits that were ahead of it, or behind it at the end. */
  readonly ahead: string[] = [];

  private constructor(cwd: string, options: PlantOptions) {
    const id = randomBytes(4).toString('hex');
    this.cwd = cwd;
    this.#options = options;
    [this.topic, this.findings, this.group] = [`logs-${id}`, `findings-${id}`, `group-${id}`];
    this.load = options.load ?? new Load();
    this.#producer = new Kafka({
      brokers: options.broker.brokers,
      logLevel: logLevel.NOTHING,
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 500 },
    }).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
    });
  }

  static async make(options: PlantOptions): Promise<Plant> {
    const plant = new Plant(await mkdtemp(join(tmpdir(), 'streamgauge-torture-')), options);
    await options.broker.createTopics({ topic: plant.topic, partitions }, { topic: plant.findings, partitions: 2 });
    if (options.stateInTopic) await options.broker.createTopics({ topic: plant.#stateTopic, config: { 'cleanup.policy': 'compact' } });
    await writeRule(join(plant.cwd, 'rules'), options.rule ?? rule);
    await plant.configure();
    await plant.#producer.connect();
    return plant;
  }

  get driver(): KafkaDriver {
    return this.#options.driver;
  }

  get mayDegrade(): boolean {
    return this.#options.mayDegrade ?? false;
  }

  /** How many processes were killed. */
  get kills(): number {
    return this.#children.filter(({ killed }) => killed).length;
  }

  get #stateTopic(): string {
    return `state-${this.group}`;
  }

  /** For those that are started from now on. `sinks`: others than at first, in YAML's flow form. */
  async configure(sinks = this.#options.sinks ?? []): Promise<void> {
    await writeFile(join(this.cwd, 'streamgauge.yaml'), this.#config(sinks));
  }

  #config(sinks: readonly string[]): string {
    const { broker, driver, config = [], stateDir = './data', idle = '7d', stateInTopic } = this.#options;
    const [address] = broker.brokers;
    // A member that comes back under its own name need not wait for the session of the one that was killed.
    const member = driver === 'rdkafka' ? ', instanceId: torture' : '';
    const source = `{ brokers: ["${address}"], driver: ${driver}, topics: [${this.topic}], group: ${this.group}, format: json${member} }`;
    return [
      'rules: [./rules]',
      'http: { listen: "127.0.0.1:0" }',
      `sources: [{ kafka: ${source} }]`,
      `sinks: [${[`{ kafka: { topic: ${this.findings}, driver: ${driver} } }`, ...sinks].join(', ')}]`,
      `state: { dir: ${stateDir}${stateInTopic ? `, kafka: { topic: ${this.#stateTopic}, driver: ${driver} }` : ''} }`,
      `time: { idle: ${idle} }`,
      ...config,
      '',
    ].join('\n');
  }

  start(env?: Readonly<Record<string, string>>): Child {
    const child = new Child(['run'], this.cwd, env);
    this.#children.push(child);
    return child;
  }

  /** The broker forgets a member that was killed, as it would at the end of its session (30 s). */
  async dismiss(): Promise<void> {
    await insist(() => dismissMembers(this.#options.broker.brokers, this.group));
  }

  /** Load from now on, until `stopFeed`; through outages of the broker. */
  startFeed(): void {
    this.#fed = false;
    this.#feeding = this.#feed();
  }

  async #feed(): Promise<void> {
    const perTurn = Math.ceil(((this.#options.rate ?? 2_000) * feedEveryMs) / 1000);
    for (let dueMs = performance.now(); !this.#fed; dueMs += feedEveryMs) {
      await this.send(this.load.next(perTurn));
      await sleep(Math.max(0, dueMs + feedEveryMs - performance.now()));
      // After an outage it goes on, it does not catch up.
      dueMs = Math.max(dueMs, performance.now() - feedEveryMs);
    }
  }

  async stopFeed(): Promise<void> {
    this.#fed = true;
    await this.#feeding;
  }

  /** The records that close everything; once. */
  async endLoad(): Promise<void> {
    await this.stopFeed();
    if (Number.isNaN(this.load.lastMs)) await this.send(this.load.last());
  }

  /** Until the broker has them. Repeats are records like others: the undisturbed run reads the same topic. */
  async send(records: readonly { partition: number; value: string; timestampMs: number }[]): Promise<void> {
    const messages = records.map(({ partition, value, timestampMs }) => ({ partition, value, timestamp: String(timestampMs) }));
    for (;;) {
      try {
        await this.#producer.send({ topic: this.topic, messages });
        return;
      } catch (error) {
        if (this.#disposed) throw error;
        await sleep(200);
        await this.#producer.connect().catch(() => undefined);
      }
    }
  }

  /** While nothing runs: no offset may be committed that the newest checkpoint does not cover. */
  async checkOffsets(): Promise<void> {
    const committed = await this.committed();
    const config = await loadConfig(join(this.cwd, 'streamgauge.yaml'), {});
    const checkpoints = checkpointsOf(config, pino({ level: 'silent' }));
    const positions = (await checkpoints.load())?.positions ?? {};
    await checkpoints.close?.();
    this.offsetChecks++;
    for (const [partition, offset] of committed.entries()) {
      const covered = positions[partitionKey(this.topic, partition)] ?? 0;
      if (offset > covered) this.ahead.push(`${this.topic}/${partition}: committed ${offset}, the checkpoint is at ${covered}`);
    }
  }

  async committed(): Promise<number[]> {
    // A coordinator that has just come up, or that nobody has asked for yet, says that it is none.
    const found = await insist(() =>
      this.#options.broker.admin((admin) => admin.fetchOffsets({ groupId: this.group, topics: [this.topic] })),
    );
    const offsets = new Map(found[0]?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    return Array.from({ length: partitions }, (_, partition) => Math.max(0, offsets.get(partition) ?? 0));
  }

  async ends(): Promise<number[]> {
    const found = await this.#options.broker.admin((admin) => admin.fetchTopicOffsets(this.topic));
    return found.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high));
  }

  /** Ends the load, lets `child` read all of it and stops it. Rejects if it does not get there. */
  async drain(child: Child, withinMs = 120_000): Promise<void> {
    await this.endLoad();
    const deadlineMs = performance.now() + withinMs;
    // Not `<`: before the first record it is no number.
    while (!((await watermarkMs(child)) >= this.load.lastMs)) {
      if (performance.now() > deadlineMs) throw new Error(`not everything was read after ${withinMs} ms:\n${child.said.slice(-3000)}`);
      await sleep(50);
    }
    const { code, signal } = await child.end('SIGTERM');
    if (code !== 0) throw new Error(`stopped with ${code ?? signal}:\n${child.said.slice(-3000)}`);
    await this.checkOffsets();
    const [committed, ends] = [(await this.committed()).join(), (await this.ends()).join()];
    if (committed !== ends) this.ahead.push(`committed ${committed} at the end, where ${ends} was read`);
  }

  /** What came out against what a replay of the same topic finds. */
  async compare(): Promise<Comparison> {
    return compare(await this.undisturbed(), outOf(await this.values(this.findings)));
  }

  /** What a replay of the topic finds. */
  undisturbed(): Promise<Out[]> {
    return replayed(`kafka:${this.topic}`, this.cwd);
  }

  /** A topic's values, as a reader that skips aborted transactions sees them. */
  async values(topic: string): Promise<string[]> {
    const values: string[] = [];
    const connection = { brokers: this.#options.broker.brokers, topics: [topic], group: 'none', dataset: 'findings', format: 'json' };
    const source = new KafkaSource({ ...connection, from: 'earliest', until: 'end' });
    await source.run(
      {},
      {
        partitions: () => undefined,
        ended: () => undefined,
        revoked: () => Promise.resolve(),
        batch: async ({ records }) => {
          for (const { value } of records) values.push(Buffer.from(value ?? []).toString());
        },
      },
    );
    await source.stop();
    return values;
  }

  async dispose(): Promise<void> {
    this.#fed = true;
    this.#disposed = true;
    await this.#feeding?.catch(() => undefined);
    await this.#producer.disconnect().catch(() => undefined);
    await rm(this.cwd, { recursive: true, force: true });
  }
}

async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (const deadlineMs = performance.now() + 20_000; ; await sleep(100)) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
  }
}

/** Event time up to which all partitions were read; below all times where it is not known. Rejects when the process has ended. */
async function watermarkMs(child: Child): Promise<number> {
  const address = await child.address();
  if (child.isOver) throw new Error(`it ended before it had read everything:\n${child.said.slice(-3000)}`);
  const text = await fetch(`${address}/metrics`)
    .then((answer) => answer.text())
    .catch(() => '');
  const seconds = /^streamgauge_watermark_timestamp_seconds (\S+)/m.exec(text)?.[1];
  return seconds === undefined ? Number.NEGATIVE_INFINITY : Number(seconds) * 1000;
}

/** What `backtest` finds in a topic or file with the config of a folder. */
export async function replayed(from: string, cwd: string): Promise<Out[]> {
  const replay = new Child(['backtest', '-c', 'streamgauge.yaml', '--from', from], cwd);
  const { code } = await replay.ended;
  if (code !== 0) throw new Error(`backtest ended with ${code}:\n${replay.said}`);
  return outOf(linesOf(replay.out));
}

export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
