/** The doctor's checks of Kafka: reach, authenticate, topics, retention against what was asked for. */
import type { Logger } from 'pino';
import type { KafkaConnectionConfig, KafkaSourceConfig } from '../config.ts';
import { createKafka, kafkaError } from '../source/kafka/kafka-client.ts';
import { isPattern, patternOf } from '../source/kafka/kafka-topics.ts';
import { connectionOf } from '../wiring.ts';
import type { Check } from './doctor.ts';

/** History that windows of a day and a restart need; a topic that keeps less is worth a word. */
const shortRetentionMs = 24 * 3_600_000;

export const kafkaChecks = {
  source: (config: KafkaSourceConfig, log: Logger): Check[] =>
    config.topics.map((topic) => ({
      what: `kafka ${config.brokers.join(',')}: read ${topic}`,
      run: () =>
        withAdmin(config, log, `look at topic ${topic}`, async (admin) => {
          const names = isPattern(topic) ? await matching(admin, topic) : [topic];
          const remarks: string[] = [];
          for (const name of names) {
            if (name === topic) await mustExist(admin, topic);
            await admin.fetchTopicOffsets(name);
            await admin.fetchOffsets({ groupId: config.group, topics: [name] });
            const remark = await retentionRemark(admin, name);
            if (remark !== undefined) remarks.push(name === topic ? remark : `${name}: ${remark}`);
          }
          return remarks.length > 0 ? remarks.join('; ') : undefined;
        }),
    })),
  topicToWrite: (config: KafkaConnectionConfig & { readonly topic: string }, log: Logger, what: string): Check[] => [
    {
      what: `kafka ${config.brokers.join(',')}: write ${what} to ${config.topic}`,
      run: () =>
        withAdmin(config, log, `look at topic ${config.topic}`, async (admin) => {
          await mustExist(admin, config.topic);
          return undefined;
        }),
    },
  ],
};

/** Kafka's number for a topic among the things that have configs; kafkajs' own enum cannot be imported by name from ESM. */
const topicResource = 2;

type Admin = ReturnType<ReturnType<typeof createKafka>['admin']>;

async function withAdmin<T>(config: KafkaConnectionConfig, log: Logger, tried: string, task: (admin: Admin) => Promise<T>): Promise<T> {
  const connection = connectionOf(config, log);
  const admin = createKafka(connection).admin();
  try {
    await admin.connect();
    return await task(admin);
  } catch (error) {
    throw kafkaError(connection, tried, error);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

async function mustExist(admin: Admin, topic: string): Promise<void> {
  const topics = await admin.listTopics();
  if (!topics.includes(topic)) throw new Error(`expected a topic ${topic}, found none of that name; create it, or correct the config`);
}

async function matching(admin: Admin, pattern: string): Promise<string[]> {
  const expression = patternOf(pattern);
  const names = (await admin.listTopics()).filter((name) => expression.test(name)).sort();
  if (names.length === 0) throw new Error(`expected topics that match ${pattern}, found none; create one, or correct the config`);
  return names;
}

async function retentionRemark(admin: Admin, topic: string): Promise<string | undefined> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: topicResource, name: topic, configNames: ['retention.ms', 'cleanup.policy'] }],
  });
  const retention = Number(resources[0]?.configEntries.find(({ configName }) => configName === 'retention.ms')?.configValue ?? -1);
  if (retention < 0 || retention >= shortRetentionMs) return undefined;
  return `retention.ms is ${retention}: after an outage longer than that records are gone before they are read`;
}
