/** What a config says, once it is read. All durations in ms, all sizes in bytes, all paths absolute. */
import type { RuleStatus, Severity } from '../processors/rule.ts';
import type { DetectOverride } from '../schemas/detect.ts';
import type { Secret } from '../schemas/secret.ts';

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
