/** A feed's bytes as batches of lines, from a position on. */
import type { SourceRecord } from '../../../processors/record.ts';
import type { ByteFeed } from './byte-feed.ts';
import { LineSplitter } from './line-splitter.ts';

const maxBatchLines = 1000;
const maxBatchBytes = 256 * 1024;

/**
 * Where reading starts so that the first line handed in is the first one that begins at `position` or after it: one byte earlier, because
 * whether a line begins at `position` is told by the byte before it.
 */
export function readFrom(position: number): { byte: number; skipFirst: boolean } {
  return position > 0 ? { byte: position - 1, skipFirst: true } : { byte: 0, skipFirst: false };
}

export class LineReader {
  readonly feed: ByteFeed;
  private readonly lines: LineSplitter;

  /** @param feed gives the bytes from `readFrom(position).byte` on. */
  constructor(feed: ByteFeed, position: number, maxLineBytes: number) {
    this.feed = feed;
    const { byte, skipFirst } = readFrom(position);
    this.lines = new LineSplitter({ maxLineBytes, startOffset: byte, skipFirst });
  }

  /** The next lines, up to 1,000 or about 256 KiB, valid until the next call; undefined where the feed has no more for now. */
  async next(): Promise<SourceRecord[] | undefined> {
    for (;;) {
      const lines = this.lines.take(maxBatchLines, maxBatchBytes);
      if (lines.length > 0) return lines;
      const chunk = await this.feed.read();
      if (!chunk) return undefined;
      this.lines.feed(chunk);
    }
  }

  /** The last line, where the input ended without an LF. */
  end(): SourceRecord | undefined {
    return this.lines.end();
  }

  get nextOffset(): number {
    return this.lines.nextOffset;
  }

  get pendingBytes(): number {
    return this.lines.pendingBytes;
  }
}

/** The line that begins at byte `offset`, cut at `maxLineBytes`; undefined where no line begins there. The feed is closed. */
export async function readLineAt(feed: ByteFeed, offset: number, maxLineBytes: number): Promise<Uint8Array | undefined> {
  try {
    const splitter = new LineSplitter({ maxLineBytes, startOffset: readFrom(offset).byte, skipFirst: readFrom(offset).skipFirst });
    for (let chunk = await feed.read(); chunk; chunk = await feed.read()) {
      splitter.feed(chunk);
      const [line] = splitter.take(1, 1);
      if (line) return line.offset === offset ? Buffer.from(line.value!) : undefined;
      // The first line that begins at or after the offset is not the one asked for.
      if (splitter.nextOffset > offset && splitter.pendingBytes > 0) return undefined;
      // A line of any length: what is past the limit is not needed.
      if (splitter.nextOffset === offset && splitter.pendingBytes > maxLineBytes + 1) break;
    }
    const last = splitter.end();
    return last && last.offset === offset ? last.value! : undefined;
  } finally {
    await feed.close();
  }
}
