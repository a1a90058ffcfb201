/** Config -> the parts it names: which implementation stands behind each contract is decided here and nowhere else. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { PipelineOptions } from '../processors/pipeline.ts';
import { publishedHashKey } from '../processors/sketch/hash.ts';
import type { CheckpointStore } from './checkpoint/checkpoint.ts';
import { createLocalCheckpoints } from './checkpoint/local.ts';
import { createTopicCheckpoints } from './checkpoint/topic.ts';
import type { Config, KafkaConnectionConfig, LokiSinkConfig, SinkConfig, SourceConfig } from './config.ts';
import type { ServerLimits } from './http/server.ts';
import { LiveCredentials } from './live-credentials.ts';
import { createDeadLetterFile, type DeadLetter } from './sink/dead-letter.ts';
import { createQueueLog, createTopicLog, type FindingLog } from './sink/finding-log.ts';
import { KafkaSink } from './sink/kafka.ts';
import { KafkaDeadLetter } from './sink/kafka-dead-letter.ts';
import { LokiWriter } from './sink/loki.ts';
import { LokiShipper } from './sink/loki-shipper.ts';
import { createFileSink, createStdoutSink } from './sink/ndjson.ts';
import type { Sink } from './sink/sink.ts';
import { createDrain } from './source/drain/http-drain.ts';
import { createFileSource } from './source/file/file.ts';
import { createStdinSource } from './source/file/stdin.ts';
import { KafkaSource, type OffsetGap } from './source/kafka/kafka.ts';
import type { KafkaConnection, KafkaSasl } from './source/kafka/kafka-client.ts';
import { KafkaDrain } from './source/kafka/kafka-drain.ts';
import type { Source } from './source/source.ts';

/** Opens what has to be opened to exist (a drain's journal). */
export async function sourceOf(
  config: SourceConfig,
  { state: { dir: stateDir }, http }: Pick<Config, 'state' | 'http'>,
  log: Logger,
  credentials?: LiveCredentials,
): Promise<Source> {
  switch (config.kind) {
    case 'kafka': {
      const { topics, group, instanceId, protocol, from, dataset, format } = config;
      const onGap = (gap: OffsetGap) => log[gap.kind === 'skipped' ? 'debug' : 'warn'](gap, 'offsets are missing');
      return new KafkaSource({ ...connectionOf(config, log), topics, group, instanceId, protocol, from, dataset, format, onGap });
    }
    case 'drain': {
      const { path, posts: kind, dataset, rateBytesPerSecond: rate, maxBodyBytes, to } = config;
      const options = {
        ...{ path, kind, dataset, maxBodyBytes, log, bodyTimeoutMs: http.timeoutMs },
        credentials: (credentials ?? new LiveCredentials([config])).of(path),
        // A second's worth at once: a batch is one burst.
        rate: rate === undefined ? undefined : { bytesPerSecond: rate, burstBytes: rate },
      };
      if (to === 'engine') return createDrain({ ...options, stateDir });
      return new KafkaDrain({ ...options, kafka: { ...connectionOf(to, log), topic: to.topic } });
    }
    case 'file': {
      const { paths, follow, format, dataset } = config;
      if (paths.includes('-')) return createStdinSource({ dataset, format });
      const identityFile = follow ? join(stateDir, `followed-${shortHash(paths.join('\n'))}.json`) : undefined;
      return createFileSource({ path: paths, follow, format, dataset, identityFile });
    }
  }
}

export function limitsOf({ http: { maxConnections, timeoutMs } }: Pick<Config, 'http'>): ServerLimits {
  return { maxConnections, headersTimeoutMs: timeoutMs, requestTimeoutMs: 3 * timeoutMs };
}

export function sinkOf(config: SinkConfig, stateDir: string, log: Logger): Sink {
  switch (config.kind) {
    case 'kafka':
      return new KafkaSink({ ...connectionOf(config, log), topic: config.topic });
    case 'file':
      return createFileSink({ path: config.path, warn: (message) => log.warn(message) });
    case 'stdout':
      return createStdoutSink();
    case 'loki':
      return new LokiShipper({
        log: findingLogOf(config, stateDir, log),
        writer: lokiWriterOf(config, log),
        labels: config.labels,
        logger: log,
      });
  }
}

export function lokiWriterOf({ url, tenant, auth, token, maxAgeMs }: LokiSinkConfig, log: Logger): LokiWriter {
  return new LokiWriter({
    url,
    tenant,
    auth: auth && { username: auth.username, password: auth.password.reveal() },
    token: token?.reveal(),
    maxAgeMs,
    onDrop: (dropped) => log.warn({ sink: `loki:${url}`, ...dropped }, 'Loki will not have these findings'),
  });
}

/** The topic that findings go to anyway; without one a queue for each Loki and tenant. */
function findingLogOf({ from, url, tenant }: LokiSinkConfig, stateDir: string, log: Logger): FindingLog {
  if (from !== undefined) return createTopicLog({ ...connectionOf(from, log), topic: from.topic, group: from.group });
  return createQueueLog({ dir: join(stateDir, 'loki', shortHash(`${url}\n${tenant ?? ''}`)), warn: (message) => log.warn(message) });
}

export function deadLetterOf(config: Config['deadLetter'], log: Logger): DeadLetter {
  if (config.kind === 'file') return createDeadLetterFile({ path: config.path });
  return new KafkaDeadLetter({ ...connectionOf(config, log), topic: config.topic });
}

/** State of another hash key cannot be merged with ours, so the key is part of whose state it is. */
export function checkpointsOf(config: Config, log: Logger): CheckpointStore {
  const identity = shortHash(Buffer.from(config.hashKey?.reveal() ?? publishedHashKey).toString('hex'));
  const { dir, kafka } = config.state;
  const warn = (message: string) => log.warn(message);
  if (kafka === undefined) return createLocalCheckpoints({ dir, identity, warn });
  return createTopicCheckpoints({ ...connectionOf(kafka, log), topic: kafka.topic, group: kafka.group, identity, warn });
}

/** Whether anything is kept in the state folder that two processes must not write: checkpoints, journals, queues. */
export function usesStateFolder({ state, sources, sinks }: Config): boolean {
  return (
    state.kafka === undefined ||
    sources.some((source) => (source.kind === 'drain' && source.to === 'engine') || (source.kind === 'file' && source.follow)) ||
    sinks.some((sink) => sink.kind === 'loki' && sink.from === undefined)
  );
}

export function pipelineOptionsOf(config: Config): PipelineOptions {
  return {
    hashKey: config.hashKey?.reveal(),
    futureSkewMs: config.time.futureSkewMs,
    decode: { fields: config.fields, extractors: config.extractors },
    memoryBytes: config.memoryBytes,
  };
}

export function connectionOf(config: KafkaConnectionConfig, log: Logger): KafkaConnection {
  const { brokers, driver, clientId, sasl, tls } = config;
  return {
    brokers,
    driver,
    clientId,
    sasl: sasl && saslOf(sasl),
    tls: typeof tls === 'object' ? { ...tls, key: tls.key?.reveal() } : tls,
    log,
  };
}

function saslOf(sasl: NonNullable<KafkaConnectionConfig['sasl']>): KafkaSasl {
  if (sasl.mechanism === 'oauthbearer') return { ...sasl, clientSecret: sasl.clientSecret.reveal() };
  return { ...sasl, password: sasl.password.reveal() };
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
