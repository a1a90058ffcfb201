/**
 * Checkpoints in a compacted topic of Kafka, so that a process may come up on another machine: state of any size in parts of up to 64 KiB,
 * written once each, and the last two manifests. What neither of them names is taken away with tombstones, after the newer one is
 * acknowledged; a crash in between leaves parts that the next save takes away.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Kafka } from 'kafkajs';
import { DependencyError } from '../errors.ts';
import { KafkaWriter } from '../sink/kafka-writer.ts';
import { TopicTail } from '../sink/topic-tail.ts';
import {
  connectForMsDefault,
  createKafka,
  errorType,
  type KafkaConnection,
  outageForMsDefault,
  persist,
} from '../source/kafka/kafka-client.ts';
import { type Checkpoint, CheckpointError, type CheckpointStore, type Refuse, type SaveSize } from './checkpoint.ts';
import { contentsBehind, contentsOf } from './contents.ts';
import { decodeManifest, encodeManifest, type Manifest } from './manifest.ts';
import { newestWhole, type Place } from './newest.ts';
import { PartHasher, type PartRef, refsOf } from './parts.ts';
import { slotOf, TopicRecords } from './topic-records.ts';

export interface TopicCheckpointOptions extends KafkaConnection {
  readonly topic: string;
  /** Whose checkpoints these are, where others keep theirs in the same topic. No two processes at once may have the same. */
  readonly group: string;
  /** Whose state this is: a hash of the hash key. A checkpoint of another identity is refused. */
  readonly identity: string;
  /** Told when a damaged checkpoint was passed over. */
  readonly warn?: (message: string) => void;
}

/** Connects to nothing yet. Throws a DependencyError if a PEM file cannot be read, a UsageError if the driver cannot be had. */
export function createTopicCheckpoints(options: TopicCheckpointOptions): CheckpointStore {
  return new TopicCheckpoints(options);
}

/** Kafka's number for a topic among the things that have configs; kafkajs' own enum cannot be imported by name from ESM. */
const topicResource = 2;

