/** A drain that writes to a topic of a real broker: what was answered 2xx is there, whatever the broker does meanwhile. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Counters } from '../../processors/counters.ts';
import { createServer, listen } from '../../src/http/server.ts';
import { KafkaDrain, type KafkaDrainOptions } from '../../src/source/kafka/kafka-drain.ts';
import { basic, frame, line, password } from '../src/source/drain/drain-harness.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { head, type RawAnswer, RawClient } from '../support/raw-http.ts';

const unavailable = kafkaUnavailable();
if (unavailable) console.log(`skipped: ${unavailable}`);

let broker: KafkaBroker;
beforeAll(async () => {
  if (!unavailable) broker = await startKafka();
}, 120_000);
afterAll(() => broker?.stop());

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

  static async start(options: Partial<KafkaDrainOptions> = {}, config?: Record<string, string>): Promise<Setting> {
    const topic = `drained-${randomBytes(4).toString('hex')}`;
    await broker.createTopics({ topic, partitions: 3, config });
    const drain = new KafkaDrain({
      path: '/drain/logplex',
      credentials: [password],
      dataset: 'heroku',
      kafka: { brokers: broker.brokers, topic },
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
    const kafka = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING, retry: { retries: 20 } });
    const consumer = kafka.consumer({ groupId: `test-${randomBytes(4).toString('hex')}` });
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

describe.skipIf(unavailable)('a drain to Kafka', () => {
  test('answers once the broker has the records: token as key and header, arrival as timestamp, order kept', {
    timeout: 60_000,
  }, async () => {
    const now = 1_767_614_400_123;
    const setting = await Setting.start({ now: () => now });
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
    }
    expect(stored[1].message.headers).toMatchObject({ 'streamgauge-reject': Buffer.from('bad_frame') });
    expect(stored[2].message.headers).toMatchObject({ 'streamgauge-missing': Buffer.from('2') });
    expect(setting.drain.counters).toMatchObject({ records: 3, rejects: 1, countMismatches: 1, requests: { accepted: 1, repeat: 1 } });
    expect(setting.drain.health()).toEqual({ ok: true, driver: 'kafkajs' });
  });

  test('takes what one request may hold: many small records, and one larger than a topic takes', { timeout: 60_000 }, async () => {
    const setting = await Setting.start({ path: '/drain/json' });
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
    const setting = await Setting.start({ path: '/drain/json', holdMs: 2000 }, { 'max.message.bytes': '2000' });
    const json = { 'Content-Type': 'application/json' };
    const tooLong = setting.post(`{"a":"${'x'.repeat(5000)}"}`, json);
    const others = await Promise.all(Array.from({ length: 5 }, (_, i) => setting.post(`{"i":${i}}`, json)));
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(await tooLong).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect((await setting.stored(5)).map(({ text }) => text).sort()).toEqual(['{"i":0}', '{"i":1}', '{"i":2}', '{"i":3}', '{"i":4}']);
  });

  test('while the broker is away a request is held, then told to come back; nothing acknowledged is missing', {
    timeout: 180_000,
  }, async () => {
    const setting = await Setting.start({ holdMs: 1500 });
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
    await broker.halt('SIGKILL');
    let back = false;
    onTestFinished(async () => {
      if (!back) await broker.resume();
    });
    const startedMs = performance.now();
    expect(await send('while away')).toBe(503);
    const heldMs = performance.now() - startedMs;
    expect(heldMs).toBeGreaterThan(1400);
    expect(heldMs).toBeLessThan(4500);
    expect(setting.drain.counters.requests.unavailable).toBeGreaterThan(0);
    expect(setting.drain.health()).toMatchObject({ ok: false, reason: expect.stringMatching(/could not|has not taken/) });
    expect((await fetch(`http://127.0.0.1:${setting.port}/healthz`)).status).toBe(503);

    await broker.resume();
    back = true;
    await expect.poll(() => send('back again'), patience).toBe(200);
    away = false;
    await Promise.all(senders);
    expect(setting.drain.health().ok).toBe(true);
    const texts = new Set((await setting.stored(new Set(acknowledged).size)).map(({ text }) => text));
    for (const text of acknowledged) expect(texts).toContain(text);
  });

  test('is well again by itself when the broker is, and ends the run that finds no topic', { timeout: 180_000 }, async () => {
    const setting = await Setting.start({ holdMs: 2000 });
    expect((await setting.post(frame(line('a')), batch('a'))).status).toBe(200);
    await broker.halt('SIGTERM');
    expect((await setting.post(frame(line('b')), batch('b'))).status).toBe(503);
    await broker.resume();
    await expect.poll(() => setting.drain.health().ok, patience).toBe(true);
    const nowhere = new KafkaDrain({
      ...{ path: '/drain/x', credentials: [], dataset: 'x' },
      kafka: { brokers: broker.brokers, topic: 'not-there', connectForMs: 300 },
    });
    await expect(nowhere.run()).rejects.toThrow(/could not find topic not-there.*create the topic/);
    await nowhere.stop();
  });
});
