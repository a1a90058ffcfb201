/** What librdkafka says of a fatal error is read from the words of its log: held here against the table of the library that is loaded. */
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { errorType, mayRecover } from '../../../../src/source/kafka/kafka-client.ts';
import { fatalFailure, loadRdkafka } from '../../../../src/source/kafka/rdkafka-client.ts';

const { reason } = loadRdkafka();
if (reason !== undefined) console.log(`skipped: the words of librdkafka: ${reason}`);

/** As `rd_kafka_set_fatal_error0` logs it. */
function lineOf(code: number): string {
  const { err2str } = createRequire(import.meta.url)('node-rdkafka/librdkafka.js') as { err2str(code: number): string };
  return `[thrd:main]: Fatal error: ${err2str(code)}: ConsumerGroupHeartbeat fatal error: ${err2str(code)}`;
}

test.skipIf(reason !== undefined).each([
  [30, 'GROUP_AUTHORIZATION_FAILED', false],
  [35, 'UNSUPPORTED_VERSION', false],
  [82, 'FENCED_INSTANCE_ID', false],
  [111, 'UNRELEASED_INSTANCE_ID', true],
  [-165, '_UNSUPPORTED_FEATURE', false],
  [81, '_FATAL', true],
])('a client that died of %i is known to have died of %s', (code, type, again) => {
  const failure = fatalFailure(lineOf(code), undefined);
  expect(errorType(failure)).toBe(type);
  expect(mayRecover(failure)).toBe(again);
  expect(lineOf(code)).toContain(failure.message);
  expect(failure.message).toMatch(/^(Broker|Local): \w+/);
});

test('a name that is taken is told, and a death without a word is a death', () => {
  const words = 'Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id: why';
  expect(fatalFailure(words, 'a').message).toBe(
    'Broker: Static consumer fenced by other consumer with same group.instance.id (instanceId: a)',
  );
  expect(fatalFailure('', 'a').message).toBe('Local: Fatal error');
});
