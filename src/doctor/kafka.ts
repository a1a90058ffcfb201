/** The doctor's checks of Kafka: reach, authenticate, read, write, and what the topics' settings mean for us. */
import type { Logger } from 'pino';
import type { KafkaConnectionConfig, KafkaSourceConfig } from '../config.ts';
import { DependencyError } from '../errors.ts';
import { createKafka, errorType, kafkaError } from '../source/kafka/kafka-client.ts';
import { chooseDriver } from '../source/kafka/kafka-driver.ts';
import { KafkaReader } from '../source/kafka/kafka-reader.ts';
import { isPattern, patternOf } from '../source/kafka/kafka-topics.ts';
import { connectionOf } from '../wiring.ts';
import type { Check } from './check.ts';
import { newestRecordRemarks } from './clock.ts';
import { type Reach, readRemarks, readSettings, type TopicSettings, writtenSettings } from './topic-remarks.ts';

export interface ReadExpectations {
  readonly reach: Reach | undefined;
  readonly futureSkewMs: number;
}

/** Reads one record of each partition's end: the right to read is tried, not asked for. */
const oneRecordBytes = 64 * 1024;
const fetchWaitMs = 1_000;

export const kafkaChecks = {
  source: (config: KafkaSourceConfig, log: Logger, expected: ReadExpectations): Check[] =>
    config.topics.map((topic) => ({
      what: `kafka ${config.brokers.join(',')}: read ${topic}`,
      run: async () => {
        // Refuses what is asked for and cannot be had, before anything is tried.
        chooseDriver(config.driver, config);
        return withAdmin(config, log, `look at topic ${topic}`, async (admin) => {
          const names = isPattern(topic) ? await matching(admin, topic) : [topic];
          const remarks: string[] = [];
          for (const name of names) {
            if (name === topic) await mustExist(admin, topic);
            await admin.fetchOffsets({ groupId: config.group, topics: [name] });
            const newestMs = await newestRecordMs(config, log, name);
            const found = [
              ...readRemarks(await settingsOf(admin, name, readSettings), expected.reach),
              ...newestRecordRemarks(newestMs, Date.now(), expected.futureSkewMs),
            ];
            remarks.push(...found.map((remark) => (name === topic ? remark : `${name}: ${remark}`)));
          }
          return remarks;
        });
      },
    })),
  topicToWrite: (
    config: KafkaConnectionConfig & { readonly topic: string },
    log: Logger,
    what: string,
    remarks: (settings: TopicSettings) => string[] = () => [],
  ): Check[] => [
    {
      what: `kafka ${config.brokers.join(',')}: write ${what} to ${config.topic}`,
      run: async () => {
        chooseDriver(config.driver, config);
        return withAdmin(config, log, `write to topic ${config.topic}`, async (admin) => {
          await mustExist(admin, config.topic);
          await mayWrite(config, log);
          return remarks(await settingsOf(admin, config.topic, writtenSettings));
        });
      },
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
    throw error instanceof DependencyError ? error : kafkaError(connection, tried, error);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

async function mustExist(admin: Admin, topic: string): Promise<void> {
  const topics = await admin.listTopics();
  if (!topics.includes(topic))
    throw new DependencyError(`expected a topic ${topic}, found none of that name; create it, or correct the config`);
}

async function matching(admin: Admin, pattern: string): Promise<string[]> {
  const expression = patternOf(pattern);
  const names = (await admin.listTopics()).filter((name) => expression.test(name)).sort();
  if (names.length === 0) throw new DependencyError(`expected topics that match ${pattern}, found none; create one, or correct the config`);
  return names;
}

/** Empty where this user may not ask for them: that is no right a run needs. */
async function settingsOf(admin: Admin, topic: string, names: readonly string[]): Promise<TopicSettings> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: topicResource, name: topic, configNames: [...names] }],
    });
    return Object.fromEntries(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? []);
  } catch (error) {
    if (errorType(error)?.endsWith('AUTHORIZATION_FAILED')) return {};
    throw error;
  }
}

/** Timestamp of the newest of the last records of all partitions, NaN where there is none. Rejects where the topic cannot be read. */
async function newestRecordMs(config: KafkaConnectionConfig, log: Logger, topic: string): Promise<number> {
  const reader = new KafkaReader(createKafka(connectionOf(config, log)));
  try {
    await reader.connect([topic]);
    const partitions = reader.partitions(topic).map((partition) => ({ topic, partition }));
    const ends = await reader.offsets(partitions, 'latest');
    const starts = await reader.offsets(partitions, 'earliest');
    let newestMs = Number.NaN;
    for (const { partition } of partitions) {
      const key = `${topic}/${partition}`;
      const end = ends.get(key) ?? 0;
      const hasAny = end > (starts.get(key) ?? 0);
      // An empty one is asked as well, for the right to; there is nothing to wait for.
      const { messages } = await reader.fetch(topic, partition, hasAny ? end - 1 : end, oneRecordBytes, hasAny ? fetchWaitMs : 1);
      for (const { timestamp } of messages) if (!(Number(timestamp) <= newestMs)) newestMs = Number(timestamp);
    }
    return newestMs;
  } finally {
    await reader.disconnect().catch(() => {});
  }
}

/**
 * Whether this user may write, without writing: a produce request with a number of acknowledgements that does not exist. A broker looks at the
 * rights first and at that number next, and appends nothing (`ReplicaManager.appendRecords`).
 */
async function mayWrite(config: KafkaConnectionConfig & { readonly topic: string }, log: Logger): Promise<void> {
  const producer = createKafka(connectionOf(config, log)).producer({ allowAutoTopicCreation: false, retry: { retries: 2 } });
  try {
    await producer.connect();
    await producer.send({ topic: config.topic, acks: 2, messages: [{ value: null }] });
  } catch (error) {
    if (errorType(error) !== 'INVALID_REQUIRED_ACKS') throw error;
  } finally {
    await producer.disconnect().catch(() => {});
  }
}
