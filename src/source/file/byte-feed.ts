/** The bytes of a file from a place on, a chunk at a time: plain, or unpacked from gzip. */
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';

export interface ByteFeed {
  /** The next bytes, valid until the next call; undefined at the end (a plain file that has grown since gives more when asked again). */
  read(): Promise<Buffer | undefined>;
  /** How many bytes of the file itself were read: for fairness between files. */
  readonly fileBytesRead: number;
  close(): Promise<void>;
}

const chunkBytes = 256 * 1024;
/** A followed file that gets a line now and then needs no more, and there may be thousands. */
const smallChunkBytes = 16 * 1024;

export class PlainFeed implements ByteFeed {
  readonly handle: FileHandle;
  position: number;
  private buffer = Buffer.alloc(0);

  private readonly seekable: boolean;
  /** The last read had no room left: the next one gets more. */
  private filled = true;

  /** @param seekable false for a pipe, which has one place to read from: where it stands. */
  constructor(handle: FileHandle, position: number, seekable = true) {
    this.handle = handle;
    this.position = position;
    this.seekable = seekable;
  }

  get fileBytesRead(): number {
    return this.position;
  }

  async read(): Promise<Buffer | undefined> {
    // A read that filled its buffer is followed by larger ones; views into the buffer before stay valid as long as somebody holds them.
    if (this.filled) this.buffer = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(smallChunkBytes, this.buffer.length * 4)));
    const { bytesRead } = await this.handle.read(this.buffer, 0, this.buffer.length, this.seekable ? this.position : null);
    this.filled = bytesRead === this.buffer.length && this.buffer.length < chunkBytes;
    if (bytesRead === 0) {
      if (this.buffer.length > smallChunkBytes) this.buffer = Buffer.allocUnsafe(smallChunkBytes);
      return undefined;
    }
    this.position += bytesRead;
    return this.buffer.subarray(0, bytesRead);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/** Positions are those of the unpacked bytes; what lies before `from` is unpacked and let go, gzip has no other way there. */
export class GzipFeed implements ByteFeed {
  private readonly file;
  private readonly chunks: AsyncIterator<Buffer>;
  private toSkip: number;

  constructor(path: string, from: number) {
    this.file = createReadStream(path, { highWaterMark: 65_536 });
    const unpacked = createGunzip({ chunkSize: chunkBytes });
    this.file.on('error', (error) => unpacked.destroy(error));
    this.file.pipe(unpacked);
    this.chunks = unpacked[Symbol.asyncIterator]();
    this.toSkip = from;
  }

  get fileBytesRead(): number {
    return this.file.bytesRead;
  }

  async read(): Promise<Buffer | undefined> {
    for (;;) {
      const { done, value } = await this.chunks.next();
      if (done) return undefined;
      const skip = Math.min(this.toSkip, value.length);
      this.toSkip -= skip;
      if (skip < value.length) return value.subarray(skip);
    }
  }

  async close(): Promise<void> {
    this.file.destroy();
    await this.chunks.return?.();
  }
}

/** By name or by its first two bytes. */
export async function isGzip(path: string): Promise<boolean> {
  if (path.endsWith('.gz')) return true;
  const handle = await open(path, 'r');
  try {
    const magic = Buffer.alloc(2);
    const { bytesRead } = await handle.read(magic, 0, 2, 0);
    return bytesRead === 2 && magic[0] === 0x1f && magic[1] === 0x8b;
  } finally {
    await handle.close();
  }
}