class TopicCheckpoints implements CheckpointStore {
  lastSave: SaveSize | undefined;
  readonly #options: TopicCheckpointOptions;
  readonly #place: Place;
  readonly #records: TopicRecords;
  readonly #writer: KafkaWriter;
  readonly #kafka: Kafka;
  readonly #tail: TopicTail;
  readonly #hasher = new PartHasher();
  readonly #name = `${hostname()}, process ${process.pid}, ${randomBytes(4).toString('hex')}`;
  /** Hashes of the parts that the topic holds. */
  readonly #stored = new Set<string>();
  /** Those of them that are known to be whole: they need not be written again. */
  readonly #whole = new Set<string>();
  /** What the last two manifests name, the newest first. */
  #named: readonly ReadonlySet<string>[] = [];
  #number = 0;
  #loaded = false;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: TopicCheckpointOptions) {
    const { topic, group, identity, warn } = options;
    this.#options = options;
    const startAfresh = `give \`state.kafka\` another \`group\` or topic to start afresh`;
    this.#place = { name: `topic ${topic}, group ${group}`, identity, startAfresh, warn };
    this.#records = new TopicRecords(group, this.#name);
    this.#kafka = createKafka(options);
    this.#tail = new TopicTail(this.#kafka, topic);
    this.#writer = new KafkaWriter(options, 'records of a checkpoint', {
      missing: async (messages) => messages,
      wrote: (_, ends) => this.#tail.wrote(ends),
    });
  }

  /** Reads the topic to its end. Rejects with a DependencyError if it cannot be reached, a `CheckpointError` if it is not for this. */
  async load(refuse?: Refuse): Promise<Checkpoint | undefined> {
    const { topic, connectForMs = connectForMsDefault } = this.#options;
    const parts = new Map<string, Uint8Array>();
    const manifests = new Map<number, Buffer>();
    await this.#mustBeCompacted();
    await persist(this.#options, `read topic ${topic}`, connectForMs, async () => {
      parts.clear();
      manifests.clear();
      await this.#tail.open();
      await this.#tail.goBack(new Map());
      await this.#tail.catchUp((message) => {
        const record = this.#records.read(message);
        if (record?.kind === 'manifest' && record.value !== null) manifests.set(record.slot, record.value);
        else if (record?.kind === 'part' && record.value !== null) parts.set(record.hash, record.value);
        else if (record?.kind === 'part') parts.delete(record.hash);
      });
    });
    for (const hash of parts.keys()) this.#stored.add(hash);
    const found = await this.#newest(parts, manifests, refuse);
    this.#loaded = true;
    if (found === undefined) return undefined;
    this.#number = found.manifest.number ?? 0;
    const before = manifests.get(slotOf(this.#number + 1));
    this.#named = [namesOf(found.manifest, parts), before === undefined ? new Set() : namesOf(manifestIn(before), parts)];
    for (const hash of this.#named[0]) this.#whole.add(hash);
    return { positions: found.positions, origins: found.origins, marks: found.marks, state: found.state };
  }

  /** One after the other. Rejects with a DependencyError after an outage, a `CheckpointError` if another process writes for this group. */
  save(checkpoint: Checkpoint): Promise<void> {
    const done = this.#saving.then(() => this.#saveNow(checkpoint));
    this.#saving = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await this.#saving;
    await this.#writer.close();
    await this.#tail.close().catch(() => undefined);
  }

  async #newest(parts: ReadonlyMap<string, Uint8Array>, manifests: ReadonlyMap<number, Buffer>, refuse?: Refuse) {
    const { topic, group } = this.#options;
    const numberOf = (bytes: Buffer) => manifestIn(bytes)?.number ?? Number.POSITIVE_INFINITY;
    const candidates = [...manifests]
      .sort(([, a], [, b]) => numberOf(b) - numberOf(a))
      .map(([slot, bytes]) => ({
        name: `checkpoint ${slot} of group ${group} in topic ${topic}`,
        read: async () => bytes,
        contents: async (manifest: Manifest) => {
          const behind = await contentsBehind(manifest, (hash) => parts.get(hash));
          return typeof behind === 'string' ? behind : { marks: behind.marks, state: behind.state };
        },
        damaged: () => {},
      }));
    return newestWhole(candidates, this.#place, refuse);
  }

  async #saveNow(checkpoint: Checkpoint): Promise<void> {
    if (!this.#loaded) await this.load();
    const { parts: all, named } = await contentsOf(checkpoint, this.#hasher);
    await this.#mustBeAlone();
    const fresh = [...new Map(all.filter(({ hash }) => !this.#whole.has(hash)).map((part) => [part.hash, part])).values()];
    for (const { hash } of fresh) this.#stored.add(hash);
    await this.#writer.write(fresh.map((part) => this.#records.part(part)));
    for (const { hash } of fresh) this.#whole.add(hash);
    const number = this.#number + 1;
    const { identity } = this.#options;
    const manifest = encodeManifest({ identity, ...named, number });
    await this.#writer.write([this.#records.manifest(number, manifest)]);
    this.#number = number;
    this.#named = [new Set(all.map(({ hash }) => hash)), ...this.#named.slice(0, 1)];
    this.lastSave = { stateBytes: named.stateBytes, writtenBytes: bytesOf(fresh) + manifest.length };
    await this.#removeOld();
  }

  async #removeOld(): Promise<void> {
    const gone = [...this.#stored].filter((hash) => !this.#named.some((names) => names.has(hash)));
    // From now on they would have to be written again, whether or not this is acknowledged.
    for (const hash of gone) this.#whole.delete(hash);
    await this.#writer.write(gone.map((hash) => this.#records.tombstone(hash)));
    for (const hash of gone) this.#stored.delete(hash);
  }

  /** What was written since we looked last, and not by us, is another process's: each would take the other's parts away. */
  async #mustBeAlone(): Promise<void> {
    const { topic, group, outageForMs = outageForMsDefault } = this.#options;
    let other: string | undefined;
    await persist(this.#options, `read topic ${topic}`, outageForMs, () =>
      this.#tail.catchUp((message) => {
        const record = this.#records.read(message);
        if (record !== undefined && record.writer !== this.#name) other = record.writer;
      }),
    );
    if (other === undefined) return;
    throw new CheckpointError([
      `another process (${other}) keeps its checkpoints in topic ${topic} under the group ${group}, which is ours: ` +
        'stop one of them, or give each a `group` of its own in `state.kafka`',
    ]);
  }

  async #mustBeCompacted(): Promise<void> {
    const { topic, brokers, warn } = this.#options;
    const servers = `--bootstrap-server ${brokers.join(',')}`;
    let policy: string | undefined;
    try {
      policy = await this.#cleanupPolicy();
    } catch (error) {
      const type = errorType(error) ?? '';
      if (type.endsWith('AUTHORIZATION_FAILED')) {
        warn?.(`this user may not see whether topic ${topic} is compacted: make sure that its cleanup.policy is compact`);
        return;
      }
      if (type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
      throw new DependencyError(
        `Kafka at ${brokers.join(', ')}: there is no topic ${topic} for the state; create it: kafka-topics.sh ${servers} --create ` +
          `--topic ${topic} --partitions 1 --config cleanup.policy=compact`,
        { cause: error },
      );
    }
    if (policy === 'compact') return;
    throw new CheckpointError([
      `topic ${topic} has cleanup.policy=${policy}, which would drop parts of the state; expected compact: kafka-configs.sh ${servers} ` +
        `--alter --entity-type topics --entity-name ${topic} --add-config cleanup.policy=compact`,
    ]);
  }

  /** A topic that was made a moment ago may not be known yet: asked again like everything else. */
  #cleanupPolicy(): Promise<string | undefined> {
    const { topic, connectForMs = connectForMsDefault } = this.#options;
    return persist(this.#options, `look at topic ${topic}`, connectForMs, async () => {
      const admin = this.#kafka.admin();
      try {
        await admin.connect();
        await admin.fetchTopicMetadata({ topics: [topic] });
        const asked = [{ type: topicResource, name: topic, configNames: ['cleanup.policy'] }];
        const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: asked });
        return resources[0]?.configEntries.find(({ configName }) => configName === 'cleanup.policy')?.configValue;
      } finally {
        await admin.disconnect();
      }
    });
  }
}

function manifestIn(bytes: Buffer): Manifest | undefined {
  const decoded = decodeManifest(bytes);
  return decoded.kind === 'whole' ? decoded.manifest : undefined;
}

/** The hashes of all parts of a checkpoint, as far as its lists are there. */
function namesOf(manifest: Manifest | undefined, parts: ReadonlyMap<string, Uint8Array>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { hash } of [...(manifest?.lists ?? []), ...(manifest?.markLists ?? [])]) {
    names.add(hash);
    const list = parts.get(hash);
    for (const ref of (list && refsOf(list)) ?? []) names.add(ref.hash);
  }
  return names;
}

function bytesOf(parts: readonly PartRef[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
