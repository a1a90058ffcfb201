/**
 * Ships findings to Loki from a durable log, in the background: the engine waits for the log alone, so Loki may be away for days. What was
 * shipped is committed to the log afterwards; a crash in between ships it again, which Loki stores once.
 *
 * What is read is gathered for a moment and sorted by time before it goes: a topic's partitions are read one after the other, and Loki
 * refuses what is an hour behind the newest entry of its stream.
 */
import type { Logger } from 'pino';
import type { Finding } from '../../processors/detect/finding.ts';
import { toOcsf } from '../../processors/detect/ocsf.ts';
import { partitionKey, type RecordBatch } from '../../processors/record.ts';
import { findingSchema } from '../../schemas/finding.ts';
import { DependencyError } from '../errors.ts';
import type { Positions, RecordIntake, Source } from '../source/source.ts';
import { Changes } from './changes.ts';
import { type FindingLog, findingOf } from './finding-log.ts';
import type { LokiWriter } from './loki.ts';
import { type LokiEntry, type LokiLabels, lokiEntry } from './loki-entry.ts';
import { type LokiOutage, lokiOutageFinding } from './loki-outage.ts';
import type { Sink, SinkHealth } from './sink.ts';

export interface LokiShipperOptions {
  readonly log: FindingLog;
  readonly writer: LokiWriter;
  readonly labels: LokiLabels;
  readonly logger: Logger;
  readonly now?: () => number;
}

const maxGatheredBytes = 16 * 1024 * 1024;
/** Since the last batch: where nothing more is known to wait, and where there is. */
const quietMs = { ended: 100, more: 2_000 };
const maxGatherMs = 5_000;
const retryMs = { first: 500, longest: 30_000 };
/** A log that cannot be read says so sooner. */
const readsAfterMs = 60_000;
/** How often it is looked at whether all that waited for Loki is there. */
const caughtUpEveryMs = 500;
/** How long a stop waits for what is on its way; the log keeps the rest. */
const closeForMs = 5_000;

export class LokiShipper implements Sink {
  readonly name: string;
  private readonly options: LokiShipperOptions;
  private readonly stopped = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  private source: Source | undefined;
  private gathered: LokiEntry[] = [];
  private gatheredBytes = 0;
  /** Next offsets of what was gathered, by partition. */
  private positions: Record<string, number> = {};
  private lastBatchMs = 0;
  private sending = false;
  private closing = false;
  /** No more is gathered. */
  private refusing = false;
  private readTrouble: string | undefined;
  private shipTrouble: string | undefined;
  private commitTrouble: string | undefined;
  /** Not told yet. */
  private outage: LokiOutage | undefined;
  /** Beside what the writer dropped: records of others in the topic, and findings that were gone before they could be shipped. */
  private readonly unshipped: Record<string, number> = {};
  private readonly changes = new Changes();

  constructor(options: LokiShipperOptions) {
    this.name = `loki:${options.writer.url}`;
    this.options = options;
  }

  /** Does not wait for Loki. */
  async open(): Promise<void> {
    await this.options.log.open();
    this.running = Promise.all([this.read(), this.ship()]);
  }

  /** Resolves when they are in the log. */
  async write(findings: readonly Finding[]): Promise<void> {
    if (findings.length > 0) await this.options.log.keep(findings);
  }

  /** Resolves when Loki has all that was written, as far as the log can tell; false if that is not so within `forMs`. */
  settled(forMs: number): Promise<boolean> {
    return this.changes.until(() => this.done(), forMs);
  }

  async close(): Promise<void> {
    this.closing = true;
    this.changes.tell();
    await this.changes.until(() => this.trouble() !== undefined || this.done(), closeForMs);
    this.refusing = true;
    this.changes.tell();
    await this.source?.stop();
    this.stopped.abort();
    this.changes.tell();
    await this.running;
    await this.options.log.close();
    await this.options.writer.close();
  }

  health(): SinkHealth {
    const { log, writer } = this.options;
    const waiting = log.waiting();
    const trouble = this.trouble();
    const wait = waiting ? `; ${waiting} findings wait in ${log.name}` : '';
    return {
      ok: trouble === undefined,
      ...(trouble === undefined ? {} : { reason: `${trouble}${wait}`, kept: true }),
      retries: writer.retries,
      dropped: { ...writer.dropped, ...this.unshipped },
      ...(waiting === undefined ? {} : { waiting }),
    };
  }

  /** Reads the log until it is stopped, again and again where it cannot be reached. */
  private async read(): Promise<void> {
    const { log, logger } = this.options;
    for (let waitMs = retryMs.first; !this.closing; ) {
      const look = setInterval(() => this.source?.health().ok && this.reads(), readsAfterMs);
      try {
        this.source = log.source();
        this.changes.tell();
        await this.source.run({}, this.intake(this.source));
      } catch (error) {
        // After a while in which it was read this is another outage.
        waitMs = this.readTrouble === undefined ? retryMs.first : Math.min(waitMs * 2, retryMs.longest);
        this.readTrouble = (error as Error).message;
        logger.warn({ sink: this.name, waitMs, error: this.readTrouble }, 'findings cannot be read to be shipped');
        // What was gathered of it is not committed, and will be read again.
        this.forget();
        await this.changes.until(() => this.closing, waitMs);
      } finally {
        clearInterval(look);
      }
    }
  }

  private reads(): void {
    this.readTrouble = undefined;
    this.changes.tell();
  }

