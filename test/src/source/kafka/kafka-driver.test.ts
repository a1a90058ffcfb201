import { expect, test } from 'vitest';
import { UsageError } from '../../../../src/errors.ts';
import { chooseDriver } from '../../../../src/source/kafka/kafka-driver.ts';
import type { LoadedRdkafka, Rdkafka } from '../../../../src/source/kafka/rdkafka-client.ts';

const built = (features: string[]) => (): LoadedRdkafka => ({ module: { features, librdkafkaVersion: '2.12.0' } as unknown as Rdkafka });
const all = built(['gzip', 'ssl']);
const absent = (): LoadedRdkafka => ({ reason: 'it is not installed' });

test('auto takes rdkafka where it loads, else kafkajs, and says why', () => {
  expect(chooseDriver('auto', {}, all)).toMatchObject({ driver: 'rdkafka', reason: 'it loads; librdkafka 2.12.0' });
  expect(chooseDriver('auto', {}, absent)).toEqual({ driver: 'kafkajs', reason: 'node-rdkafka does not load: it is not installed' });
});

test('auto takes kafkajs for what librdkafka has not', () => {
  expect(chooseDriver('auto', { tls: { servername: 'kafka.internal' } }, all)).toMatchObject({ driver: 'kafkajs' });
  expect(chooseDriver('auto', { tls: true }, built(['gzip']))).toMatchObject({
    driver: 'kafkajs',
    reason: expect.stringContaining('without OpenSSL'),
  });
  expect(chooseDriver('auto', { tls: false }, built(['gzip']))).toMatchObject({ driver: 'rdkafka' });
});

test('a driver that is named is taken, or refused with a next step', () => {
  expect(chooseDriver('kafkajs', {}, all)).toEqual({ driver: 'kafkajs', reason: 'the config says so' });
  expect(chooseDriver('rdkafka', {}, all)).toMatchObject({ driver: 'rdkafka', reason: 'the config says so; librdkafka 2.12.0' });
  expect(() => chooseDriver('rdkafka', {}, absent)).toThrow(UsageError);
  expect(() => chooseDriver('rdkafka', {}, absent)).toThrow(
    /does not load: it is not installed; use driver kafkajs, or .*npm rebuild node-rdkafka/,
  );
});

test('what only rdkafka can is not dropped in silence', () => {
  expect(() => chooseDriver('kafkajs', { instanceId: 'a' }, all)).toThrow(
    '`instanceId`: expected `driver: rdkafka` or auto, found kafkajs',
  );
  expect(() => chooseDriver('auto', { instanceId: 'a', protocol: 'consumer' }, absent)).toThrow(
    '`instanceId` and `protocol: consumer`: expected driver rdkafka, but node-rdkafka does not load',
  );
  expect(chooseDriver('auto', { protocol: 'classic' }, absent)).toMatchObject({ driver: 'kafkajs' });
});
