/**
 * A rebalance that moved one partition had the commits of all of them refused, and nobody asked again for those that stayed: a topic on which
 * nothing more came showed a lag for ever. When a broker refuses is up to its timing, so here the client's answer is given by hand.
 */
import { expect, test } from 'vitest';
import type { GroupPartitions, Held } from '../../src/source/kafka/kafka-group-partitions.ts';
import type { RdConsumer, RdPartition } from '../../src/source/kafka/rdkafka-client.ts';
import { RdkafkaCommits } from '../../src/source/kafka/rdkafka-commit.ts';

const illegalGeneration = Object.assign(new Error('Broker: Specified group generation id is not valid'), { code: 22 });

test('what was refused is committed again, but not for a partition that was lost and came back', async () => {
  const asked: string[] = [];
  let refusing = true;
  const heldOf = (partition: number): Held => ({ topic: 'logs', partition, next: 0, end: 0, started: true, foreign: false });
  const held = new Map([0, 1].map((partition) => [`logs/${partition}`, heldOf(partition)]));
  const partitions = { held } as unknown as GroupPartitions;
  const consumer = {
    commit: (list: readonly RdPartition[]) => {
      asked.push(list.map(({ partition, offset }) => `${partition}@${offset}`).join(' '));
      queueMicrotask(() => commits.answered(refusing ? illegalGeneration : undefined, list));
    },
  } as unknown as RdConsumer;
  const commits = new RdkafkaCommits(
    { brokers: [], topics: ['logs'], group: 'g', dataset: 'app', format: 'auto' },
    partitions,
    () => consumer,
  );

  await commits.commit({ 'logs/0': 10, 'logs/1': 20 });
  expect(commits.refused).toBe(1);
  held.set('logs/1', heldOf(1));
  refusing = false;
  await expect.poll(() => asked).toEqual(['0@10 1@20', '0@10']);

  refusing = true;
  await commits.commit({ 'logs/0': 11 });
  refusing = false;
  await commits.commit({ 'logs/0': 12 });
  // Longer than until the next attempt: the time that passes is the subject.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(asked.slice(2)).toEqual(['0@11', '0@12']);
});
