/** One file of a journal, and a reader that walks its entries and steps over damage. */
import { type FileHandle, open } from 'node:fs/promises';
import { claimedBytes, endMark, entryHeadBytes, firstSequenceOf, isWhole, magicBytes, recordCountOf } from './journal-entry.ts';

/** A place is remembered every so many bytes, so that reading one record does not walk a whole file. */
const indexEveryBytes = 64 * 1024;
const readBytes = 256 * 1024;

export class JournalSegment {
  readonly path: string;
  readonly firstSequence: number;
  /** Durable bytes: nothing past them is ever read. */
  bytes: number;
  /** When it was last written, ms since the epoch, as the file system said when the journal was opened. */
  modifiedMs: number;
  /** Who has the file open. */
  readers = 0;
  private readonly sequences: number[] = [];
  private readonly positions: number[] = [];

  constructor(path: string, firstSequence: number, bytes: number, modifiedMs: number) {
    this.path = path;
    this.firstSequence = firstSequence;
    this.bytes = bytes;
    this.modifiedMs = modifiedMs;
  }

  /** Notes that the entry at `position` starts with `sequence`; kept if it is far enough from the last one noted. */
  note(sequence: number, position: number): void {
    const last = this.positions.at(-1);
    if (last !== undefined && position < last + indexEveryBytes) return;
    this.sequences.push(sequence);
    this.positions.push(position);
  }

  /** A position at or before the entry that holds `sequence`. */
  positionBefore(sequence: number): number {
    let low = 0;
    let high = this.sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sequences[middle] <= sequence) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : this.positions[low - 1];
  }
}

/** Walks the entries of a segment. After `next()` returned true, `buffer` and `at` hold a whole entry of `size` bytes. */
export class SegmentReader {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  size = 0;
  /** File position after the last whole entry: where a torn tail begins once `next` has said false. */
  position: number;
  private readonly file: FileHandle;
  private readonly segment: JournalSegment;
  private readonly damaged: (text: string) => void;
  /** File position of `buffer[0]`. */
  private bufferStart = 0;
  /** Damage at `position` has been searched for a whole entry up to here. */
  private searchedTo = 0;

  private constructor(file: FileHandle, segment: JournalSegment, position: number, damaged: (text: string) => void) {
    this.file = file;
    this.segment = segment;
    this.position = position;
    this.damaged = damaged;
  }

  static async open(segment: JournalSegment, position: number, damaged: (text: string) => void): Promise<SegmentReader> {
    segment.readers++;
    try {
      return new SegmentReader(await open(segment.path, 'r'), segment, position, damaged);
    } catch (error) {
      segment.readers--;
      throw error;
    }
  }

  get firstSequence(): number {
    return firstSequenceOf(this.buffer, this.at);
  }

  get recordCount(): number {
    return recordCountOf(this.buffer, this.at);
  }

  /** Whether the next entry is already in memory, so that `next` will not read. */
  get buffered(): boolean {
    return this.position >= this.bufferStart && this.position + entryHeadBytes <= this.bufferStart + this.buffer.length;
  }

  /** Steps to the next whole entry before `limit` (a file position), over damaged bytes; false if there is none. */
  async next(limit: number): Promise<boolean> {
    if (await this.wholeAt(this.position, limit)) return this.accept(this.position);
    // Damage in the middle of a file has whole entries after it; a torn tail has none.
    for (let candidate = await this.magicAfter(Math.max(this.position + 1, this.searchedTo), limit); candidate >= 0; ) {
      if (await this.wholeAt(candidate, limit)) {
        this.damaged(`${this.segment.path}: ${candidate - this.position} damaged bytes at ${this.position} skipped`);
        return this.accept(candidate);
      }
      candidate = await this.magicAfter(candidate + 1, limit);
    }
    return false;
  }

  /** Whether what was written ends at `position`, as its writer left it: with the file, or with the mark that is put after each write. */
  async endsHere(): Promise<boolean> {
    const rest = Buffer.alloc(endMark.length);
    await this.file.read(rest, 0, rest.length, this.position);
    return rest.equals(endMark);
  }

  async close(): Promise<void> {
    this.segment.readers--;
    await this.file.close();
  }

  private accept(position: number): boolean {
    this.at = position - this.bufferStart;
    this.position = position + this.size;
    this.segment.note(this.firstSequence, position);
    return true;
  }

  private async wholeAt(position: number, limit: number): Promise<boolean> {
    if (position + entryHeadBytes > limit) return false;
    await this.have(position, entryHeadBytes, limit);
    if (position + entryHeadBytes > this.bufferStart + this.buffer.length) return false;
    this.size = claimedBytes(this.buffer, position - this.bufferStart);
    if (this.size < 0 || position + this.size > limit) return false;
    await this.have(position, this.size, limit);
    if (position + this.size > this.bufferStart + this.buffer.length) return false;
    const at = position - this.bufferStart;
    // What the file held before it was written again has smaller numbers.
    return isWhole(this.buffer, at, this.size) && firstSequenceOf(this.buffer, at) >= this.segment.firstSequence;
  }

  private async magicAfter(from: number, limit: number): Promise<number> {
    let position = from;
    while (position + entryHeadBytes <= limit) {
      await this.have(position, entryHeadBytes, limit);
      const found = this.buffer.indexOf(magicBytes, position - this.bufferStart);
      if (found >= 0) return this.bufferStart + found;
      const searched = this.bufferStart + this.buffer.length - magicBytes.length + 1;
      if (searched <= position) break;
      position = searched;
    }
    this.searchedTo = Math.max(from, Math.min(position, limit - entryHeadBytes));
    return -1;
  }

  /** Makes `buffer` hold `size` bytes from `position`; a fresh one each time, because records of the last one may still be in use. */
  private async have(position: number, size: number, limit: number): Promise<void> {
    if (position >= this.bufferStart && position + size <= this.bufferStart + this.buffer.length) return;
    const wanted = Math.min(Math.max(size, readBytes), limit - position);
    const fresh = Buffer.allocUnsafe(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await this.file.read(fresh, filled, wanted - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    this.buffer = fresh.subarray(0, filled);
    this.bufferStart = position;
  }
}
