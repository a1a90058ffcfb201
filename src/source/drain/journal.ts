/**
 * The durable log under a drain: append-only segment files in a folder of its own. What `append` resolved for survives a crash; it is
 * numbered without gaps, and the number is the record's offset. One process may have a folder open.
 */
import { type FileHandle, mkdir } from 'node:fs/promises';
import { DependencyError } from '../../errors.ts';
import { GroupCommit } from './group-commit.ts';
import { endMark, entryBytes, prepareEntry, writeEntry } from './journal-entry.ts';
import { JournalFiles } from './journal-files.ts';
import { JournalReader, type ReadLimits } from './journal-reader.ts';
import type { JournalRecord, PreparedEntry, StoredRecord } from './journal-record.ts';
import { SegmentReader } from './journal-segment.ts';
import type { RecordSlices } from './record-slices.ts';

export type { JournalRecord, StoredRecord } from './journal-record.ts';

/** The journal may hold no more, or more waits to be written than may: come back when something was trimmed. */
export class JournalFullError extends Error {
  override name = 'JournalFullError';
}

export interface JournalOptions {
  /** The folder; made if missing. */
  readonly dir: string;
  /** Bytes on disk at which `append` rejects. */
  readonly maxBytes?: number;
  /** Bytes of trimmed records to keep all the same, so that a finding's samples can be read again and repeats told after a restart. */
  readonly keepBytes?: number;
  /** Size at which a new file is begun; files are what `trim` removes. */
  readonly segmentBytes?: number;
  /** Told of damage found and stepped over, and of a torn tail cut off. */
  readonly onDamage?: (text: string) => void;
  /** Makes an append durable; tests put a failing disk here. */
  readonly sync?: (file: FileHandle) => Promise<void>;
}

const defaultMaxBytes = 1024 ** 3;
const defaultKeepBytes = 256 * 1024 ** 2;
const defaultSegmentBytes = 16 * 1024 ** 2;
/** Appends held in memory while the disk is slow. */
const maxPendingBytes = 64 * 1024 ** 2;
const scratchBytes = 512 * 1024;
const repairEveryMs = 1000;

export class Journal {
  /** The next sequence number to be given. */
  nextSequence = 0;
  /** Places where damage was stepped over since the journal was opened. */
  damaged = 0;
  private readonly options: Required<Omit<JournalOptions, 'onDamage' | 'sync'>> & Pick<JournalOptions, 'sync'>;
  private readonly onDamage: (text: string) => void;
  private files!: JournalFiles;
  private reader!: JournalReader;
  private readonly commits = new GroupCommit((entries) => this.write(entries));
  /** Set when a failed write may have left bytes that were not acknowledged: they are cut before anything else is written. */
  private broken: Error | undefined;
  private repairTimer: NodeJS.Timeout | undefined;
  private readonly scratch = Buffer.allocUnsafeSlow(scratchBytes);
  private closed = false;
  private trimming: Promise<void> = Promise.resolve();
  private roomWaiters: (() => void)[] = [];

  private constructor(options: JournalOptions) {
    const maxBytes = options.maxBytes ?? defaultMaxBytes;
    this.options = {
      dir: options.dir,
      maxBytes,
      keepBytes: Math.min(options.keepBytes ?? defaultKeepBytes, Math.floor(maxBytes / 2)),
      segmentBytes: Math.min(options.segmentBytes ?? defaultSegmentBytes, Math.max(1, Math.floor(maxBytes / 4))),
      sync: options.sync,
    };
    this.onDamage = (text) => {
      this.damaged++;
      options.onDamage?.(text);
    };
  }

