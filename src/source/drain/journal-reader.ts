/** Reads what a journal has made durable: from a number on and then along with it, or one record again. */
import { recordsOf } from './journal-entry.ts';
import type { JournalFiles } from './journal-files.ts';
import type { StoredRecord } from './journal-record.ts';
import { type JournalSegment, SegmentReader } from './journal-segment.ts';

const batchRecords = 1024;
const batchBytes = 1024 ** 2;

export interface ReadLimits {
  /** A sequence number; without it reading goes on. */
  readonly until?: number;
  readonly signal?: AbortSignal;
}

export class JournalReader {
  private readonly files: JournalFiles;
  private readonly onDamage: (text: string) => void;
  private closed = false;
  private appended: Promise<void> | undefined;
  private resolveAppended: () => void = () => {};

  constructor(files: JournalFiles, onDamage: (text: string) => void) {
    this.files = files;
    this.onDamage = onDamage;
  }

  async *readFrom(sequence: number, limits: ReadLimits): AsyncGenerator<StoredRecord[], void, void> {
    const until = limits.until ?? Number.POSITIVE_INFINITY;
    let next = Math.max(sequence, this.files.first.firstSequence);
    let reader: SegmentReader | undefined;
    let segment: JournalSegment | undefined;
    const wake = (): void => this.wake();
    limits.signal?.addEventListener('abort', wake);
    try {
      while (next < until && !limits.signal?.aborted && !this.closed) {
        if (reader === undefined || segment === undefined) {
          segment = this.files.holding(next);
          reader = await SegmentReader.open(segment, segment.positionBefore(next), this.onDamage);
        }
        const appended = this.nextAppend();
        const sealed = segment !== this.files.last;
        const batch = await readBatch(reader, segment, next, until);
        if (batch.length > 0) {
          next = batch[batch.length - 1].offset + 1;
          yield batch;
        } else if (sealed) {
          await reader.close();
          reader = undefined;
          next = Math.max(next, this.files.after(segment).firstSequence);
        } else if (!limits.signal?.aborted && !this.closed) {
          await appended;
        }
      }
    } finally {
      limits.signal?.removeEventListener('abort', wake);
      await reader?.close();
    }
  }

  /** One record that was appended; undefined if it is damaged. */
  async read(sequence: number): Promise<StoredRecord | undefined> {
    const segment = this.files.holding(sequence);
    const reader = await SegmentReader.open(segment, segment.positionBefore(sequence), () => {});
    try {
      while (await reader.next(segment.bytes)) {
        if (reader.firstSequence > sequence) return undefined;
        if (reader.firstSequence + reader.recordCount <= sequence) continue;
        const found: StoredRecord[] = [];
        recordsOf(reader.buffer, reader.at, found, sequence);
        return found[0];
      }
      return undefined;
    } finally {
      await reader.close();
    }
  }

  /** There is more to read, or a reason to look up. */
  wake(): void {
    this.appended = undefined;
    this.resolveAppended();
  }

  /** Ends all reading. */
  close(): void {
    this.closed = true;
    this.wake();
  }

  /** Resolves at the next append, abort or close: the same promise for every reader. */
  private nextAppend(): Promise<void> {
    this.appended ??= new Promise((resolve) => {
      this.resolveAppended = resolve;
    });
    return this.appended;
  }
}

async function readBatch(reader: SegmentReader, segment: JournalSegment, from: number, until: number): Promise<StoredRecord[]> {
  const batch: StoredRecord[] = [];
  let bytes = 0;
  while (await reader.next(segment.bytes)) {
    recordsOf(reader.buffer, reader.at, batch, from);
    bytes += reader.size;
    if (batch.length >= batchRecords || bytes >= batchBytes || (batch.length > 0 && !reader.buffered)) break;
  }
  while (batch.length > 0 && batch[batch.length - 1].offset >= until) batch.pop();
  return batch;
}
