/** What all that speaks to Kafka shares: how kafkajs connects, where its log goes, and what an error means, of either client. */
import { readFileSync } from 'node:fs';
import {
  type Cluster,
  type Consumer,
  type ConsumerConfig,
  Kafka,
  type KafkaConfig,
  logLevel,
  type PartitionAssigner,
  PartitionAssigners,
  type SASLOptions,
} from 'kafkajs';
import type { Logger } from 'pino';
import { DependencyError } from '../../errors.ts';
import { registerCodecs } from './kafka-codecs.ts';
import { type KafkaOauth, tokensOf } from './kafka-oauth.ts';

export interface KafkaPassword {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

export type KafkaSasl = KafkaPassword | KafkaOauth;

/** `ca`, `cert` and `key`: PEM text, or the path of a PEM file. */
export interface KafkaTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** What each is, and which is taken where: `kafka-driver.ts`. */
export type KafkaDriver = 'kafkajs' | 'rdkafka';
export type KafkaDriverWish = 'auto' | KafkaDriver;

export interface KafkaConnection {
  readonly brokers: readonly string[];
  /** Default: `auto`. */
  readonly driver?: KafkaDriverWish;
  readonly sasl?: KafkaSasl;
  /** True: TLS with the system's certificates. */
  readonly tls?: boolean | KafkaTls;
  readonly clientId?: string;
  /** The client's own log goes here at debug. */
  readonly log?: Logger;
  /** How long a first connection is tried, ms; default 15 s. */
  readonly connectForMs?: number;
  /** How long an outage of a connection that once stood is sat out, ms; default 5 min. */
  readonly outageForMs?: number;
}

export const connectForMsDefault = 15_000;
export const outageForMsDefault = 300_000;

/**
 * A kafkajs client. Its inner retries are short, because the bound is ours: an operation gives up within a few seconds and the caller
 * tries again until its own deadline. Throws a DependencyError if a PEM file cannot be read.
 */
export function createKafka(connection: KafkaConnection): Kafka {
  registerCodecs();
  const log = connection.log;
  const config: KafkaConfig = {
    clientId: connection.clientId ?? 'streamgauge',
    brokers: [...connection.brokers],
    connectionTimeout: 3_000,
    authenticationTimeout: 5_000,
    requestTimeout: 30_000,
    // How long before a login expires it is renewed, so that also one of some seconds is not renewed with every request.
    reauthenticationThreshold: 2_000,
    retry: { retries: 4, initialRetryTime: 200, maxRetryTime: 2_000 },
    // Everything at debug: kafkajs logs as errors what its own retries resolve (a coordinator that is still loading, a rebalance).
    // What lasts reaches the user as a DependencyError and through `health()`.
    logLevel: log?.isLevelEnabled('debug') ? logLevel.DEBUG : logLevel.NOTHING,
    logCreator:
      () =>
      ({ namespace, log: { message, ...rest } }) =>
        log?.debug({ kafkajs: namespace, ...rest }, message),
  };
  if (connection.sasl) config.sasl = saslOf(connection.sasl);
  if (connection.tls) config.ssl = connection.tls === true ? true : tlsOf(connection.tls);
  return new Kafka(config);
}

/**
 * A consumer, and the cluster connection it uses. kafkajs hands that connection to partition assigners, and it is the only public way
 * to fetch, or to look up offsets, without a group: a consumer that is never run is just such a connection.
 */
export function createConsumer(kafka: Kafka, config: ConsumerConfig): { consumer: Consumer; cluster: Cluster } {
  let cluster: Cluster | undefined;
  const assigner: PartitionAssigner = (context) => {
    cluster = context.cluster;
    return PartitionAssigners.roundRobin(context);
  };
  const consumer = kafka.consumer({ ...config, allowAutoTopicCreation: false, partitionAssigners: [assigner] });
  if (!cluster) throw new Error('kafkajs did not hand its cluster to the partition assigner: only 2.2.4 is supported');
  return { consumer, cluster };
}

/** Whether trying again can help: not for a refused password, a right that is missing, a codec or certificate, or a bug of ours. */
export function mayRecover(error: unknown): boolean {
  const root = rootCause(error);
  if (!(root instanceof Error)) return false;
  if (root instanceof TypeError || root instanceof RangeError) return false;
  if (hopeless.has(root.name)) return /closed connection|ECONN|timed? ?out/i.test(root.message);
  const type = errorType(root) ?? '';
  return !type.endsWith('AUTHORIZATION_FAILED') && !hopelessTypes.has(type) && !/certificate|wrong version number/i.test(root.message);
}

const hopelessTypes = new Set([
  'INVALID_TOPIC_EXCEPTION',
  'MESSAGE_TOO_LARGE',
  'FENCED_INSTANCE_ID',
  'UNSUPPORTED_VERSION',
  '_UNSUPPORTED_FEATURE',
  '_NOT_IMPLEMENTED',
]);
const hopeless = new Set(['KafkaJSSASLAuthenticationError', 'KafkaJSNotImplemented', 'KafkaJSServerDoesNotSupportApiKey', 'OauthRefusal']);

/**
 * Runs `attempt` until it succeeds, with backoff from 100 ms to 5 s between attempts, for at most `forMs` (the last attempt may outlast it
 * by the client's own few seconds). Rejects with a DependencyError; at once where trying again cannot help.
 */
export async function persist<T>(
  connection: KafkaConnection,
  tried: string,
  forMs: number,
  attempt: () => Promise<T>,
  onRetry?: (error: unknown) => void,
): Promise<T> {
  const deadlineMs = performance.now() + forMs;
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof DependencyError) throw error;
      if (!mayRecover(error) || performance.now() + waitMs > deadlineMs) throw kafkaError(connection, tried, error);
      onRetry?.(error);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}

