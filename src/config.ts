/**
 * Reads and validates the config, once; the only reader of the environment. Every mistake is told at once, and nothing starts with one.
 * Relative paths begin at the config file's folder, or at the working folder where there is no file.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { RuleStatus, Severity } from '../processors/rule.ts';
import { type ConfigFields, configSchema, notYetInConfig } from '../schemas/config.ts';
import type { DetectOverride } from '../schemas/detect.ts';
import { byLine, lineOf, problemOf, readYaml, validate, type YamlText } from '../schemas/document.ts';
import { type Fault, type Path, valueAt } from '../schemas/issues.ts';
import type { Secret } from '../schemas/secret.ts';
import { UsageError } from './errors.ts';
import { type Environment, Interpolation } from './interpolate.ts';

export { Secret } from '../schemas/secret.ts';

/** All durations in ms, all sizes in bytes, all paths absolute. Printing it, or writing it as JSON, shows `[secret]` for secrets. */
export interface Config {
  /** Where it was read; undefined for the defaults. */
  readonly file: string | undefined;
  /** The files of `${file:…}`, absolute. */
  readonly secretFiles: readonly string[];
  /** Folders, `builtin` as it stands. */
  readonly rules: readonly string[];
  readonly sources: readonly SourceConfig[];
  readonly sinks: readonly SinkConfig[];
  readonly state: {
    readonly dir: string;
    /** Where checkpoints are kept instead. */
    readonly kafka?: { readonly topic: string; readonly group: string } & KafkaConnectionConfig;
  };
  readonly deadLetter:
    | { readonly kind: 'file'; readonly path: string }
    | ({ readonly kind: 'kafka'; readonly topic: string } & KafkaConnectionConfig);
  /** 8 bytes; undefined: the published key. */
  readonly hashKey: Secret<Uint8Array> | undefined;
  readonly memoryBytes: number;
  readonly http: { readonly host: string; readonly port: number; readonly maxConnections: number; readonly timeoutMs: number };
  readonly overrides: Readonly<Record<string, RuleOverride>>;
  /** Sender's name (and a form, `took|ms`) -> field. */
  readonly fields: Readonly<Record<string, string>>;
  readonly extractors: readonly ExtractorConfig[];
  readonly time: { readonly latenessMs: number; readonly idleMs: number; readonly futureSkewMs: number };
}

export interface KafkaConnectionConfig {
  readonly brokers: readonly string[];
  readonly driver: 'auto' | 'kafkajs' | 'rdkafka';
  readonly clientId?: string;
  readonly sasl?:
    | { readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: Secret<string> }
    | {
        readonly mechanism: 'oauthbearer';
        readonly tokenEndpoint: string;
        readonly clientId: string;
        readonly clientSecret: Secret<string>;
        readonly scope?: string;
      };
  /** PEM text, or the path of a PEM file. */
  readonly tls?: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: Secret<string>; readonly servername?: string };
}

export interface KafkaSourceConfig extends KafkaConnectionConfig {
  readonly kind: 'kafka';
  /** Names, or `/patterns/`. */
  readonly topics: readonly string[];
  readonly group: string;
  readonly instanceId?: string;
  readonly protocol?: 'classic' | 'consumer';
  readonly from: 'committed' | 'earliest' | 'latest' | { readonly timestampMs: number };
  readonly dataset: string;
  readonly format: string;
}

export interface DrainSourceConfig {
  readonly kind: 'drain';
  readonly path: string;
  /** What is posted; undefined: the path says it. */
  readonly posts?: 'logplex' | 'json' | 'otlp';
  /** `user:password`; none: everybody may send. */
  readonly credentials: readonly Secret<string>[];
  readonly dataset: string;
  /** What stands behind it: a journal that the engine reads, or a topic. */
  readonly to: 'engine' | ({ readonly topic: string } & KafkaConnectionConfig);
  /** Of each sender; undefined: no limit. */
  readonly rateBytesPerSecond?: number;
  /** Of a body as it is sent; undefined: as its kind has it. */
  readonly maxBodyBytes?: number;
}

export interface FileSourceConfig {
  readonly kind: 'file';
  /** Paths or globs; `-` is standard input. */
  readonly paths: readonly string[];
  readonly follow: boolean;
  readonly format: string;
  readonly dataset: string;
}

export type SourceConfig = KafkaSourceConfig | DrainSourceConfig | FileSourceConfig;

export interface LokiSinkConfig {
  readonly kind: 'loki';
  readonly url: string;
  readonly labels: { readonly app?: string; readonly env?: string };
  readonly tenant?: string;
  readonly auth?: { readonly username: string; readonly password: Secret<string> };
  readonly token?: Secret<string>;
  readonly maxAgeMs: number;
  /** Findings are shipped from the topic of the first Kafka sink as this group; undefined: there is none, they wait in the state folder. */
  readonly from?: { readonly topic: string; readonly group: string } & KafkaConnectionConfig;
}

export type SinkConfig =
  | LokiSinkConfig
  | ({ readonly kind: 'kafka'; readonly topic: string } & KafkaConnectionConfig)
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdout' };

export interface RuleOverride {
  readonly severity?: Severity;
  readonly muteMs?: number;
  readonly status?: RuleStatus;
  readonly detect?: DetectOverride;
  /** `file:line` where it stands. */
  readonly at?: string;
}

