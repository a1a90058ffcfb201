/** A compacted topic of checkpoints, looked at and changed past the store. */
import type { KafkaMessage, Message } from 'kafkajs';
import { decodeManifest } from '../../src/checkpoint/manifest.ts';
import { hashedParts, refLists } from '../../src/checkpoint/parts.ts';
import { createTopicCheckpoints } from '../../src/checkpoint/topic.ts';
import { TopicRecords } from '../../src/checkpoint/topic-records.ts';
import { KafkaWriter } from '../../src/sink/kafka-writer.ts';
import { TopicTail } from '../../src/sink/topic-tail.ts';
import { createKafka, type KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { CheckpointHarness } from '../contracts/checkpoint-laws.ts';

/** What compaction would leave: the newest record of each key. */
export async function compacted(brokers: readonly string[], topic: string): Promise<Map<string, KafkaMessage>> {
  const tail = new TopicTail(createKafka({ brokers }), topic);
  const newest = new Map<string, KafkaMessage>();
  try {
    await tail.open();
    await tail.goBack(new Map());
    await tail.catchUp((message) => newest.set(String(message.key), message));
  } finally {
    await tail.close();
  }
  return newest;
}

export async function checkpointTopic(brokers: readonly string[], topic: string, driver: KafkaDriver): Promise<CheckpointHarness> {
  const opened: { close?(): Promise<void> }[] = [];
  const writer = new KafkaWriter({ brokers, driver, topic }, 'records');
  opened.push(writer);
  return {
    store({ identity = 'rules 1', warn } = {}) {
      const store = createTopicCheckpoints({ brokers, driver, topic, group: 'law', identity, warn });
      opened.push(store);
      return store;
    },
    async heldBytes() {
      const messages = [...(await compacted(brokers, topic)).values()];
      return messages.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    },
    async saveHalf({ state }) {
      const records = new TopicRecords('law', 'killed');
      const parts = await hashedParts(state);
      await writer.write([...parts, ...(await refLists(parts))].map((part) => records.part(part)));
    },
    async damageNewest(what) {
      const messages = await compacted(brokers, topic);
      const manifests = [...messages].flatMap(([key, { value }]) => {
        const decoded = /^law\/checkpoint\/[01]$/.test(key) && value !== null ? decodeManifest(value) : undefined;
        return decoded?.kind === 'whole' ? [{ key, value: value as Buffer, manifest: decoded.manifest }] : [];
      });
      const [newest] = manifests.sort((a, b) => (b.manifest.number ?? 0) - (a.manifest.number ?? 0));
      const list = `law/part/${Buffer.from(newest.manifest.lists[0].hash, 'latin1').toString('hex')}`;
      const key = what === 'checkpoint' ? newest.key : list;
      const value = Buffer.from(messages.get(key)?.value ?? []);
      value[value.length >> 1] ^= 0x10;
      const message: Message = { key, value, partition: 0 };
      await writer.write([message]);
    },
    async dispose() {
      for (const each of opened) await each.close?.();
    },
  };
}
