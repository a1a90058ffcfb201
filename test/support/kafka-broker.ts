/**
 * A real Apache Kafka 4.1.1 broker (KRaft, one node, 127.0.0.1, free ports, data in a temporary folder) for the suites that need one.
 * In this order: the brokers in KAFKA_BROKERS; the jars in the cache folder; the jars from Maven, fetched once into it. Otherwise
 * `kafkaUnavailable()` says why not, and the suite skips with that reason.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { type Admin, Kafka, logLevel } from 'kafkajs';

const version = '4.1.1';
const startDeadlineMs = 60_000;
const cacheFolder = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'streamgauge', `kafka-${version}`);

export interface TopicSpec {
  readonly topic: string;
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

export interface SecureListener {
  readonly broker: string;
  /** PEM of the certificate that signed the listener's. */
  readonly ca: string;
  readonly username: string;
  readonly password: string;
  /** SSL without SASL: asks for a client's certificate, and trusts `cert`. */
  readonly mutualBroker: string;
  readonly cert: string;
  readonly key: string;
}

export interface KafkaBroker {
  readonly brokers: string[];
  /** SASL_SSL beside the plain listener (PLAIN, SCRAM-SHA-256 and -512, OAUTHBEARER with tokens nobody signed); undefined for brokers named in KAFKA_BROKERS or without openssl. */
  readonly secure: SecureListener | undefined;
  /** Topics keep records whatever their timestamp says: `retention.ms=-1`. */
  createTopics(...topics: TopicSpec[]): Promise<void>;
  admin<T>(use: (admin: Admin) => Promise<T>): Promise<T>;
  /** Resolves when the process has ended; the data stays. */
  halt(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Starts it again on the same ports with the same data. */
  resume(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Why no broker can be had here; undefined if one can. Suites print it and skip. */
export function kafkaUnavailable(): string | undefined {
  if (process.env.KAFKA_BROKERS) return undefined;
  if (!runs('java', ['-version'])) return 'no Java: set KAFKA_BROKERS, or install Java 17 or later';
  if (jarsCached()) return undefined;
  if (!runs('mvn', ['-v'])) return `no Maven, and no Kafka jars in ${cacheFolder}: set KAFKA_BROKERS, or install Maven`;
  return undefined;
}

/** Starts a broker (or takes the one in KAFKA_BROKERS) and resolves when it answers. */
export async function startKafka(): Promise<KafkaBroker> {
  if (process.env.KAFKA_BROKERS) return foreignBroker(process.env.KAFKA_BROKERS.split(',').map((address) => address.trim()));
  const unavailable = kafkaUnavailable();
  if (unavailable) throw new Error(unavailable);
  fetchJars();
  const folder = mkdtempSync(path.join(tmpdir(), 'streamgauge-kafka-'));
  const [plain, secure, controller, mutual] = await freePorts(4);
  const pair = makeKeyStore(folder);
  writeFileSync(path.join(folder, 'server.properties'), properties(folder, { plain, secure, controller, mutual }, pair !== undefined));
  java(folder, [
    'kafka.tools.StorageTool',
    'format',
    '-t',
    kafkaUuid(),
    '-c',
    'server.properties',
    ...scramUsers.flatMap((user) => ['-S', user]),
  ]);
  const listeners = { broker: `127.0.0.1:${secure}`, mutualBroker: `127.0.0.1:${mutual}` };
  const broker = new LocalBroker(folder, plain, pair === undefined ? undefined : { ...listeners, ...pair, ca: pair.cert, ...credentials });
  await broker.resume();
  return broker;
}

const credentials = { username: 'app', password: 'app-secret' };
const scramUsers = ['256', '512'].map((bits) => `SCRAM-SHA-${bits}=[name=${credentials.username},password=${credentials.password}]`);
const jvm = ['-Xms128m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

class LocalBroker implements KafkaBroker {
  readonly brokers: string[];
  readonly secure: SecureListener | undefined;
  readonly #folder: string;
  readonly #port: number;
  #process: ChildProcess | undefined;

  constructor(folder: string, port: number, secure: SecureListener | undefined) {
    this.#folder = folder;
    this.#port = port;
    this.brokers = [`127.0.0.1:${port}`];
    this.secure = secure;
  }

  createTopics(...topics: TopicSpec[]): Promise<void> {
    return createTopics(this.brokers, topics);
  }

  admin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
    return withAdmin(this.brokers, use);
  }

  async halt(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    this.#process = undefined;
  }

  async resume(): Promise<void> {
    const log = createWriteStream(path.join(this.#folder, 'broker.log'), { flags: 'a' });
    const child = spawn('java', [...jvm, '-cp', classPath(this.#folder), 'kafka.Kafka', 'server.properties'], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('close', () => log.end());
    this.#process = child;
    // A broker must not outlive a test run that is cut short.
    const reap = () => child.kill('SIGKILL');
    process.once('exit', reap);
    child.once('exit', () => process.off('exit', reap));
    const deadlineMs = Date.now() + startDeadlineMs;
    while (!(await answers(this.#port))) {
      if (child.exitCode !== null || Date.now() > deadlineMs) {
        const tail = readFileSync(path.join(this.#folder, 'broker.log'), 'utf8').slice(-2000);
        await this.halt('SIGKILL');
        throw new Error(`Kafka did not start on 127.0.0.1:${this.#port} within ${startDeadlineMs} ms:\n${tail}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.admin((admin) => led(admin));
  }

  async stop(): Promise<void> {
    await this.halt('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Somebody else's broker: used, never ended. */
function foreignBroker(brokers: string[]): KafkaBroker {
  const refuse = () => Promise.reject(new Error('the brokers in KAFKA_BROKERS are not ours to stop'));
  return {
    brokers,
    secure: undefined,
    createTopics: (...topics) => createTopics(brokers, topics),
    admin: (use) => withAdmin(brokers, use),
    halt: refuse,
    resume: refuse,
    stop: () => Promise.resolve(),
  };
}

async function withAdmin<T>(brokers: string[], use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers, clientId: 'streamgauge-test', logLevel: logLevel.NOTHING, retry: { retries: 20 } }).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

async function createTopics(brokers: string[], topics: readonly TopicSpec[]): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    await admin.createTopics({
      // kafkajs' own way gives up where the broker does not know the topic yet, which a busy machine makes likely.
      waitForLeaders: false,
      topics: topics.map(({ topic, partitions = 1, config = {} }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: 1,
        configEntries: Object.entries({ 'retention.ms': '-1', ...config }).map(([name, value]) => ({ name, value })),
      })),
    });
    await led(
      admin,
      topics.map(({ topic }) => topic),
    );
  });
}

/** Resolves when each partition of these topics, or of all, has a leader. */
async function led(admin: Admin, topics?: string[]): Promise<void> {
  for (const deadlineMs = Date.now() + startDeadlineMs; ; ) {
    try {
      const { topics: found } = await admin.fetchTopicMetadata(topics === undefined ? undefined : { topics });
      if (found.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0))) return;
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
    }
    if (Date.now() > deadlineMs) throw new Error(`no leader for ${topics?.join(', ') ?? 'some topic'} within ${startDeadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function jarsCached(): boolean {
  return existsSync(path.join(cacheFolder, 'complete'));
}

/** Fetches into a folder beside the cache and renames it, so that two suites at once cannot see half of it. */
function fetchJars(): void {
  if (jarsCached()) return;
  const began = Date.now();
  console.log(`fetching Apache Kafka ${version} from Maven (43 MB, once) into ${cacheFolder}`);
  mkdirSync(path.dirname(cacheFolder), { recursive: true });
  const work = mkdtempSync(`${cacheFolder}-`);
  writeFileSync(path.join(work, 'pom.xml'), pom());
  execFileSync('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], {
    cwd: work,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  writeFileSync(path.join(work, 'complete'), '');
  if (jarsCached()) rmSync(work, { recursive: true });
  else {
    rmSync(cacheFolder, { recursive: true, force: true });
    renameSync(work, cacheFolder);
  }
  console.log(`fetched ${readdirSync(path.join(cacheFolder, 'lib')).length} jars in ${Math.round((Date.now() - began) / 100) / 10} s`);
}

function pom(): string {
  const dependencies = [
    ['org.apache.kafka', 'kafka_2.13', version],
    ['org.apache.logging.log4j', 'log4j-slf4j-impl', '2.24.3'],
    ['org.apache.logging.log4j', 'log4j-core', '2.24.3'],
  ].map(([group, id, v]) => `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${v}</version></dependency>`);
  return (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>streamgauge</groupId>' +
    `<artifactId>kafka-for-tests</artifactId><version>1</version><dependencies>${dependencies.join('')}</dependencies></project>\n`
  );
}

/** Log4j without a configuration of ours prints errors only, which is what `broker.log` is for. */
function classPath(folder: string): string {
  return `${folder}${path.delimiter}${path.join(cacheFolder, 'lib', '*')}`;
}

function java(folder: string, args: string[]): void {
  try {
    execFileSync('java', [...jvm, '-cp', classPath(folder), ...args], { cwd: folder, stdio: 'pipe' });
  } catch (error) {
    throw new Error(`java ${args[0]} failed: ${String((error as { stderr?: Buffer }).stderr)}`, { cause: error });
  }
}

/** A Kafka cluster id: 16 random bytes in URL-safe base64, which must not begin with a dash (the tool would take it for a flag). */
function kafkaUuid(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url').replace(/^-/, 'A');
}

function makeKeyStore(folder: string): { cert: string; key: string } | undefined {
  if (!runs('openssl', ['version'])) return undefined;
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
  );
  openssl('pkcs12', '-export', '-in', 'cert.pem', '-inkey', 'key.pem', '-out', 'ks.p12', '-passout', 'pass:changeit');
  const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');
  return { cert: read('cert.pem'), key: read('key.pem') };
}

/**
 * Rights are only asked for where a test has given some: who comes without a password may do everything. Short broker sessions, because after a kill the node is fenced until its
 * old session has ended (9 s by default); and of members with KIP-848, which cannot ask for one themselves (45 s).
 */
function properties(folder: string, ports: { plain: number; secure: number; controller: number; mutual: number }, secure: boolean): string {
  const encrypted = [`SASL_SSL://127.0.0.1:${ports.secure}`, `SSL://127.0.0.1:${ports.mutual}`];
  const listeners = [`PLAINTEXT://127.0.0.1:${ports.plain}`, ...(secure ? encrypted : [])].join(',');
  const sasl = 'org.apache.kafka.common.security';
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports.controller}
controller.listener.names=CONTROLLER
listeners=${listeners},CONTROLLER://127.0.0.1:${ports.controller}
advertised.listeners=${listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
inter.broker.listener.name=PLAINTEXT
log.dirs=${path.join(folder, 'data')}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=5000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=2
background.threads=2
log.segment.bytes=16777216
log.cleaner.dedupe.buffer.size=4194304
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config=${sasl}.plain.PlainLoginModule required user_app="${credentials.password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=${sasl}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=${sasl}.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=${sasl}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms=3600000
listener.name.ssl.ssl.client.auth=required
listener.name.ssl.ssl.truststore.type=PEM
listener.name.ssl.ssl.truststore.location=${path.join(folder, 'cert.pem')}
ssl.keystore.type=PKCS12
ssl.keystore.location=${path.join(folder, 'ks.p12')}
ssl.keystore.password=changeit
ssl.key.password=changeit
`;
}

function runs(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Ports that were free a moment ago: held together, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error(`no port in ${String(address)}`);
    return address.port;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