export interface ExtractorConfig {
  readonly name: string;
  readonly dataset?: string;
  readonly pattern: string;
  /** Named group -> field; every group of the pattern is there. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What the image or package was built from, where its builder said so. */
export function buildOf(env: Environment = process.env): { readonly commit: string; readonly builtAt: string } {
  return { commit: env.STREAMGAUGE_COMMIT ?? 'unknown', builtAt: env.STREAMGAUGE_BUILT_AT ?? 'unknown' };
}

const defaultFile = 'streamgauge.yaml';

/**
 * Reads the config at `path`; without one `streamgauge.yaml` of the working folder if there is one, else the defaults. Throws
 * `UsageError` with every mistake.
 */
export async function loadConfig(path: string | undefined, env: Environment = process.env): Promise<Config> {
  const file = path ?? (existsSync(defaultFile) ? defaultFile : undefined);
  if (file === undefined) return parseConfig('{}', undefined, env);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError([`${file}: expected a config that can be read, found: ${(error as Error).message}`]);
  }
  return parseConfig(text, file, env);
}

/** The same of a text; `file` names it in mistakes and says where relative paths begin. */
export function parseConfig(text: string, file: string | undefined, env: Environment): Config {
  const baseDir = file === undefined ? process.cwd() : dirname(resolve(file));
  const interpolation = new Interpolation(file ?? 'defaults', env, baseDir);
  // A file of comments alone is a config that says nothing.
  const yaml = readYaml(text, file ?? 'defaults', (document, lineAt) => interpolation.fill(document, lineAt));
  if (yaml.value === undefined) throw new UsageError(yaml.problems);
  const given: YamlText = yaml.value === null ? { ...yaml, value: {} } : yaml;
  const secret = (at: Path) => interpolation.filled.has(valueAt(given.value, at)) || at.some((step) => secretNames.has(String(step)));
  const { data, problems } = validate(configSchema, given, { secret, told: (at) => interpolation.failed.has(valueAt(given.value, at)) });
  problems.unshift(...yaml.problems);
  if (data !== undefined) {
    for (const fault of [...faultsBetween(data), ...notYetInConfig(data)]) problems.push(problemOf(given, fault));
  }
  if (data === undefined || problems.length > 0) throw new UsageError(byLine(problems));
  const config = configOf(data, file, baseDir, (id) => `${given.file}:${lineOf(given, ['overrides', id], 'key')}`);
  return { ...config, secretFiles: [...interpolation.files] };
}

/** Never shown, wherever they were written. */
const secretNames = new Set(['password', 'clientSecret', 'credentials', 'hashKey', 'token', 'key', 'auth']);

/** What one part asks of another. */
function faultsBetween(fields: ConfigFields): Fault[] {
  const faults: Fault[] = [];
  const sources = fields.sources ?? [];
  const drains = new Map<string, number>();
  const open = !isLoopback(fields.http.listen.host);
  const openDrain = 'expected credentials, because http.listen is not this machine alone (an empty list lets everybody send), found none';
  if (fields.sources === undefined && open) faults.push({ path: ['sources'], text: openDrain });
  for (const [index, { kafka, drain }] of sources.entries()) {
    const path = ['sources', index];
    if (kafka !== undefined && kafka.brokers === undefined) {
      faults.push({ path: [...path, 'kafka', 'brokers'], text: 'expected a list of brokers such as ["kafka:9092"], found nothing' });
    }
    for (const name of ['instanceId', 'protocol'] as const) {
      if (kafka?.driver !== 'kafkajs' || kafka[name] === undefined || kafka[name] === 'classic') continue;
      faults.push({
        path: [...path, 'kafka', name],
        text: `expected driver rdkafka or auto with \`${name}\`, found kafkajs, which has it not`,
      });
    }
    if (drain === undefined) continue;
    if (drains.has(drain.path)) {
      faults.push({
        path: [...path, 'drain', 'path'],
        text: `expected a path of its own, found that of sources[${drains.get(drain.path)}] again`,
      });
    }
    drains.set(drain.path, index);
    if (open && drain.credentials === undefined) faults.push({ path: [...path, 'drain', 'credentials'], text: openDrain });
  }
  faults.push(...lokiGroupsShared(fields));
  if (sources.some(({ kafka }) => kafka !== undefined)) return faults;
  const lacking = 'expected brokers, because there is no Kafka source whose connection it could take, found none';
  for (const [index, { drain }] of sources.entries()) {
    if (drain === undefined || drain.to === 'engine') continue;
    if (!('brokers' in drain.to.kafka && drain.to.kafka.brokers)) {
      faults.push({ path: ['sources', index, 'drain', 'to', 'kafka'], text: lacking });
    }
  }
  for (const [index, { kafka }] of (fields.sinks ?? []).entries()) {
    if (kafka !== undefined && kafka.brokers === undefined) faults.push({ path: ['sinks', index, 'kafka'], text: lacking });
  }
  const stateKafka = fields.state.kafka;
  if (stateKafka !== undefined && !('brokers' in stateKafka && stateKafka.brokers))
    faults.push({ path: ['state', 'kafka'], text: lacking });
  const { kafka } = fields.deadLetter ?? {};
  if (kafka !== undefined && !('brokers' in kafka && kafka.brokers)) faults.push({ path: ['deadLetter', 'kafka'], text: lacking });
  return faults;
}

/** Two sinks in one group would get half of the findings each. */
function lokiGroupsShared({ sinks = [] }: ConfigFields): Fault[] {
  const seen = new Map<string, number>();
  return sinks.flatMap(({ loki }, index): Fault[] => {
    if (loki === undefined) return [];
    const before = seen.get(loki.group);
    if (before === undefined) seen.set(loki.group, index);
    return before === undefined
      ? []
      : [{ path: ['sinks', index, 'loki'], text: `expected a \`group\` of its own, found that of sinks[${before}]: "${loki.group}"` }];
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function configOf(
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