  private intake(source: Source): RecordIntake {
    return {
      // Also of a group's member that gets none: the log has answered.
      partitions: () => this.reads(),
      ended: () => {},
      batch: (batch) => this.gather(source, batch),
      lost: ({ key, kind, records = 1 }) => {
        this.countUnshipped(kind, records);
        this.options.logger.warn({ sink: this.name, partition: key, kind, records }, 'findings were gone before they could be shipped');
      },
      // Whoever gets them next begins at the commit, so what is under way should be committed; if Loki is away, it is sent twice.
      revoked: async () => {
        await this.changes.until(() => this.idle() || this.shipTrouble !== undefined, closeForMs);
      },
    };
  }

  private async gather(source: Source, batch: RecordBatch): Promise<void> {
    await this.changes.until(() => this.gatheredBytes < maxGatheredBytes || this.refusing);
    // Not gathered, so not committed, and nothing after it is gathered either.
    if (source !== this.source || this.refusing) return;
    for (const { value } of batch.records) {
      if (value === null) continue;
      const finding = findingOf(value);
      if (finding === undefined) {
        this.countUnshipped('not_a_finding', 1);
        continue;
      }
      this.gathered.push(lokiEntry(finding, this.options.labels));
      this.gatheredBytes += value.length;
    }
    this.positions[partitionKey(batch.topic, batch.partition)] = batch.records[batch.records.length - 1].offset + 1;
    this.lastBatchMs = performance.now();
    this.changes.tell();
  }

  private async ship(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      const look = this.outage && caughtUpEveryMs;
      const something = () => Object.keys(this.positions).length > 0 || this.owesOutage() || this.stopped.signal.aborted;
      await this.changes.until(something, undefined, look);
      if (this.stopped.signal.aborted) return;
      const enough = () => this.gatheredBytes >= maxGatheredBytes || this.closing || this.quiet();
      await this.changes.until(enough, maxGatherMs, quietMs.ended);
      if (this.owesOutage()) this.tellOutage();
      const { gathered, positions, source } = this;
      this.forget();
      this.sending = true;
      try {
        for (const request of this.options.writer.prepare(gathered)) {
          if (!(await this.send(request))) return;
        }
        await this.commit(source, positions);
      } finally {
        this.sending = false;
        this.changes.tell();
      }
    }
  }

  /** Until Loki has it; false when stopped before. */
  private async send(request: readonly LokiEntry[]): Promise<boolean> {
    const { writer, logger, now = Date.now } = this.options;
    const { signal } = this.stopped;
    let sinceMs: number | undefined;
    for (let waitMs = retryMs.first; ; waitMs = Math.min(waitMs * 2, retryMs.longest)) {
      try {
        await writer.send(request, signal);
        break;
      } catch (error) {
        if (!(error instanceof DependencyError)) throw error;
        sinceMs ??= now();
        this.shipTrouble = error.message;
        this.changes.tell();
        if (signal.aborted) return false;
        const waiting = this.options.log.waiting();
        logger.warn({ sink: this.name, waitMs, waiting, error: error.message }, 'Loki is away; findings are kept');
        await this.changes.until(() => signal.aborted, waitMs);
      }
    }
    if (sinceMs !== undefined) {
      logger.info({ sink: this.name }, 'Loki is back');
      this.outage = { sinceMs: this.outage?.sinceMs ?? sinceMs, untilMs: now(), reason: this.shipTrouble ?? '' };
    }
    this.shipTrouble = undefined;
    return true;
  }

  /** Until the log has it, or is read anew: then it is shipped again, and stored once. */
  private async commit(source: Source | undefined, positions: Positions): Promise<void> {
    for (let waitMs = retryMs.first; ; waitMs = Math.min(waitMs * 2, retryMs.longest)) {
      try {
        if (Object.keys(positions).length > 0) await source?.commit(positions);
        break;
      } catch (error) {
        if (!(error instanceof DependencyError)) throw error;
        this.commitTrouble = error.message;
        this.changes.tell();
        const over = () => this.stopped.signal.aborted || source !== this.source;
        if (await this.changes.until(over, waitMs)) break;
      }
    }
    this.commitTrouble = undefined;
  }

  /**
   * The finding on an outage is the newest of its stream, and Loki refuses what is an hour behind that: what streamgauge has said of itself
   * meanwhile has to go before it, or with it. What waits for room (`gather`) is not known to have been handed over.
   */
  private owesOutage(): boolean {
    return this.outage !== undefined && this.source?.health().lagRecords === 0 && this.gatheredBytes < maxGatheredBytes;
  }

  /** Once: lost with the process if that ends before. */
  private tellOutage(): void {
    if (this.outage === undefined) return;
    const { log, labels, now = Date.now } = this.options;
    const finding = lokiOutageFinding(this.name, log.name, this.outage, now());
    this.gathered.push(lokiEntry(findingSchema.parse(toOcsf(finding)), labels));
    this.outage = undefined;
  }

  private countUnshipped(reason: string, count: number): void {
    this.unshipped[reason] = (this.unshipped[reason] ?? 0) + count;
  }

  private trouble(): string | undefined {
    const source = this.source?.health();
    return this.shipTrouble ?? this.readTrouble ?? this.commitTrouble ?? (source === undefined || source.ok ? undefined : source.reason);
  }

  private forget(): void {
    this.gathered = [];
    this.gatheredBytes = 0;
    this.positions = {};
  }

  /** Loki has all of it, as far as the log can tell. */
  private done(): boolean {
    return (this.options.log.waiting() ?? 0) === 0 && this.idle() && this.outage === undefined;
  }

  private idle(): boolean {
    return Object.keys(this.positions).length === 0 && !this.sending;
  }

  private quiet(): boolean {
    // Where it is not known whether more waits, more may.
    const more = this.source?.health().lagRecords !== 0;
    return performance.now() - this.lastBatchMs >= (more ? quietMs.more : quietMs.ended);
  }
}
