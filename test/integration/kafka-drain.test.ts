/** A drain that writes to a topic of a real broker: what was answered 2xx is there, whatever the broker does meanwhile. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Counters } from '../../processors/counters.ts';
import { datasetHeader } from '../../processors/decode/dataset-header.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import { createServer, listen } from '../../src/http/server.ts';
import { KafkaSource } from '../../src/source/kafka/kafka.ts';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { KafkaDrain, type KafkaDrainOptions } from '../../src/source/kafka/kafka-drain.ts';
import { basic, frame, line, password } from '../src/source/drain/drain-harness.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { kafkaForAll, unavailable } from '../support/kafka-for-all.ts';
import { MemorySink } from '../support/memory.ts';
import { head, type RawAnswer, RawClient } from '../support/raw-http.ts';
import { ruleOf } from '../support/rules.ts';

const there = kafkaForAll();

const token = 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd';
const patience = { timeout: 60_000, interval: 50 };

class Setting {
  readonly topic: string;
  readonly drain: KafkaDrain;
  readonly app: FastifyInstance;
  readonly running: Promise<void>;

  private constructor(topic: string, drain: KafkaDrain, app: FastifyInstance) {
    this.topic = topic;
    this.drain = drain;
    this.app = app;
    this.running = drain.run();
  }

  static async start(
    driver: KafkaDriver,
    options: Partial<KafkaDrainOptions> = {},
    { config, into }: { readonly config?: Record<string, string>; readonly into?: string } = {},
  ): Promise<Setting> {
    const topic = into ?? `drained-${randomBytes(4).toString('hex')}`;
    if (into === undefined) await there.broker.createTopics({ topic, partitions: 3, config });
    const drain = new KafkaDrain({
      path: '/drain/logplex',
      credentials: [password],
      dataset: 'heroku',
      kafka: { brokers: there.broker.brokers, topic, driver },
      ...options,
    });
    const app = createServer({
      status: {
        sources: [
          {
            name: drain.name,
            get health() {
              return drain.health();
            },
          },
        ],
        sinks: [],
        reasons: () => [],
      },
      metrics: { counters: () => new Counters(), drains: () => [drain] },
      version: { version: '0.0.0', commit: 'unknown', builtAt: 'unknown', driver: 'none' },
      mounts: [drain],
    });
    await listen(app, '127.0.0.1', 0);
    const setting = new Setting(topic, drain, app);
    onTestFinished(() => setting.stop());
    return setting;
  }

  async stop(): Promise<void> {
    await this.drain.stop();
    await this.running;
    await this.app.close();
  }

  get port(): number {
    return (this.app.server.address() as AddressInfo).port;
  }

  async post(body: string | Uint8Array, headers: Record<string, string | number> = {}): Promise<RawAnswer> {
    const client = await RawClient.open(this.port);
    try {
      const bytes = Buffer.from(body);
      const all = { Authorization: basic(password), 'Content-Type': 'application/logplex-1', 'Content-Length': bytes.length, ...headers };
      await client.write(Buffer.concat([Buffer.from(head(`POST ${this.drain.path} HTTP/1.1`, all)), bytes]));
      const answer = await client.answer();
      if (answer === undefined) throw new Error('the connection ended without an answer');
      return answer;
    } finally {
      client.close();
    }
  }

  /** Everything in the topic, once there are so many. */
  async stored(count: number): Promise<{ partition: number; message: KafkaMessage; text: string }[]> {
    const kafka = new Kafka({ brokers: there.broker.brokers, logLevel: logLevel.NOTHING, retry: { retries: 20 } });
    const consumer = kafka.consumer({ groupId: `test-${randomBytes(4).toString('hex')}`, maxWaitTimeInMs: 100 });
    await consumer.connect();
    const found: { partition: number; message: KafkaMessage; text: string }[] = [];
    try {
      await consumer.subscribe({ topic: this.topic, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ partition, message }) => void found.push({ partition, message, text: String(message.value) }),
      });
      await expect.poll(() => found.length, patience).toBeGreaterThanOrEqual(count);
    } finally {
      await consumer.disconnect();
    }
    return found;
  }
}

function batch(frameId: string, count = 1): Record<string, string | number> {
  return { 'Logplex-Drain-Token': token, 'Logplex-Frame-Id': frameId, 'Logplex-Msg-Count': count };
}