/** The protocol's name of an error (`REBALANCE_IN_PROGRESS`), where it has one. */
export function errorType(error: unknown): string | undefined {
  const root = rootCause(error);
  return typeof root === 'object' && root !== null && 'type' in root && typeof root.type === 'string' ? root.type : undefined;
}

/** kafkajs wraps an error once per retry loop it went through. */
export function rootCause(error: unknown): unknown {
  let at = error;
  for (let depth = 0; depth < 10 && at instanceof Error && at.cause instanceof Error; depth++) at = at.cause;
  return at;
}

/** A DependencyError that says broker, what was tried, what came of it, and what to do next. */
export function kafkaError(connection: KafkaConnection, tried: string, error: unknown): DependencyError {
  const root = rootCause(error);
  const found = root instanceof Error ? root.message : String(root);
  const next = nextStep(root, found, connection.sasl?.mechanism === 'oauthbearer');
  return new DependencyError(`Kafka at ${connection.brokers.join(', ')}: could not ${tried}: ${found}; ${next}`, { cause: error });
}

function nextStep(error: unknown, message: string, oauth: boolean): string {
  const name = error instanceof Error ? error.name : '';
  const type = errorType(error) ?? '';
  if (name === 'OauthRefusal') return 'check sasl.tokenEndpoint, sasl.clientId, sasl.clientSecret and sasl.scope';
  if (oauth && message.startsWith('token endpoint')) return 'check sasl.tokenEndpoint, and that it can be reached from here';
  // kafkajs takes the broker's "no" (RFC 7628, 3.2.2) for a yes, and is told with its next request.
  if (oauth && (name === 'KafkaJSSASLAuthenticationError' || type === 'ILLEGAL_SASL_STATE')) {
    return 'check that the broker takes OAUTHBEARER tokens of sasl.tokenEndpoint with this sasl.scope, and that both clocks agree';
  }
  if (name === 'KafkaJSSASLAuthenticationError') return 'check sasl.mechanism, sasl.username and sasl.password';
  if (type.endsWith('AUTHORIZATION_FAILED')) return 'give this user the right in the ACLs of the cluster';
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION') return 'create the topic, or correct its name in the config';
  if (name === 'KafkaJSNotImplemented' && /compression/i.test(message)) {
    return 'have the producer use gzip, snappy, lz4, zstd or none';
  }
  if (/certificate|SSL|TLS|wrong version number/i.test(message)) return 'check tls.ca, and that this listener speaks TLS';
  if (type === 'INCONSISTENT_GROUP_PROTOCOL') {
    return 'members of this group use another driver or protocol: stop them first, or give the same `driver` and `protocol` to all';
  }
  if (type === 'UNSUPPORTED_VERSION' || type === '_UNSUPPORTED_FEATURE')
    return 'the broker does not know this protocol: use `protocol: classic`';
  if (type === '_NOT_IMPLEMENTED') {
    return "this librdkafka was built without that compression (zstd needs libzstd's headers): `npm rebuild node-rdkafka`, or use `driver: kafkajs`";
  }
  if (type === 'FENCED_INSTANCE_ID') return 'another member of this group has this `instanceId`: give each its own';
  if (type === 'UNRELEASED_INSTANCE_ID') {
    return 'a process that was killed is let go when its session ends (group.consumer.session.timeout.ms of the broker, 45 s by default); one that runs needs another `instanceId`';
  }
  if (type === '_FATAL') return "see the broker's log, and librdkafka's with `--log-level debug`";
  if (type === 'MESSAGE_TOO_LARGE') return "raise the topic's max.message.bytes";
  return 'check `brokers` in the config, that the broker runs, and that its advertised.listeners can be reached from here';
}

function saslOf(sasl: KafkaSasl): SASLOptions {
  if (sasl.mechanism === 'oauthbearer') {
    const tokens = tokensOf(sasl);
    return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: (await tokens.token()).value }) };
  }
  const { username, password } = sasl;
  return { mechanism: sasl.mechanism, username, password } as SASLOptions;
}

function tlsOf(tls: KafkaTls): NonNullable<Exclude<KafkaConfig['ssl'], boolean>> {
  return {
    ...(tls.ca === undefined ? {} : { ca: [pem('tls.ca', tls.ca)] }),
    ...(tls.cert === undefined ? {} : { cert: pem('tls.cert', tls.cert) }),
    ...(tls.key === undefined ? {} : { key: pem('tls.key', tls.key) }),
    ...(tls.servername === undefined ? {} : { servername: tls.servername }),
  };
}

/** PEM text, from a file where it is a path. Throws a DependencyError. */
export function pem(name: string, value: string): string {
  if (value.includes('-----BEGIN')) return value;
  try {
    return readFileSync(value, 'utf8');
  } catch (error) {
    throw new DependencyError(`${name}: expected PEM text or the path of a PEM file, could not read ${value}`, { cause: error });
  }
}
