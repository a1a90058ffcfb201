/** node-rdkafka: loading it where it was built, its settings from ours, its errors under the protocol's names. */
import { createRequire } from 'node:module';
import { type KafkaConnection, type KafkaSasl, pem } from './kafka-client.ts';
import { tokensOf } from './kafka-oauth.ts';
import { type KafkaSourceOptions, rebalanceTimeoutMsDefault, sessionTimeoutMsDefault, topicRefreshMsDefault } from './kafka-options.ts';

// Types of our own, of what is used: those of the package are not there where it could not be built, and this must compile there too.

export interface RdMessage {
  readonly value: Buffer | null;
  readonly key: Buffer | null;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** -1 where there is none. */
  readonly timestamp: number;
  readonly headers?: readonly Readonly<Record<string, Buffer>>[];
}

export interface RdPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset?: number;
}

export interface RdError {
  readonly code: number;
  readonly message: string;
}

type Done = (error: RdError | null | undefined) => void;

interface RdClient {
  connect(options: { timeout?: number }, done: Done): void;
  disconnect(done?: () => void): void;
  isConnected(): boolean;
  /** Before `connect`, and again when another one is to be used. */
  setOauthBearerToken(token: string): void;
  on(event: 'disconnected', listener: () => void): void;
  on(event: 'event.error', listener: (error: RdError) => void): void;
  on(event: 'event.log', listener: (log: { severity: number; fac: string; message: string }) => void): void;
}

export interface RdConsumer extends RdClient {
  setDefaultConsumeTimeout(ms: number): void;
  subscribe(topics: readonly string[]): void;
  unsubscribe(): void;
  consume(count: number, done: (error: RdError | null, messages?: RdMessage[]) => void): void;
  commit(partitions: readonly RdPartition[]): void;
  incrementalAssign(partitions: readonly RdPartition[]): void;
  incrementalUnassign(partitions: readonly RdPartition[]): void;
  pause(partitions: readonly RdPartition[]): void;
  resume(partitions: readonly RdPartition[]): void;
}

export interface RdProducer extends RdClient {
  disconnect(flushMs?: number | (() => void), done?: () => void): void;
  setPollInterval(ms: number): void;
  produce(
    topic: string,
    partition: number | null,
    value: Buffer | null,
    key: string | Buffer | null,
    timestampMs: number | null,
    opaque: unknown,
    headers?: readonly Record<string, string | Buffer>[],
  ): void;
  on(event: 'disconnected', listener: () => void): void;
  on(event: 'event.error', listener: (error: RdError) => void): void;
  on(event: 'event.log', listener: (log: { severity: number; fac: string; message: string }) => void): void;
  on(event: 'delivery-report', listener: (error: RdError | null, report: RdDelivery) => void): void;
}

export interface RdDelivery {
  readonly partition: number;
  /** Below 0 where it is not known. */
  readonly offset: number;
  readonly opaque: unknown;
}

export type RdSettings = Record<string, string | number | boolean | ((...args: never[]) => void)>;

export interface Rdkafka {
  readonly features: readonly string[];
  readonly librdkafkaVersion: string;
  readonly KafkaConsumer: new (settings: RdSettings, topicSettings: RdSettings) => RdConsumer;
  readonly Producer: new (settings: RdSettings, topicSettings: RdSettings) => RdProducer;
}

export type LoadedRdkafka =
  | { readonly module: Rdkafka; readonly reason?: undefined }
  | { readonly module?: undefined; readonly reason: string };

let loaded: LoadedRdkafka | undefined;

/** Loads the native module, once; says why it does not load where it does not. */
export function loadRdkafka(): LoadedRdkafka {
  loaded ??= load();
  return loaded;
}

function load(): LoadedRdkafka {
  try {
    return { module: createRequire(import.meta.url)('node-rdkafka') as Rdkafka };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const absent = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';
    return { reason: absent ? 'it is not installed' : message.split('\n')[0] };
  }
}

/** Throws a DependencyError if a PEM file cannot be read. */
export function connectionSettings(connection: KafkaConnection): RdSettings {
  const { brokers, clientId = 'streamgauge', sasl, tls } = connection;
  const settings: RdSettings = {
    'metadata.broker.list': brokers.join(','),
    'client.id': clientId,
    'socket.keepalive.enable': true,
    // Also how long a request may hold up closing the client while the broker is away; the default is 60 s.
    'socket.timeout.ms': 10_000,
    'socket.connection.setup.timeout.ms': 5_000,
    'reconnect.backoff.max.ms': 2_000,
    'log.connection.close': false,
    'allow.auto.create.topics': false,
    'security.protocol': `${sasl ? 'sasl_' : ''}${tls ? 'ssl' : 'plaintext'}`,
  };
  if (sasl) {
    settings['sasl.mechanisms'] = mechanisms[sasl.mechanism];
    if (sasl.mechanism !== 'oauthbearer') {
      settings['sasl.username'] = sasl.username;
      settings['sasl.password'] = sasl.password;
    }
  }
  if (typeof tls === 'object') {
    if (tls.ca !== undefined) settings['ssl.ca.pem'] = pem('tls.ca', tls.ca);
    if (tls.cert !== undefined) settings['ssl.certificate.pem'] = pem('tls.cert', tls.cert);
    if (tls.key !== undefined) settings['ssl.key.pem'] = pem('tls.key', tls.key);
  }
  return settings;
}

const mechanisms: Record<KafkaSasl['mechanism'], string> = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
  oauthbearer: 'OAUTHBEARER',
};