describe.skipIf(unavailable).each(kafkaDrivers)('a drain to Kafka, over %s', (driver) => {
  test('answers once the broker has the records: token as key and header, arrival as timestamp, order kept', {
    timeout: 60_000,
  }, async () => {
    const now = 1_767_614_400_123;
    const setting = await Setting.start(driver, { now: () => now });
    const wrong = `10 ${line('wrong length')}`;
    const body = Buffer.concat([frame(line('one')), Buffer.from(wrong), frame(line('two'))]);
    const answer = await setting.post(body, batch('F1', 5));
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '0' } });
    expect((await setting.post(body, batch('F1', 5))).status).toBe(200);
    const stored = await setting.stored(3);
    expect(stored.map(({ text }) => text)).toEqual([line('one'), wrong, line('two')]);
    expect(new Set(stored.map(({ partition }) => partition)).size).toBe(1);
    for (const { message } of stored) {
      expect([String(message.key), message.timestamp]).toEqual([token, String(now)]);
      expect(message.headers).toMatchObject({ 'logplex-drain-token': Buffer.from(token), 'logplex-frame-id': Buffer.from('F1') });
      expect(message.headers?.[datasetHeader]).toEqual(Buffer.from('heroku'));
    }
    expect(stored[1].message.headers).toMatchObject({ 'streamgauge-reject': Buffer.from('bad_frame') });
    expect(stored[2].message.headers).toMatchObject({ 'streamgauge-missing': Buffer.from('2') });
    expect(setting.drain.counters).toMatchObject({ records: 3, rejects: 1, countMismatches: 1, requests: { accepted: 1, repeat: 1 } });
    expect(setting.drain.health()).toEqual({ ok: true, driver });
    const health = await (await fetch(`http://127.0.0.1:${setting.port}/healthz`)).json();
    expect(health).toMatchObject({ sources: { [setting.drain.name]: { driver } } });
  });

  test('spreads OTLP records over the partitions, without a key: one collector sends those of many', { timeout: 60_000 }, async () => {
    const setting = await Setting.start(driver, { path: '/v1/logs' });
    const logRecords = Array.from({ length: 60 }, (_, i) => ({ body: { stringValue: `${i}` } }));
    for (let i = 0; i < logRecords.length; i += 10) {
      const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: logRecords.slice(i, i + 10) }] }] });
      expect((await setting.post(body, { 'Content-Type': 'application/json' })).status).toBe(200);
    }
    const stored = await setting.stored(60);
    expect(stored.every(({ message }) => message.key === null)).toBe(true);
    expect(new Set(stored.map(({ partition }) => partition)).size).toBeGreaterThan(1);
  });

  test('an engine that reads the topic knows each drain by its dataset, and what senders lost', { timeout: 60_000 }, async () => {
    const setting = await Setting.start(driver);
    const json = await Setting.start(driver, { path: '/drain/json', dataset: 'shop' }, { into: setting.topic });
    const at = (second: number, process: string, text: string) =>
      `<158>1 2026-01-05T12:00:${String(second).padStart(2, '0')}+00:00 host heroku ${process} - ${text}`;
    const overflow = 'Error L10 (output buffer overflow): 500 messages dropped since 2026-01-05T11:59:00+00:00.';
    const lines = [1, 2, 3].map((second) => at(second, 'router', `at=info method=GET path="/${second}" status=200`));
    const frames = [...lines, at(4, 'logplex', overflow)].map(frame);
    expect((await setting.post(Buffer.concat(frames), batch('F1', 6))).status).toBe(200);
    const events = [1, 2, 3].map((second) => ({ time: `2026-01-05T12:00:0${second}Z` }));
    expect((await json.post(JSON.stringify(events), { 'Content-Type': 'application/json' })).status).toBe(200);

    const rules = ['heroku', 'heroku.router', 'shop', 'app'].map((from) =>
      ruleOf(
        `id: from_${from.replace('.', '_')}\nfrom: [${from}]\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 2 }`,
      ),
    );
    const [sink, pipeline] = [new MemorySink(), new Pipeline(rules)];
    const { topic } = setting;
    const source = new KafkaSource({
      brokers: there.broker.brokers,
      driver,
      topics: [topic],
      group: topic,
      dataset: 'app',
      format: 'auto',
    });
    // Live: what it says of itself counts; the clock closes the windows.
    const parts = { sources: [source], sinks: [sink], pipeline, log: pino({ level: 'silent' }), clock: Date.now };
    const engine = new Engine(parts, { idleMs: 4_000, tickEveryMs: 100 });
    const running = engine.run();
    onTestFinished(async () => {
      engine.stop();
      await running;
    });
    const found = () => [...new Set(sink.findings.filter(({ activity }) => activity === 'open').map(({ rule }) => rule))].sort();
    await expect
      .poll(found, patience)
      .toEqual(['from_heroku', 'from_heroku_router', 'from_shop', 'streamgauge.messages_lost_upstream', 'streamgauge.records_lost']);
    const [upstream, missing] = ['messages_lost_upstream', 'records_lost'].map((name) =>
      sink.findings.find(({ rule }) => rule === `streamgauge.${name}`),
    );
    expect(upstream).toMatchObject({ value: 500, summary: expect.stringContaining(`by drain ${token}`) });
    expect(missing).toMatchObject({ value: 2, key: { source: source.name } });
    expect(engine.lossLog.reasons(Date.now()).map(({ reason }) => reason)).toEqual(['records_lost', 'messages_lost_upstream']);
  });

  test('takes what one request may hold: many small records, and one larger than a topic takes', { timeout: 60_000 }, async () => {
    const setting = await Setting.start(driver, { path: '/drain/json', holdMs: 30_000 });
    const json = { 'Content-Type': 'application/json' };
    const small = JSON.stringify(Array.from({ length: 60_000 }, (_, i) => ({ i })));
    expect((await setting.post(small, json)).status).toBe(200);
    expect((await setting.post(`{"a":"${'x'.repeat(2 * 1024 ** 2)}"}`, json)).status).toBe(200);
    const stored = await setting.stored(60_001);
    expect(new Set(stored.filter(({ text }) => text.startsWith('{"i"')).map(({ text }) => JSON.parse(text).i)).size).toBe(60_000);
    const cut = stored.find(({ text }) => text.startsWith('{"a"'));
    expect(cut?.message.headers).toMatchObject({
      'streamgauge-reject': Buffer.from('too_long'),
      'streamgauge-cut-from': Buffer.from(String(2 * 1024 ** 2 + 8)),
    });
  });

  test('a request that the topic will not have does not hold up the others', { timeout: 60_000 }, async () => {
    const setting = await Setting.start(driver, { path: '/drain/json', holdMs: 2000 }, { config: { 'max.message.bytes': '2000' } });
    const json = { 'Content-Type': 'application/json' };
    const tooLong = setting.post(`{"a":"${'x'.repeat(5000)}"}`, json);
    const others = await Promise.all(Array.from({ length: 5 }, (_, i) => setting.post(`{"i":${i}}`, json)));
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(await tooLong).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect((await setting.stored(5)).map(({ text }) => text).sort()).toEqual(['{"i":0}', '{"i":1}', '{"i":2}', '{"i":3}', '{"i":4}']);
  });

  test('while the broker is away a request is held, then told to come back; nothing acknowledged is missing, and it is well by itself', {
    timeout: 180_000,
  }, async () => {
    const idle = await Setting.start(driver, { holdMs: 1500 });
    const setting = await Setting.start(driver, { holdMs: 1500 });
    const acknowledged: string[] = [];
    const send = async (name: string): Promise<number> => {
      const { status } = await setting.post(frame(line(name)), batch(name));
      if (status === 200) acknowledged.push(line(name));
      return status;
    };
    for (let i = 0; i < 20; i++) expect(await send(`before ${i}`)).toBe(200);

    // A stream of senders across the outage; each name is sent up to three times, as Logplex does.
    let away = true;
    const senders = Array.from({ length: 4 }, async (_, sender) => {
      for (let i = 0; away; i++) for (let attempt = 0; attempt < 3 && away && (await send(`during ${sender} ${i}`)) !== 200; attempt++);
    });
    onTestFinished(() => {
      away = false;
    });
    await there.broker.halt('SIGKILL');
    let back = false;
    onTestFinished(async () => {
      if (!back) await there.broker.resume();
    });
    const idleToo = idle.post(frame(line('nobody comes again')), batch('once'));
    const startedMs = performance.now();
    expect(await send('while away')).toBe(503);
    const heldMs = performance.now() - startedMs;
    expect(heldMs).toBeGreaterThan(1400);
    expect(heldMs).toBeLessThan(4500);
    expect(setting.drain.counters.requests.unavailable).toBeGreaterThan(0);
    expect(setting.drain.health()).toMatchObject({ ok: false, reason: expect.stringMatching(/could not|has not taken/) });
    expect((await fetch(`http://127.0.0.1:${setting.port}/healthz`)).status).toBe(503);
    expect((await idleToo).status).toBe(503);
    expect(idle.drain.health().ok).toBe(false);

    await there.broker.resume();
    back = true;
    await expect.poll(() => send('back again'), patience).toBe(200);
    away = false;
    await Promise.all(senders);
    expect(setting.drain.health().ok).toBe(true);
    await expect.poll(() => idle.drain.health().ok, patience).toBe(true);
    const texts = new Set((await setting.stored(new Set(acknowledged).size)).map(({ text }) => text));
    for (const text of acknowledged) expect(texts).toContain(text);
  });

  test('a run that finds no topic ends', { timeout: 60_000 }, async () => {
    const nowhere = new KafkaDrain({
      ...{ path: '/drain/x', credentials: [], dataset: 'x' },
      kafka: { brokers: there.broker.brokers, driver, topic: 'not-there', connectForMs: 300 },
    });
    await expect(nowhere.run()).rejects.toThrow(/could not find topic not-there.*create the topic/);
    await nowhere.stop();
  });
});

test('a drain to Kafka with a dataset that no header could say is refused before anything is connected', () => {
  const options = { path: '/drain/x', credentials: [], kafka: { brokers: ['127.0.0.1:1'], topic: 'x' } };
  for (const dataset of ['two words', 'größe', 'x'.repeat(129)])
    expect(() => new KafkaDrain({ ...options, dataset })).toThrow(/drain\.dataset: .* expected .* found "/);
});
