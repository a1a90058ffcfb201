/**
 * A drain: an HTTP endpoint that log senders post to, with a journal behind it. A request is answered 2xx once its records are on disk,
 * and the journal is what the engine reads: a source like any other, whose offsets are the journal's numbers.
 */
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { partitionKey } from '../../../processors/record.ts';
import { UsageError } from '../../errors.ts';
import type { Positions, RecordIntake, Source, SourceHealth } from '../source.ts';
import type { DrainCounters } from './drain-counters.ts';
import { DrainEndpoint } from './drain-endpoint.ts';
import { JournalKeeper } from './drain-keeper.ts';
import { type DrainLog, folderOf, type JournalDrainOptions, problemsOf } from './drain-options.ts';
import type { DrainKind } from './drain-records.ts';
import { Journal, type StoredRecord } from './journal.ts';

export type { DrainLog, DrainOptions, JournalDrainOptions } from './drain-options.ts';
export type { DrainKind } from './drain-records.ts';

/** A `Source` that is also an endpoint. */
export interface Drain extends Source {
  readonly path: string;
  readonly kind: DrainKind;
  readonly counters: DrainCounters;
  /** Batches whose name is remembered, and those forgotten early because there were too many. */
  readonly dedupe: { readonly size: number; readonly evicted: number };
  readonly journalBytes: number;
  /** Adds the endpoint to a server; before it listens. From then on the server's close ends the drain, not `stop` alone. */
  register(app: FastifyInstance): void;
}

/** Opens the journal and makes the drain. Throws a `UsageError` for options that make no sense, a `DependencyError` for the folder. */
export async function createDrain(options: JournalDrainOptions): Promise<Drain> {
  const problems = problemsOf(options);
  if (problems.length > 0) throw new UsageError(problems);
  const log = options.log ?? { info: () => {}, warn: () => {} };
  const dir = join(options.stateDir, 'journal', folderOf(options.path));
  const journal = await Journal.open({
    ...options.journal,
    dir,
    onDamage: (damage) => log.warn({ drain: options.path, damage }, 'damaged journal'),
  });
  const drain = new HttpDrain(options, journal, log);
  await drain.endpoint.recallBatches(journal);
  return drain;
}

class HttpDrain implements Drain {
  readonly name: string;
  readonly path: string;
  readonly endpoint: DrainEndpoint;
  private readonly keeper: JournalKeeper;
  private readonly options: JournalDrainOptions;
  private readonly journal: Journal;
  private readonly log: DrainLog;
  private readonly stopped = new AbortController();
  private handedIn: number;
  private registered = false;

  constructor(options: JournalDrainOptions, journal: Journal, log: DrainLog) {
    this.name = `drain:${options.path}`;
    this.path = options.path;
    this.options = options;
    this.journal = journal;
    this.log = log;
    this.keeper = new JournalKeeper(journal, options.now ?? Date.now);
    this.endpoint = new DrainEndpoint(options, this.keeper, log);
    this.handedIn = journal.firstSequence;
  }

  get kind(): DrainKind {
    return this.endpoint.kind;
  }

  get counters(): DrainCounters {
    return this.endpoint.counters;
  }

  get dedupe(): Drain['dedupe'] {
    return this.endpoint.dedupe;
  }

  get journalBytes(): number {
    return this.journal.bytes;
  }

  register(app: FastifyInstance): void {
    this.registered = true;
    this.endpoint.register(app);
    app.addHook('onClose', async () => {
      this.stopped.abort();
      await this.journal.close();
    });
  }

  async run(positions: Positions, into: RecordIntake): Promise<void> {
    const key = partitionKey(this.path, 0);
    const from = positions[key] ?? 0;
    if (from > this.journal.nextSequence) {
      this.log.warn(
        { drain: this.path, checkpoint: from, journal: this.journal.nextSequence },
        'the journal ends before the checkpoint: was its folder removed?',
      );
      await this.journal.startAt(from);
    }
    // Without a checkpoint nobody says that what was trimmed had not been read.
    this.handedIn = positions[key] ?? this.journal.firstSequence;
    into.partitions([key]);
    const format = this.kind === 'logplex' ? 'logplex' : 'json';
    for await (const read of this.journal.readFrom(from, { signal: this.stopped.signal })) {
      for (const records of runsOf(read)) {
        if (this.stopped.signal.aborted) return;
        const missing = records[0].offset - this.handedIn;
        if (missing > 0) into.lost?.({ key, dataset: this.options.dataset, kind: 'damaged', records: missing });
        await into.batch({ topic: this.path, partition: 0, dataset: this.options.dataset, format, records });
        this.handedIn = records[records.length - 1].offset + 1;
      }
    }
  }

  reads(topic: string): boolean {
    return topic === this.path;
  }

  async commit(positions: Positions): Promise<void> {
    const before = positions[partitionKey(this.path, 0)];
    if (before === undefined) return;
    const heldBytes = this.journal.bytes;
    await this.journal.trim(before);
    if (this.journal.bytes < heldBytes) this.keeper.hasRoom();
  }

  async read(topic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    if (topic !== this.path || partition !== 0) return null;
    return (await this.journal.read(offset))?.value ?? null;
  }

  /**
   * Hands in no more. Requests are still taken until the server closes: what they bring is on disk for the next start, while a sender that
   * is told 503 three times in a row has lost its batch.
   */
  async stop(): Promise<void> {
    this.stopped.abort();
    if (!this.registered) await this.journal.close();
  }

  health(): SourceHealth {
    const lagRecords = this.journal.nextSequence - this.handedIn;
    const { trouble } = this.keeper;
    if (trouble !== undefined) return { ok: false, reason: trouble, lagRecords };
    const damaged = this.journal.damaged > 0 ? `${this.journal.damaged} damaged places in the journal were stepped over` : undefined;
    return { ok: true, reason: damaged, lagRecords };
  }
}

/** Records in runs without a gap between their numbers: one run, unless the journal is damaged. */
function runsOf(records: readonly StoredRecord[]): (readonly StoredRecord[])[] {
  const runs: (readonly StoredRecord[])[] = [];
  let start = 0;
  for (let i = 1; i <= records.length; i++) {
    if (i < records.length && records[i].offset === records[i - 1].offset + 1) continue;
    runs.push(records.slice(start, i));
    start = i;
  }
  return runs;
}
