/** Members with an `instanceId`, which librdkafka alone can be: who has a name, and what becomes of the second one that claims it. */
import type { Message } from 'kafkajs';
import { expect, test } from 'vitest';
import { DependencyError } from '../../src/errors.ts';
import type { KafkaForAll } from '../support/kafka-for-all.ts';
import { type KafkaRun, runSource, unique } from '../support/kafka-run.ts';

const patience = { timeout: 20_000, interval: 50 };

function lines(from: number, count: number): Message[] {
  return Array.from({ length: count }, (_, i) => ({ partition: (from + i) % 2, value: `${from + i}` }));
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
const numbers = (...runs: KafkaRun[]) =>
  runs.flatMap(({ taken }) => taken.map(({ value }) => Number(Buffer.from(value ?? [])))).sort((a, b) => a - b);

export function staticMemberTests(kafka: KafkaForAll): void {
  async function group(): Promise<(instanceId: string, more?: Partial<Parameters<typeof runSource>[0]>) => KafkaRun> {
    const topic = unique('static');
    const shared = { brokers: kafka.broker.brokers, driver: 'rdkafka', topics: [topic], group: topic } as const;
    await kafka.broker.createTopics({ topic, partitions: 2 });
    return (instanceId, more) => runSource({ ...shared, instanceId, ...more });
  }
  test('a member with an instanceId comes back to its partitions without a rebalance', async () => {
    const member = await group();
    const first = member('a');
    const second = member('b');
    await expect.poll(() => [first.announced.length > 0, second.announced.length > 0], patience).toEqual([true, true]);
    await expect.poll(() => new Set([...first.announced, ...second.announced]).size, patience).toBe(2);
    await kafka.producer.send(first.topic, lines(0, 20));
    await expect.poll(() => numbers(first, second), patience).toEqual(upTo(20));
    const before = first.revocations.length;
    const [had] = second.announced.slice(-1);
    await second.stop();
    const again = member('b');
    await expect.poll(() => again.announced, patience).toEqual([had]);
    await kafka.producer.send(first.topic, lines(20, 20));
    await expect.poll(() => numbers(first, second, again), patience).toEqual(upTo(40));
    expect(first.revocations.length).toBe(before);
  }, 60_000);

  test('with protocol consumer a second one is refused its name, says so, and leaves the first one in peace', async () => {
    const member = await group();
    const first = member('a', { protocol: 'consumer' });
    await expect.poll(() => first.announced.length, patience).toBe(2);
    // Sat out for as long as an outage, not for as long as a first connection.
    const second = member('a', { protocol: 'consumer', connectForMs: 100, outageForMs: 2_500 });
    await expect
      .poll(() => second.source.health().reason, patience)
      .toMatch(/instance ID is still used.*\(instanceId: a\); .*its session ends/);
    const began = performance.now();
    const error = await second.done.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DependencyError);
    expect(String(error)).toMatch(/could not consume .* instance ID is still used .*one that runs needs another `instanceId`/);
    expect(performance.now() - began).toBeGreaterThan(1_000);
    await kafka.producer.send(first.topic, lines(0, 20));
    await expect.poll(() => numbers(first, second), patience).toEqual(upTo(20));
    expect(first.revocations).toEqual([]);
  });

  test('with protocol classic a second one takes the name, and the first one ends with that reason', async () => {
    const member = await group();
    const first = member('a');
    await expect.poll(() => first.announced.length, patience).toBe(2);
    const second = member('a');
    const error = await first.done.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DependencyError);
    expect(String(error)).toMatch(/fenced .*\(instanceId: a\); another member of this group has this `instanceId`: give each its own/);
    await expect.poll(() => second.announced.length, patience).toBe(2);
    await kafka.producer.send(second.topic, lines(0, 20));
    await expect.poll(() => numbers(second), patience).toEqual(upTo(20));
  });
}
