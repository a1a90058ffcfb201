/**
 * Bytes -> lines, without decoding them. A line ends at LF; a CR before it is not part of the line. What is held between two chunks is at
 * most `maxLineBytes`: the rest of a longer line is counted and let go, and its record says so (`cutFromBytes`).
 */
import { rejectHeader } from '../../../processors/decode/reject-header.ts';
import type { SourceRecord } from '../../../processors/record.ts';

export const defaultMaxLineBytes = 1024 * 1024;

export interface LineSplitterOptions {
  /** Default 1 MiB. */
  readonly maxLineBytes?: number;
  /** Byte position of the first byte that will be fed. */
  readonly startOffset?: number;
  /** The first byte fed is inside a line that was read before: let everything go up to and with the first LF. */
  readonly skipFirst?: boolean;
}

const lineFeed = 10;
const carriageReturn = 13;

/**
 * `feed` a chunk, then `take` until it gives an empty list, then feed the next. Values are views into the chunk where a line lies within
 * one: they are valid until the chunk is reused.
 */
export class LineSplitter {
  private readonly maxLineBytes: number;
  private chunk: Buffer = Buffer.alloc(0);
  /** Next byte of the chunk to look at. */
  private at = 0;
  /** Byte position, in the stream, of the chunk's first byte. */
  private chunkOffset: number;
  /** The first bytes of a line whose end has not been seen, at most `maxLineBytes` + 1 (a CR may be one too many). */
  private held: Buffer = Buffer.alloc(0);
  private heldBytes = 0;
  /** Length so far of the line that is held, with what was let go. */
  private lineBytes = 0;
  private skipping: boolean;

  constructor(options: LineSplitterOptions = {}) {
    this.maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes;
    this.chunkOffset = options.startOffset ?? 0;
    this.skipping = options.skipFirst ?? false;
  }

  /** Byte position where the first line that has not been taken begins. */
  get nextOffset(): number {
    return this.chunkOffset + this.at - this.lineBytes;
  }

  /** Bytes of a line whose end has not been seen. */
  get pendingBytes(): number {
    return this.lineBytes;
  }

  /** The chunk before it must have been taken to its end. */
  feed(chunk: Uint8Array): void {
    if (this.at < this.chunk.length) throw new Error(`${this.chunk.length - this.at} bytes of the chunk before were not taken`);
    this.chunkOffset += this.chunk.length;
    this.chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.at = 0;
  }

  /** The next whole lines, at most `maxLines` of them and no more after `maxBytes` are reached; empty when the chunk holds no more. */
  take(maxLines: number, maxBytes: number): SourceRecord[] {
    const lines: SourceRecord[] = [];
    let bytes = 0;
    while (lines.length < maxLines && bytes < maxBytes) {
      const end = this.chunk.indexOf(lineFeed, this.at);
      if (end < 0) {
        this.hold(this.chunk.length);
        break;
      }
      if (this.skipping) {
        this.skipping = false;
        this.at = end + 1;
        continue;
      }
      const line = this.line(end);
      bytes += line.value!.length;
      lines.push(line);
    }
    return lines;
  }

  /** The last line, where the input ended without an LF. */
  end(): SourceRecord | undefined {
    if (this.skipping || this.lineBytes === 0) return undefined;
    const line = this.heldLine(this.nextOffset);
    this.forgetHeld();
    return line;
  }

  private line(end: number): SourceRecord {
    const offset = this.nextOffset;
    if (this.lineBytes > 0) {
      this.hold(end);
      const line = this.heldLine(offset);
      this.forgetHeld();
      this.at = end + 1;
      return line;
    }
    const start = this.at;
    this.at = end + 1;
    const stop = end > start && this.chunk[end - 1] === carriageReturn ? end - 1 : end;
    if (stop - start <= this.maxLineBytes) return { value: this.chunk.subarray(start, stop), offset, timestampMs: Number.NaN };
    return cut(this.chunk.subarray(start, start + this.maxLineBytes), offset, stop - start);
  }

  /** Keeps what the chunk has up to `end` of the line that is being collected. */
  private hold(end: number): void {
    const from = this.at;
    this.at = end;
    if (this.skipping) return;
    const take = Math.min(end - from, this.maxLineBytes + 1 - this.heldBytes);
    if (this.heldBytes + take > this.held.length) {
      const wider = Buffer.allocUnsafe(Math.min(this.maxLineBytes + 1, Math.max(4096, (this.heldBytes + take) * 2)));
      this.held.copy(wider, 0, 0, this.heldBytes);
      this.held = wider;
    }
    this.chunk.copy(this.held, this.heldBytes, from, from + take);
    this.heldBytes += take;
    this.lineBytes += end - from;
    // Only needed to tell a CR at the end of a line that was cut: it is not part of the line's length.
    if (end > from) this.lastByte = this.chunk[end - 1]!;
  }

  private lastByte = 0;

  private heldLine(offset: number): SourceRecord {
    const length = this.lastByte === carriageReturn ? this.lineBytes - 1 : this.lineBytes;
    // A copy: the next held line may come in the same batch.
    const value = Buffer.from(this.held.subarray(0, Math.min(length, this.maxLineBytes)));
    if (length <= this.maxLineBytes) return { value, offset, timestampMs: Number.NaN };
    return cut(value, offset, length);
  }

  private forgetHeld(): void {
    this.heldBytes = 0;
    this.lineBytes = 0;
    this.lastByte = 0;
    // A long line must not keep its memory for good.
    if (this.held.length > 65_536) this.held = Buffer.alloc(0);
  }
}

const tooLong = { [rejectHeader]: 'too_long' };

/** Not to be decoded: half a message may well be a message, another one. */
function cut(value: Uint8Array, offset: number, length: number): SourceRecord {
  return { value, offset, timestampMs: Number.NaN, headers: tooLong, cutFromBytes: length };
}
