/** Logging in to a real broker, over both drivers: SCRAM, a certificate of one's own, and tokens of an OAuth endpoint. */
import { inspect } from 'node:util';
import type { Message } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { DependencyError } from '../../src/errors.ts';
import { KafkaWriter } from '../../src/sink/kafka-writer.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { kafkaForAll, unavailable } from '../support/kafka-for-all.ts';
import { type KafkaRun, runSource, unique } from '../support/kafka-run.ts';
import { tokenEndpoint } from '../support/token-endpoint.ts';

const patience = { timeout: 20_000, interval: 50 };

const kafka = kafkaForAll();

const lines = (from: number, count: number): Message[] => Array.from({ length: count }, (_, i) => ({ value: `line ${from + i}` }));
const numbers = ({ taken }: KafkaRun) =>
  taken.map(({ value }) =>
    Number(
      Buffer.from(value ?? [])
        .toString()
        .slice('line '.length),
    ),
  );

describe.skipIf(unavailable).each(kafkaDrivers)('over %s', (driver) => {
  test('logs in with SCRAM-SHA-256, and with a certificate of its own', async () => {
    const { secure } = kafka.broker;
    if (!secure) throw new Error('no openssl here: install it, the secure listeners need a key store');
    const topic = unique('login');
    await kafka.broker.createTopics({ topic });
    await kafka.producer.send(topic, lines(0, 3));
    const { ca, cert, key, username, password } = secure;
    const scram = { brokers: [secure.broker], tls: { ca }, sasl: { mechanism: 'scram-sha-256', username, password } } as const;
    const mutual = { brokers: [secure.mutualBroker], tls: { ca, cert, key } };
    for (const connection of [scram, mutual]) {
      const run = runSource({ ...connection, driver, topics: [topic] });
      await expect.poll(() => numbers(run), patience).toEqual([0, 1, 2]);
      await run.stop();
    }
    const nameless = runSource({ ...mutual, tls: { ca }, driver, topics: [topic], connectForMs: 500 });
    await expect(nameless.done).rejects.toThrow(DependencyError);
  });

  test('logs in with tokens of an OAuth endpoint, reads and writes, and says who refused it without the secret', async () => {
    const { secure } = kafka.broker;
    if (!secure) throw new Error('no openssl here: install it, the secure listeners need a key store');
    const topic = unique('oauth');
    await kafka.broker.createTopics({ topic });
    const clientSecret = 'never to be seen: 100 %';
    const endpoint = await tokenEndpoint({ clientId: 'gauge', clientSecret });
    const sasl = { mechanism: 'oauthbearer', tokenEndpoint: endpoint.url, clientId: 'gauge', clientSecret, scope: 'kafka read' } as const;
    const connection = { brokers: [secure.broker], tls: { ca: secure.ca }, driver, connectForMs: 3_000 };
    const writer = new KafkaWriter({ ...connection, sasl, topic }, 'lines');
    await writer.open();
    await writer.write(lines(0, 3));
    await writer.close();
    const run = runSource({ ...connection, sasl, topics: [topic] });
    await expect.poll(() => numbers(run), patience).toEqual([0, 1, 2]);
    // One token for all connections of both.
    expect(endpoint.statuses).toEqual([200]);
    expect(endpoint.scopes).toEqual(['kafka read']);
    const withSasl = (other: Partial<typeof sasl | Record<keyof typeof sasl, string>>) =>
      runSource({ ...connection, connectForMs: 300, sasl: { ...sasl, ...other, mechanism: 'oauthbearer' }, topics: [topic] });
    const emptyName = await tokenEndpoint({ clientId: '', clientSecret });
    const [wrong, nobody, stranger] = [
      withSasl({ clientSecret: 'never to be shown' }),
      withSasl({ tokenEndpoint: 'http://127.0.0.1:1/token?key=never to be told' }),
      withSasl({ clientId: '', tokenEndpoint: emptyName.url }),
    ];
    const [refused, away, refusedByBroker] = await Promise.all([wrong, nobody, stranger].map(({ done }) => done.catch((error) => error)));
    expect(refused).toBeInstanceOf(DependencyError);
    expect(String(refused)).toContain(
      `token endpoint ${endpoint.url} answered 401 (invalid_client); check sasl.tokenEndpoint, sasl.clientId`,
    );
    expect(String(away)).toMatch(/token endpoint http:\/\/127\.0\.0\.1:1\/token does not answer: .*check sasl\.tokenEndpoint, and that/);
    expect(String(refusedByBroker)).toMatch(/check that the broker takes OAUTHBEARER tokens of sasl\.tokenEndpoint/);
    expect(inspect([refused, away, refusedByBroker], { depth: 9 })).not.toMatch(/never to be|Basic/);
  });
});

describe.skipIf(unavailable)('a token that expires', () => {
  test('is renewed before it does, on connections that stand', async () => {
    const { secure } = kafka.broker;
    if (!secure) throw new Error('no openssl here: install it, the secure listeners need a key store');
    const topic = unique('renewed');
    await kafka.broker.createTopics({ topic });
    const runs = await Promise.all(
      kafkaDrivers.map(async (driver) => {
        const endpoint = await tokenEndpoint({ clientId: 'gauge', clientSecret: 'secret', lifeSeconds: 7 });
        const sasl = { mechanism: 'oauthbearer', tokenEndpoint: endpoint.url, clientId: 'gauge', clientSecret: 'secret' } as const;
        const run = runSource({ brokers: [secure.broker], tls: { ca: secure.ca }, driver, sasl, topics: [topic], sessionTimeoutMs: 3_000 });
        return { run, endpoint };
      }),
    );
    await expect.poll(() => Math.min(...runs.map(({ endpoint }) => endpoint.statuses.length)), patience).toBeGreaterThan(2);
    await kafka.producer.send(topic, lines(0, 3));
    for (const { run } of runs) {
      await expect.poll(() => numbers(run), patience).toEqual([0, 1, 2]);
      await expect.poll(() => run.source.health(), patience).toMatchObject({ ok: true });
    }
  });
});
