/** Checkpoints in a topic of a real broker: the laws of stores, and what only a topic can get wrong. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { CheckpointError } from '../../src/checkpoint/checkpoint.ts';
import { createTopicCheckpoints } from '../../src/checkpoint/topic.ts';
import { DependencyError } from '../../src/errors.ts';
import { checkpointLaws } from '../contracts/checkpoint-laws.ts';
import { checkpointTopic, compacted } from '../support/checkpoint-topic.ts';
import type { KafkaBroker } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';

const unique = (name: string) => `${name}-${randomBytes(4).toString('hex')}`;

/** @param running the broker, once it runs. */
export function topicCheckpointTests(running: () => KafkaBroker): void {
  async function stateTopic(): Promise<string> {
    const topic = unique('state');
    await running().createTopics({ topic, config: { 'cleanup.policy': 'compact' } });
    return topic;
  }

  const store = (topic: string, group = 'shop') =>
    createTopicCheckpoints({ brokers: running().brokers, topic, group, identity: 'key 1', connectForMs: 1_500 });

  for (const driver of kafkaDrivers) {
    checkpointLaws(`topic over ${driver}`, async () => checkpointTopic(running().brokers, await stateTopic(), driver));
  }

  test('groups share a topic and see nothing of each other', async () => {
    const topic = await stateTopic();
    const [ours, theirs] = [store(topic), store(topic, 'shop/part')];
    await ours.save({ positions: { 'logs/0': 1 }, state: [Buffer.from('ours')] });
    await theirs.save({ positions: { 'logs/0': 2 }, state: [Buffer.from('theirs')] });
    await ours.save({ positions: { 'logs/0': 3 }, state: [Buffer.from('ours again')] });
    await Promise.all([ours.close?.(), theirs.close?.()]);
    const [again, other] = [store(topic), store(topic, 'shop/part')];
    expect((await again.load())?.positions).toEqual({ 'logs/0': 3 });
    expect((await other.load())?.positions).toEqual({ 'logs/0': 2 });
    await Promise.all([again.close?.(), other.close?.()]);
  });

  test('of two processes that keep theirs under one group, the one that comes to save second is stopped, and says why', async () => {
    const topic = await stateTopic();
    const [first, second] = [store(topic), store(topic)];
    await first.save({ positions: { 'logs/0': 1 }, state: [Buffer.from('first')] });
    await second.load();
    await second.save({ positions: { 'logs/0': 2 }, state: [Buffer.from('second')] });
    const save = first.save({ positions: { 'logs/0': 3 }, state: [Buffer.from('third')] });
    await expect(save).rejects.toThrow(CheckpointError);
    await expect(save).rejects.toThrow(
      /another process \(.+, process \d+, .+\) keeps its checkpoints in topic .* under the group shop.*stop one of them/,
    );
    await second.save({ positions: { 'logs/0': 4 }, state: [Buffer.from('fourth')] });
    await Promise.all([first.close?.(), second.close?.()]);
    const again = store(topic);
    expect((await again.load())?.positions).toEqual({ 'logs/0': 4 });
    await again.close?.();
  });

  test('a topic that is not there, and one that is not compacted, are refused with the command that helps', async () => {
    const missing = store(unique('nowhere'));
    const load = missing.load();
    await expect(load).rejects.toThrow(DependencyError);
    await expect(load).rejects.toThrow(/there is no topic nowhere-.*kafka-topics\.sh .*--create.*cleanup\.policy=compact/);
    await missing.close?.();
    const topic = unique('log');
    await running().createTopics({ topic });
    const wrong = store(topic);
    await expect(wrong.load()).rejects.toThrow(
      /cleanup\.policy=delete, which would drop parts.*kafka-configs\.sh .*--add-config cleanup\.policy=compact/,
    );
    await wrong.close?.();
  });

  test('what is stored is as it is pinned: a part by its SHA-256, the manifests in turn, and who wrote them', async () => {
    const topic = await stateTopic();
    const saver = store(topic);
    await saver.save({ positions: {}, state: [Buffer.from('a')] });
    await saver.save({ positions: {}, state: [Buffer.from('a')] });
    await saver.close?.();
    const records = await compacted(running().brokers, topic);
    const a = 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb';
    expect(records.get(`shop/part/${a}`)?.value?.toString()).toBe('a');
    expect([...records.keys()].filter((key) => !key.includes('/part/')).sort()).toEqual(['shop/checkpoint/0', 'shop/checkpoint/1']);
    expect(String(records.get(`shop/part/${a}`)?.headers?.writer)).toMatch(new RegExp(`, process ${process.pid}, [\\da-f]{8}$`));
  });
}
