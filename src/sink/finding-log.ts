/**
 * The durable log that findings are shipped from: what stands between the engine and a sink that may be away. A Kafka topic of findings is
 * one by itself; without it there is a queue on disk. Its records are findings as they go out (OCSF JSON).
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../../processors/detect/finding.ts';
import { findingJson } from '../../processors/detect/ocsf.ts';
import { partitionKey } from '../../processors/record.ts';
import { findingSchema, type OcsfFinding } from '../../schemas/finding.ts';
import { DependencyError } from '../errors.ts';
import { Journal, JournalFullError } from '../source/drain/journal.ts';
import { KafkaSource } from '../source/kafka/kafka.ts';
import type { KafkaConnection } from '../source/kafka/kafka-client.ts';
import type { Positions, RecordIntake, Source } from '../source/source.ts';

export interface FindingLog {
  /** As the user knows it: `kafka:findings`. */
  readonly name: string;
  open(): Promise<void>;
  /** Resolves when they are in the log for good. */
  keep(findings: readonly Finding[]): Promise<void>;
  /** Reads from where the last commit was. One at a time; a new one after the last has ended. */
  source(): Source;
  /** Findings not yet shipped, where that is known. */
  waiting(): number | undefined;
  close(): Promise<void>;
}

/** What a record of it holds; undefined where that is no finding: a topic may hold what others wrote. */
export function findingOf(value: Uint8Array): OcsfFinding | undefined {
  try {
    const parsed = findingSchema.safeParse(JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** The topic that the Kafka sink beside it writes to: there is nothing to keep, and the group remembers how far it is. */
export function createTopicLog(options: KafkaConnection & { readonly topic: string; readonly group: string }): FindingLog {
  const { topic, group, ...connection } = options;
  let source: Source | undefined;
  return {
    name: `kafka:${topic}`,
    open: async () => {},
    keep: async () => {},
    source: () => {
      source = new KafkaSource({ ...connection, topics: [topic], group, dataset: 'findings', format: 'json' });
      return source;
    },
    waiting: () => source?.health().lagRecords,
    close: async () => {},
  };
}

export interface QueueOptions {
  readonly dir: string;
  /** Bytes on disk at which the engine has to wait, so that nothing is lost; default 1 GiB, about a million findings. */
  readonly maxBytes?: number;
  readonly warn?: (message: string) => void;
}

export function createQueueLog(options: QueueOptions): FindingLog {
  return new QueueLog(options);
}

/** How long a full queue is waited for before the engine is told; the engine tries again. */
const roomForMs = 1_000;

class QueueLog implements FindingLog {
  readonly name: string;
  private readonly options: QueueOptions;
  private readonly shippedFile: string;
  private journal: Journal | undefined;
  /** Everything before it was shipped. */
  private shipped = 0;

  constructor(options: QueueOptions) {
    this.name = `queue:${options.dir}`;
    this.options = options;
    this.shippedFile = join(options.dir, 'shipped.json');
  }

  async open(): Promise<void> {
    const { dir, maxBytes, warn } = this.options;
    this.journal = await Journal.open({
      dir: join(dir, 'queue'),
      maxBytes,
      keepBytes: 0,
      onDamage: (damage) => warn?.(`damaged queue: ${damage}`),
    });
    this.shipped = Math.max(await this.readShipped(), this.journal.firstSequence);
    // The queue's folder was emptied, its mark was not.
    if (this.shipped > this.journal.nextSequence) await this.journal.startAt(this.shipped);
  }

  async keep(findings: readonly Finding[]): Promise<void> {
    const journal = this.opened();
    const records = findings.map((finding) => ({ value: Buffer.from(findingJson(finding)), timestampMs: finding.timeMs }));
    try {
      await journal.append(records);
    } catch (error) {
      if (!(error instanceof JournalFullError)) throw error;
      await journal.room(roomForMs);
      throw new DependencyError(`${error.message}; they wait for what they are to be shipped to`, { cause: error });
    }
  }

  source(): Source {
    return new QueueSource(this.name, this.opened(), this.shipped, (next) => this.commit(next));
  }

  waiting(): number {
    return (this.journal?.nextSequence ?? 0) - this.shipped;
  }

  async close(): Promise<void> {
    await this.journal?.close();
  }

  /** An older mark after a power loss costs repeats, which are harmless, so it is not synced. */
  private async commit(next: number): Promise<void> {
    if (next <= this.shipped) return;
    try {
      await writeFile(`${this.shippedFile}.new`, JSON.stringify({ next }));
      await rename(`${this.shippedFile}.new`, this.shippedFile);
      this.shipped = next;
      await this.opened().trim(next);
    } catch (cause) {
      throw new DependencyError(`${this.shippedFile} cannot be written: ${(cause as Error).message}; is the disk full?`, { cause });
    }
  }

  private async readShipped(): Promise<number> {
    await mkdir(this.options.dir, { recursive: true });
    try {
      const { next } = JSON.parse(await readFile(this.shippedFile, 'utf8')) as { next: unknown };
      return Number.isSafeInteger(next) ? (next as number) : 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.options.warn?.(`${this.shippedFile} cannot be read: all is shipped again`);
      return 0;
    }
  }

  private opened(): Journal {
    if (this.journal === undefined) throw new Error(`${this.name} is not open`);
    return this.journal;
  }
}

class QueueSource implements Source {
  readonly name: string;
  private readonly journal: Journal;
  private readonly from: number;
  private readonly committed: (next: number) => Promise<void>;
  private readonly stopped = new AbortController();
  private next: number;

  constructor(name: string, journal: Journal, from: number, committed: (next: number) => Promise<void>) {
    this.name = name;
    this.journal = journal;
    this.from = from;
    this.next = from;
    this.committed = committed;
  }

  async run(_positions: Positions, into: RecordIntake): Promise<void> {
    into.partitions([partitionKey(this.name, 0)]);
    for await (const records of this.journal.readFrom(this.from, { signal: this.stopped.signal })) {
      if (this.stopped.signal.aborted) return;
      // Handed over: what the one it is handed to waits for is not this batch.
      this.next = records[records.length - 1].offset + 1;
      await into.batch({ topic: this.name, partition: 0, dataset: 'findings', format: 'json', records });
    }
  }

  async commit(positions: Positions): Promise<void> {
    const next = positions[partitionKey(this.name, 0)];
    if (next !== undefined) await this.committed(next);
  }

  async read(_topic: string, _partition: number, offset: number): Promise<Uint8Array | null> {
    return (await this.journal.read(offset))?.value ?? null;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
  }

  health() {
    return { ok: true, lagRecords: this.journal.nextSequence - this.next };
  }
}
