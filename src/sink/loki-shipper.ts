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
import { findingSchema, type OcsfFinding } from '../../schemas/finding.ts';
import { DependencyError } from '../errors.ts';
import { selfFinding } from '../self-finding.ts';
import type { RecordIntake, Source } from '../source/source.ts';
import type { FindingLog } from './finding-log.ts';
import type { LokiWriter } from './loki.ts';
import { type LokiEntry, type LokiLabels, lokiEntry } from './loki-entry.ts';
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
  /** Beside what the writer dropped: records of others in the topic, and findings that were gone before they could be shipped. */
  private readonly unshipped: Record<string, number> = {};
  private readonly waiters = new Set<() => void>();

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
    return this.until(() => (this.options.log.waiting() ?? 0) === 0 && this.idle(), forMs);
  }

  async close(): Promise<void> {
    this.closing = true;
    this.changed();
    await this.until(() => this.trouble() !== undefined || ((this.options.log.waiting() ?? 0) === 0 && this.idle()), closeForMs);
    this.refusing = true;
    this.changed();
    await this.source?.stop();
    this.stopped.abort();
    this.changed();
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
    for (let waitMs = retryMs.first; !this.closing; waitMs = Math.min(waitMs * 2, retryMs.longest)) {
      try {
        this.source = log.source();
        await this.source.run({}, this.intake(this.source));
      } catch (error) {
        this.readTrouble = (error as Error).message;
        logger.warn({ sink: this.name, waitMs, error: this.readTrouble }, 'findings cannot be read to be shipped');
        // What was gathered of it is not committed, and will be read again.
        this.forget();
        await this.until(() => this.closing, waitMs);
      }
    }
  }

  private intake(source: Source): RecordIntake {
    return {
      partitions: () => {},
      ended: () => {},
      batch: (batch) => this.gather(source, batch),
      lost: ({ key, kind, records = 1 }) => {
        this.countUnshipped(kind, records);
        this.options.logger.warn({ sink: this.name, partition: key, kind, records }, 'findings were gone before they could be shipped');
      },
      // Whoever gets them next begins at the commit, so what is under way should be committed; if Loki is away, it is sent twice.
      revoked: async () => {
        await this.until(() => this.idle() || this.shipTrouble !== undefined, closeForMs);
      },
    };
  }

  private async gather(source: Source, batch: RecordBatch): Promise<void> {
    await this.until(() => this.gatheredBytes < maxGatheredBytes || this.refusing);
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
    this.readTrouble = undefined;
    this.changed();
  }

  private async ship(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      await this.until(() => Object.keys(this.positions).length > 0 || this.stopped.signal.aborted);
      if (this.stopped.signal.aborted) return;
      await this.until(() => this.gatheredBytes >= maxGatheredBytes || this.closing || this.quiet(), maxGatherMs, quietMs.ended);
      const { gathered, positions, source } = this;
      this.forget();
      this.sending = true;
      try {
        for (const request of this.options.writer.prepare(gathered)) {
          if (!(await this.send(request))) return;
        }
        await source?.commit(positions);
      } catch (error) {
        if (!(error instanceof DependencyError)) throw error;
        // Not committed: shipped again after the next start, and stored once.
        this.readTrouble = error.message;
      } finally {
        this.sending = false;
        this.changed();
      }
    }
  }

  /** Until Loki has it; false when stopped before. */
  private async send(request: readonly LokiEntry[]): Promise<boolean> {
    const { writer, logger, now = Date.now } = this.options;
    const { signal } = this.stopped;
    let sinceMs: number | undefined;
    let reason = '';
    for (let waitMs = retryMs.first; ; waitMs = Math.min(waitMs * 2, retryMs.longest)) {
      try {
        await writer.send(request, signal);
        break;
      } catch (error) {
        if (!(error instanceof DependencyError)) throw error;
        sinceMs ??= now();
        reason = error.message;
        this.shipTrouble = reason;
        this.changed();
        if (signal.aborted) return false;
        logger.warn({ sink: this.name, waitMs, waiting: this.options.log.waiting(), error: reason }, 'Loki is away; findings are kept');
        await this.until(() => signal.aborted, waitMs);
      }
    }
    this.shipTrouble = undefined;
    if (sinceMs !== undefined) await this.tellOutage(sinceMs, reason);
    return true;
  }

  /** Once, and not at any price. */
  private async tellOutage(sinceMs: number, reason: string): Promise<void> {
    const { writer, logger, labels, now = Date.now } = this.options;
    logger.info({ sink: this.name }, 'Loki is back');
    const nowMs = now();
    const finding = selfFinding({
      rule: 'streamgauge.sink_failed',
      title: 'Loki did not take findings',
      key: { sink: this.name },
      summary: `${this.name} was away for ${Math.round((nowMs - sinceMs) / 1000)} s; findings waited in ${this.options.log.name}: ${reason}`,
      value: nowMs - sinceMs,
      sinceMs,
      nowMs,
    });
    const entry = lokiEntry(findingSchema.parse(toOcsf(finding)), labels);
    for (const request of writer.prepare([entry])) await writer.send(request, this.stopped.signal).catch(() => {});
  }

  private countUnshipped(reason: string, count: number): void {
    this.unshipped[reason] = (this.unshipped[reason] ?? 0) + count;
  }

  private trouble(): string | undefined {
    const source = this.source?.health();
    return this.shipTrouble ?? this.readTrouble ?? (source === undefined || source.ok ? undefined : source.reason);
  }

  private forget(): void {
    this.gathered = [];
    this.gatheredBytes = 0;
    this.positions = {};
  }

  private idle(): boolean {
    return Object.keys(this.positions).length === 0 && !this.sending;
  }

  private quiet(): boolean {
    // Where it is not known whether more waits, more may.
    const more = this.source?.health().lagRecords !== 0;
    return performance.now() - this.lastBatchMs >= (more ? quietMs.more : quietMs.ended);
  }

  private changed(): void {
    for (const look of [...this.waiters]) look();
  }

  /** Resolves true once `done`, looked at whenever something changed (and every `everyMs`), or false after `forMs`. */
  private until(done: () => boolean, forMs?: number, everyMs?: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (found: boolean): void => {
        clearTimeout(timer);
        clearInterval(often);
        this.waiters.delete(look);
        resolve(found);
      };
      const look = (): void => {
        if (done()) end(true);
      };
      const timer = forMs === undefined ? undefined : setTimeout(() => end(false), forMs);
      const often = everyMs === undefined ? undefined : setInterval(look, everyMs);
      this.waiters.add(look);
      look();
    });
  }
}

/** A topic may hold what others wrote. */
function findingOf(value: Uint8Array): OcsfFinding | undefined {
  try {
    const parsed = findingSchema.safeParse(JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
