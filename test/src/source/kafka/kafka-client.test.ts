import { KafkaJSProtocolError, type KafkaMessage } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { DependencyError } from '../../../../src/errors.ts';
import { createKafka, errorType, kafkaError, mayRecover, persist } from '../../../../src/source/kafka/kafka-client.ts';
import { safeOffset, toRecords } from '../../../../src/source/kafka/kafka-record.ts';

const connection = { brokers: ['kafka-1:9092', 'kafka-2:9092'] };

/** An error as kafkajs makes it, by the fields that are read. */
function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

function protocol(type: string): KafkaJSProtocolError {
  return new KafkaJSProtocolError(Object.assign(new Error(type), { type, code: 1, retriable: false }));
}

describe('an error of Kafka', () => {
  test('says broker, what was tried, what came of it and the next step', () => {
    const error = kafkaError(connection, 'consume logs', protocol('GROUP_AUTHORIZATION_FAILED'));
    expect(error).toBeInstanceOf(DependencyError);
    expect(error.message).toBe(
      'Kafka at kafka-1:9092, kafka-2:9092: could not consume logs: GROUP_AUTHORIZATION_FAILED; give this user the right in the ACLs of the cluster',
    );
  });

  test('is looked for under the retries that wrap it', () => {
    const wrapped = Object.assign(new Error('retries', { cause: new Error('again', { cause: protocol('REBALANCE_IN_PROGRESS') }) }));
    expect(errorType(wrapped)).toBe('REBALANCE_IN_PROGRESS');
  });

  test.each([
    [protocol('TOPIC_AUTHORIZATION_FAILED'), false],
    [protocol('UNKNOWN_TOPIC_OR_PARTITION'), true],
    [protocol('ILLEGAL_GENERATION'), true],
    [named('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed: Authentication failed'), false],
    [named('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed: Closed connection'), true],
    [named('KafkaJSNotImplemented', 'Snappy compression not implemented'), false],
    [named('KafkaJSConnectionError', 'Connection error: self-signed certificate'), false],
    [named('KafkaJSConnectionError', 'Connection error: connect ECONNREFUSED 127.0.0.1:9092'), true],
    [new RangeError('offset'), false],
    [new TypeError('ours'), false],
  ])('%s may pass by itself: %s', (error, may) => {
    expect(mayRecover(error)).toBe(may);
  });

  test('of a codec that is not there names the way out', () => {
    const error = named('KafkaJSNotImplemented', 'compression codec 5 not implemented');
    expect(kafkaError(connection, 'read logs', error).message).toMatch(/have the producer use gzip, snappy, lz4, zstd or none/);
  });

  test('is tried again until it passes, and not at all where that is hopeless', async () => {
    let attempts = 0;
    const passes = () => (++attempts < 3 ? Promise.reject(named('KafkaJSConnectionError', 'ECONNREFUSED')) : Promise.resolve('there'));
    await expect(persist(connection, 'read logs', 5_000, passes)).resolves.toBe('there');
    expect(attempts).toBe(3);
    attempts = 0;
    const hopeless = () => {
      attempts++;
      return Promise.reject(protocol('TOPIC_AUTHORIZATION_FAILED'));
    };
    await expect(persist(connection, 'read logs', 5_000, hopeless)).rejects.toThrow(DependencyError);
    expect(attempts).toBe(1);
  });

  test('names a certificate file that cannot be read', () => {
    expect(() => createKafka({ ...connection, tls: { ca: './no-such.pem' } })).toThrow(
      /tls\.ca: expected PEM text or the path.*no-such\.pem/,
    );
  });
});

describe('a record of Kafka', () => {
  const message = (change: Partial<KafkaMessage>): KafkaMessage =>
    ({
      key: null,
      value: Buffer.from('x'),
      timestamp: '1700000000000',
      attributes: 0,
      offset: '7',
      headers: {},
      ...change,
    }) as KafkaMessage;

  test('has a numeric offset up to 2^53 - 1, and an error beyond', () => {
    expect(safeOffset('logs', 0, '9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => safeOffset('logs', 3, '9007199254740992')).toThrow(
      'logs/3: expected an offset of at most 9007199254740991, found 9007199254740992; recreate the topic',
    );
    expect(() => toRecords('logs', 3, [message({ offset: '9007199254740993' })], 0, 1)).toThrow(RangeError);
  });

  test('has its headers as text, the last of equal names, and none where there are none', () => {
    const headers = { a: Buffer.from('é'), b: [Buffer.from('1'), '2'], __proto__x: 'y', gone: undefined };
    const [with_, without] = toRecords('logs', 0, [message({ headers } as Partial<KafkaMessage>), message({})], 0, 2);
    expect(with_.headers).toEqual({ a: 'é', b: '2', __proto__x: 'y', gone: '' });
    expect('headers' in without).toBe(false);
  });

  test('has no time where its producer gave none', () => {
    const [record] = toRecords('logs', 0, [message({ timestamp: '-1' })], 0, 1);
    expect(record.timestampMs).toBeNaN();
  });
});