  /** Opens a folder, cutting a torn tail at its last whole append. Rejects with a `DependencyError` if the folder cannot be used. */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options);
    try {
      await mkdir(options.dir, { recursive: true });
      await journal.load();
    } catch (cause) {
      throw new DependencyError(
        `journal ${options.dir}: cannot be opened: ${(cause as Error).message}; check that the folder can be written`,
        {
          cause,
        },
      );
    }
    return journal;
  }

  /** The oldest sequence number still kept. */
  get firstSequence(): number {
    return this.files.first.firstSequence;
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.files.bytes;
  }

  /** Why appends fail at the moment, if they do. */
  get failure(): Error | undefined {
    return this.broken;
  }

  /**
   * Keeps records, all or none, and resolves with the first one's sequence number once they are on disk. Appends that wait for the disk
   * share one sync. Rejects with `JournalFullError` at the size cap and with a `DependencyError` when the disk refuses.
   */
  async append(records: readonly JournalRecord[] | RecordSlices): Promise<number> {
    if (records.length === 0) return this.nextSequence;
    if (this.closed) throw new DependencyError(`journal ${this.options.dir}: closed`);
    const entry = prepareEntry(records);
    const bytes = entryBytes(entry);
    const { pendingBytes } = this.commits;
    if (this.files.bytes + pendingBytes + bytes > this.options.maxBytes || pendingBytes + bytes > maxPendingBytes) {
      const held = this.files.bytes + pendingBytes;
      throw new JournalFullError(
        `journal ${this.options.dir}: holds ${held} of at most ${this.options.maxBytes} bytes, ${bytes} more do not fit`,
      );
    }
    return this.commits.add(entry);
  }

  /** Resolves when something was trimmed, or after `timeoutMs`. */
  room(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.roomWaiters = this.roomWaiters.filter((waiter) => waiter !== done);
        resolve();
      }, timeoutMs);
      this.roomWaiters.push(done);
    });
  }

  /**
   * Records from a sequence number on (from the oldest kept if that is gone), in order, in batches; then waits for more, until `until`
   * (a sequence number) is reached, `signal` aborts or the journal is closed. Values are views that nothing else writes to.
   */
  readFrom(sequence: number, limits: ReadLimits = {}): AsyncGenerator<StoredRecord[], void, void> {
    return this.reader.readFrom(sequence, limits);
  }

  /** One record again; undefined if it was trimmed, damaged or never there. */
  async read(sequence: number): Promise<StoredRecord | undefined> {
    if (!Number.isSafeInteger(sequence) || sequence < this.firstSequence || sequence >= this.nextSequence) return undefined;
    return this.reader.read(sequence);
  }

  /** The first sequence number of the oldest file written at or after a time, ms since the epoch. */
  firstSequenceSince(timeMs: number): number {
    return this.files.writtenSince(timeMs)?.firstSequence ?? this.nextSequence;
  }

  /**
   * Lets go of everything before a sequence number: whole files are removed, the oldest first, while more than `keepBytes` are held. The
   * file that is being written stays.
   */
  trim(beforeSequence: number): Promise<void> {
    const removed = this.trimming.then(() => this.removeBefore(beforeSequence));
    this.trimming = removed.catch(() => {});
    return removed;
  }

  /** Makes the next number at least `sequence`: for a folder that was emptied while a checkpoint went on remembering offsets. */
  startAt(sequence: number): Promise<void> {
    return this.commits.between(async () => {
      if (sequence <= this.nextSequence) return;
      if (this.broken !== undefined) await this.repair();
      await this.roll(sequence);
    });
  }

  /** Finishes what was appended, then refuses more; readers end. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.repairTimer);
    await this.commits.idle();
    await this.trimming;
    this.reader.close();
    for (const waiter of this.roomWaiters.splice(0)) waiter();
    await this.files.close();
  }

  private async load(): Promise<void> {
    this.files = await JournalFiles.list(this.options.dir, this.options.sync);
    this.reader = new JournalReader(this.files, this.onDamage);
    if (this.files.isEmpty) return this.roll(0);
    const { last } = this.files;
    this.nextSequence = last.firstSequence;
    const reader = await SegmentReader.open(last, 0, this.onDamage);
    try {
      while (await reader.next(last.bytes)) this.nextSequence = reader.firstSequence + reader.recordCount;
      const torn = last.bytes - reader.position;
      if (torn > 0 && !(await reader.endsHere())) {
        this.onDamage(
          `${last.path}: ${torn} bytes after ${reader.position} are no whole append: cut; a crash leaves one that was not acknowledged`,
        );
      }
    } finally {
      await reader.close();
    }
    await this.files.reopen(reader.position);
  }

  private async write(entries: readonly PreparedEntry[]): Promise<number[]> {
    try {
      if (this.broken !== undefined) await this.repair();
      return await this.writeGroup(entries);
    } catch (cause) {
      this.broken = new DependencyError(`journal ${this.options.dir}: write failed: ${(cause as Error).message}; is the disk full?`, {
        cause,
      });
      this.repairLater();
      throw this.broken;
    }
  }

  private async writeGroup(entries: readonly PreparedEntry[]): Promise<number[]> {
    if (this.files.last.bytes >= this.options.segmentBytes) await this.roll(this.nextSequence);
    const segment = this.files.last;
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    const buffer = this.groupBuffer(bytes + endMark.length);
    const firsts: number[] = [];
    let at = 0;
    let sequence = this.nextSequence;
    for (const entry of entries) {
      firsts.push(sequence);
      at = writeEntry(entry, sequence, buffer, at);
      sequence += entry.count;
    }
    buffer.set(endMark, at);
    const position = segment.bytes;
    await this.files.append(buffer);
    segment.note(firsts[0], position);
    this.nextSequence = sequence;
    this.reader.wake();
    return firsts;
  }

  /** Groups are written one at a time, so most of them can be put together in the same place. */
  private groupBuffer(bytes: number): Buffer {
    return bytes > this.scratch.length ? Buffer.allocUnsafe(bytes) : this.scratch.subarray(0, bytes);
  }

  /** Without traffic nobody would notice that the disk works again, and without health there may be no traffic. */
  private repairLater(): void {
    if (this.closed || this.repairTimer !== undefined) return;
    const attempt = async (): Promise<void> => {
      if (this.broken !== undefined && !this.closed) await this.repair();
    };
    this.repairTimer = setTimeout(() => {
      this.repairTimer = undefined;
      this.commits.between(attempt).catch(() => this.repairLater());
    }, repairEveryMs);
    this.repairTimer.unref();
  }

  /** Cuts what a failed write may have left: its sequence numbers will be given again. */
  private async repair(): Promise<void> {
    await this.files.cut();
    this.broken = undefined;
  }

  private async roll(firstSequence: number): Promise<void> {
    await this.files.begin(firstSequence);
    this.nextSequence = firstSequence;
    this.reader.wake();
  }

  private async removeBefore(sequence: number): Promise<void> {
    if (!(await this.files.removeBefore(sequence, this.options.keepBytes))) return;
    for (const waiter of this.roomWaiters.splice(0)) waiter();
  }
}
