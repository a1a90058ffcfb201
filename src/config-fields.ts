/** The fields of a config as they were written -> the config as it is used: defaults filled in, connections shared, paths absolute. */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { ConfigFields } from '../schemas/config.ts';
import type { Config, DrainSourceConfig, KafkaConnectionConfig, KafkaSourceConfig, SinkConfig, SourceConfig } from './config-types.ts';

export function configOf(
  fields: ConfigFields,
  file: string | undefined,
  baseDir: string,
  overrideAt: (id: string) => string,
): Omit<Config, 'secretFiles'> {
  const absolute = (path: string) => resolve(baseDir, path);
  const dir = absolute(fields.state.dir);
  const sources = fields.sources === undefined ? defaultDrains : sourcesOf(fields.sources, absolute);
  const shared = sources.find((source) => source.kind === 'kafka');
  const { deadLetter, hashKey, http, overrides, time } = fields;
  return {
    file,
    rules: fields.rules.map((folder) => (folder === 'builtin' ? folder : absolute(folder))),
    sources,
    sinks: sinksOf(fields.sinks, shared, absolute) ?? [{ kind: 'file', path: join(dir, 'findings.jsonl') }],
    state: { dir, ...stateInKafka(fields.state.kafka, shared, absolute) },
    deadLetter:
      deadLetter?.kafka === undefined
        ? { kind: 'file', path: deadLetter?.file === undefined ? join(dir, 'dead-letter.jsonl') : absolute(deadLetter.file) }
        : { kind: 'kafka', topic: deadLetter.kafka.topic, ...connectionOf({ driver: 'auto', ...deadLetter.kafka }, shared, absolute) },
    hashKey: hashKey?.map(hashKeyBytes),
    memoryBytes: fields.memory,
    http: { ...http.listen, maxConnections: http.maxConnections, timeoutMs: http.timeout },
    overrides: Object.fromEntries(
      Object.entries(overrides).map(([id, { mute, ...rest }]) => [
        id,
        { ...rest, ...(mute === undefined ? {} : { muteMs: mute }), at: overrideAt(id) },
      ]),
    ),
    fields: fields.fields,
    extractors: fields.extractors,
    time: { latenessMs: time.lateness, idleMs: time.idle, futureSkewMs: time.futureSkew },
  };
}

/** Where nothing is configured, what can be sent to: this machine alone can reach them. */
const defaultDrains: readonly DrainSourceConfig[] = [
  { kind: 'drain', path: '/drain/logplex', credentials: [], dataset: 'heroku', to: 'engine' },
  { kind: 'drain', path: '/v1/logs', credentials: [], dataset: 'app', to: 'engine' },
  { kind: 'drain', path: '/drain/json', credentials: [], dataset: 'app', to: 'engine' },
];

type SourceFields = NonNullable<ConfigFields['sources']>[number];
type SinkFields = NonNullable<ConfigFields['sinks']>[number];
type Absolute = (path: string) => string;

/** The connection of the first Kafka source is for whoever has none of its own. */
function sourcesOf(sources: readonly SourceFields[], absolute: Absolute): SourceConfig[] {
  const kafka = sources.find((source) => source.kafka !== undefined)?.kafka;
  const shared = kafka && connectionOf(kafka, undefined, absolute);
  return sources.map((source) => sourceOf(source, shared, absolute));
}

function sourceOf({ kafka, drain, file }: SourceFields, shared: KafkaConnectionConfig | undefined, absolute: Absolute): SourceConfig {
  if (kafka !== undefined) {
    const { topics, group, instanceId, protocol, dataset, format } = kafka;
    const from = typeof kafka.from === 'string' ? kafka.from : { timestampMs: kafka.from.timestamp };
    return { kind: 'kafka', ...connectionOf(kafka, undefined, absolute), topics, group, instanceId, protocol, from, dataset, format };
  }
  if (drain !== undefined) {
    const { path, kind: posts, credentials = [], dataset, rate: rateBytesPerSecond, maxBody: maxBodyBytes } = drain;
    const common = { kind: 'drain', path, posts, credentials, dataset, rateBytesPerSecond, maxBodyBytes } as const;
    if (drain.to === 'engine') return { ...common, to: 'engine' };
    const { kafka: behind } = drain.to;
    return { ...common, to: { topic: behind.topic, ...connectionOf({ driver: 'auto', ...behind }, shared, absolute) } };
  }
  if (file === undefined) throw new Error('a source of no kind passed its schema');
  const { path, follow, format, dataset } = file;
  const paths = (typeof path === 'string' ? [path] : path).map((each) => (each === '-' ? each : absolute(each)));
  return { kind: 'file', paths, follow, format, dataset };
}

function sinksOf(
  fields: ConfigFields['sinks'],
  shared: KafkaConnectionConfig | undefined,
  absolute: Absolute,
): readonly SinkConfig[] | undefined {
  const topic = fields?.find(({ kafka }) => kafka !== undefined)?.kafka;
  const log = topic && { topic: topic.topic, ...connectionOf(topic, shared, absolute) };
  return fields?.map(({ kafka, loki, file }): SinkConfig => {
    if (kafka !== undefined) return { kind: 'kafka', topic: kafka.topic, ...connectionOf(kafka, shared, absolute) };
    if (file !== undefined) return { kind: 'file', path: absolute(file.path) };
    if (loki === undefined) return { kind: 'stdout' };
    const { url, labels, tenant, auth, token, maxAge, group } = loki;
    return { kind: 'loki', url, labels, tenant, auth, token, maxAgeMs: maxAge, from: log && { ...log, group } };
  });
}

/** Beside its source's group, a deployment needs no name of its own. */
function stateInKafka(
  fields: ConfigFields['state']['kafka'],
  shared: KafkaSourceConfig | undefined,
  absolute: Absolute,
): Pick<Config['state'], 'kafka'> {
  if (fields === undefined) return {};
  const group = ('group' in fields ? fields.group : undefined) ?? shared?.group ?? 'streamgauge';
  return { kafka: { topic: fields.topic, group, ...connectionOf({ driver: 'auto', ...fields }, shared, absolute) } };
}

type ConnectionFields = Pick<NonNullable<SinkFields['kafka']>, 'driver' | 'sasl' | 'tls' | 'clientId'> & { brokers?: string[] };

/** A connection of its own; without brokers that of the first Kafka source. */
function connectionOf(fields: ConnectionFields, shared: KafkaConnectionConfig | undefined, absolute: Absolute): KafkaConnectionConfig {
  if (fields.brokers === undefined && shared !== undefined) {
    const { brokers, driver, clientId, sasl, tls } = shared;
    return { brokers, driver, clientId, sasl, tls };
  }
  const { brokers = [], driver, clientId, sasl, tls } = fields;
  const pem = (text: string | undefined) => (text === undefined || text.includes('-----BEGIN') ? text : absolute(text));
  const resolved =
    typeof tls === 'object' ? { ...tls, ca: pem(tls.ca), cert: pem(tls.cert), key: tls.key?.map((key) => pem(key) ?? '') } : tls;
  return { brokers, driver, clientId, sasl, tls: resolved };
}

/** 16 hexadecimal digits are the key itself; any other text gives the first 8 bytes of its SHA-256. */
function hashKeyBytes(text: string): Uint8Array {
  const bytes = /^[\da-f]{16}$/i.test(text) ? Buffer.from(text, 'hex') : createHash('sha256').update(text).digest().subarray(0, 8);
  return new Uint8Array(bytes);
}