/** A member of a group. With KIP-848 the broker decides on assignor and session: naming them is an error. */
export function memberSettings(options: KafkaSourceOptions): RdSettings {
  const sessionMs = options.sessionTimeoutMs ?? sessionTimeoutMsDefault;
  const settings: RdSettings = {
    ...connectionSettings(options),
    'group.id': options.group,
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
    // Ends a `consume` early when a partition has been read to its end: else a trickle would be collected for as long as it lasts.
    'enable.partition.eof': true,
    'topic.metadata.refresh.interval.ms': options.topicRefreshMs ?? topicRefreshMsDefault,
    // How long a rebalance waits for a member. A batch may take longer: `consume` goes on meanwhile.
    'max.poll.interval.ms': Math.max(options.rebalanceTimeoutMs ?? rebalanceTimeoutMsDefault, sessionMs),
    // The default of 1 s leaves the fetcher asleep most of the time once its queue was full; measured 2 to 3 times slower.
    'fetch.queue.backoff.ms': 2,
    'queued.min.messages': 20_000,
    'queued.max.messages.kbytes': 16_384,
  };
  if (options.instanceId !== undefined) settings['group.instance.id'] = options.instanceId;
  if (options.protocol === 'consumer') settings['group.protocol'] = 'consumer';
  else {
    settings['partition.assignment.strategy'] = 'cooperative-sticky';
    settings['session.timeout.ms'] = sessionMs;
    settings['heartbeat.interval.ms'] = Math.min(3_000, Math.floor(sessionMs / 3));
  }
  return settings;
}

export const rdCode = { assign: -175, revoke: -174, maxPollExceeded: -147, fatal: -150 } as const;

/** The protocol's names, as kafkajs gives them in `type`; negative codes are librdkafka's own. */
const types: Readonly<Record<number, string>> = {
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  10: 'MESSAGE_TOO_LARGE',
  17: 'INVALID_TOPIC_EXCEPTION',
  22: 'ILLEGAL_GENERATION',
  23: 'INCONSISTENT_GROUP_PROTOCOL',
  25: 'UNKNOWN_MEMBER_ID',
  27: 'REBALANCE_IN_PROGRESS',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  35: 'UNSUPPORTED_VERSION',
  82: 'FENCED_INSTANCE_ID',
  110: 'FENCED_MEMBER_EPOCH',
  111: 'UNRELEASED_INSTANCE_ID',
  113: 'STALE_MEMBER_EPOCH',
  [-150]: '_FATAL',
  [-165]: '_UNSUPPORTED_FEATURE',
  [-170]: '_NOT_IMPLEMENTED',
  [-188]: 'UNKNOWN_TOPIC_OR_PARTITION',
};

/** An Error that `mayRecover` and `kafkaError` understand. */
export function rdFailure(error: RdError): Error {
  // Not as `cause`: `rootCause` would take the name off again.
  const failure = new Error(error.message);
  if (error.code === -169) failure.name = 'KafkaJSSASLAuthenticationError';
  // A delivery report says it in words alone: its code is -1.
  const type = /message size too large/i.test(error.message) ? 'MESSAGE_TOO_LARGE' : types[error.code];
  return Object.assign(failure, { code: error.code, type });
}

/** node-rdkafka hands on that an error is fatal, not which: that is in librdkafka's log alone, in the words of its table. */
const fatalCodes: readonly (readonly [RegExp, number])[] = [
  [/group authorization failed/i, 30],
  [/API version not supported/i, 35],
  [/static consumer fenced/i, 82],
  [/instance ID is still used/i, 111],
  [/required feature not supported/i, -165],
];

/** `words`: the line of the log. */
export function fatalFailure(words: string, instanceId: string | undefined): Error {
  const [, reason] = /Fatal error: ((?:Broker|Local): [^:]+)/.exec(words) ?? [];
  const code = fatalCodes.find(([text]) => text.test(words))?.[1] ?? rdCode.fatal;
  const named = (code === 82 || code === 111) && instanceId !== undefined ? ` (instanceId: ${instanceId})` : '';
  return rdFailure({ code, message: `${reason ?? 'Local: Fatal error'}${named}` });
}

/** On the way out: what stands in the way would undo what is undone with the membership. */
export function attempt(act: () => void): void {
  try {
    act();
  } catch {
    // It is gone already.
  }
}

/** Connects, for at most `timeoutMs`. What it leaves behind when that fails is disconnected by the module itself. */
export async function connectRd(client: RdClient, connection: KafkaConnection, timeoutMs: number): Promise<void> {
  if (connection.sasl?.mechanism === 'oauthbearer') await keepToken(client, connection);
  await new Promise<void>((resolve, reject) => {
    client.connect({ timeout: timeoutMs }, (error) => (error ? reject(rdFailure(error)) : resolve()));
  });
}

/** How soon to ask again for a token that could not be had: a quarter of a life is left then. */
const tokenRetryMs = 1_000;

/** Gives a client its token, and the next one each time it is due; node-rdkafka never asks for one. Ends when the client is disconnected. */
async function keepToken(client: RdClient, { sasl, log }: KafkaConnection): Promise<void> {
  if (sasl?.mechanism !== 'oauthbearer') return;
  const tokens = tokensOf(sasl);
  const give = async (): Promise<number> => {
    const { value, renewAtMs } = await tokens.token();
    client.setOauthBearerToken(value);
    return renewAtMs - performance.now();
  };
  const renewIn = (ms: number) => {
    const renew = async () => {
      // A client that is connecting still counts: its first connection may outlast a token.
      if (over) return;
      let nextMs = tokenRetryMs;
      try {
        nextMs = await give();
      } catch (error) {
        log?.warn({ error: error instanceof Error ? error.message : String(error) }, 'no new token for Kafka; asking again');
      }
      renewIn(nextMs);
    };
    setTimeout(() => void renew(), Math.max(ms, 100)).unref();
  };
  let over = false;
  client.on('disconnected', () => {
    over = true;
  });
  renewIn(await give());
}
