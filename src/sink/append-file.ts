/**
 * A file of lines that is only ever added to. Whole lines or nothing: a write that failed half way is taken back before it is tried
 * again, and a last line torn by a crash is cut when the file is opened.
 */
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { DependencyError, UsageError } from '../errors.ts';

export interface AppendFileOptions {
  readonly path: string;
  /** Waits for the disk before a write resolves; default true. Without it a power loss can take the last seconds. */
  readonly fsync?: boolean;
  /** Waits before the second, third … try of a failed write, ms; default 100 ms doubling to 3.2 s, about six seconds in all. */
  readonly retryDelaysMs?: readonly number[];
}

/** The disk may get room, or come back: worth another try. Anything else stays wrong. */
const passing = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EAGAIN', 'EINTR', 'ESTALE', 'EBUSY', 'ENOMEM', 'EMFILE', 'ENFILE']);
const defaultDelaysMs = [100, 200, 400, 800, 1600, 3200];
const lineFeed = 10;
const tailBytes = 64 * 1024;

export class AppendFile {
  readonly path: string;
  retries = 0;
  /** Why the last write failed; undefined when it did not. */
  trouble: string | undefined;
  private readonly fsync: boolean;
  private readonly retryDelaysMs: readonly number[];
  private handle: FileHandle | undefined;
  /** Where a write that failed began, if what it left could not be cut off yet. */
  private cutTo: number | undefined;
  /** The write before this one: writes keep their order, also when not awaited. */
  private last: Promise<void> = Promise.resolve();

  constructor(options: AppendFileOptions) {
    this.path = options.path;
    this.fsync = options.fsync ?? true;
    this.retryDelaysMs = options.retryDelaysMs ?? defaultDelaysMs;
  }

  async open(): Promise<void> {
    this.handle = await this.openWhole();
  }

  /** Resolves when the text, whole lines, is in the file (and on the disk, with `fsync`). */
  append(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    const done = this.last.then(() => this.write(bytes));
    // A write that failed must not fail those after it, each tries for itself.
    this.last = done.catch(() => {});
    return done;
  }

  /** Bytes in the file. */
  async size(): Promise<number> {
    return (await this.extent()).bytes;
  }

  /** Bytes in the file, and which file it is: a rotation puts another in its place. Of a pipe or device 0: it cannot be read again. */
  async extent(): Promise<{ bytes: number; inode: number }> {
    await this.last;
    const stat = await this.opened().stat();
    return stat.isFile() ? { bytes: stat.size, inode: stat.ino } : { bytes: 0, inode: 0 };
  }

  /** The lines of a file from a byte on. */
  linesFrom(start: number): AsyncIterable<string> {
    const input = this.opened().createReadStream({ start, autoClose: false, encoding: 'utf8' });
    return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  }

  /** Moves the file to `to`, over what was there, and starts an empty one. */
  async rotate(to: string): Promise<void> {
    await this.last;
    const before = this.opened();
    try {
      await rename(this.path, to);
    } catch (error) {
      throw new DependencyError(`${this.path} cannot be moved to ${to}: ${(error as Error).message}`, { cause: error });
    }
    // Until the new file is open the old one, by whatever name, still takes lines.
    this.handle = await this.openWhole();
    await before.close();
  }

  async close(): Promise<void> {
    await this.last;
    await this.handle?.close();
    this.handle = undefined;
  }

  private async openWhole(): Promise<FileHandle> {
    let handle: FileHandle | undefined;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      handle = await open(this.path, 'a+');
      await this.repair(handle);
      if (this.fsync) await syncFolder(dirname(this.path));
      return handle;
    } catch (error) {
      await handle?.close();
      if (error instanceof UsageError) throw error;
      throw new DependencyError(`${this.path} cannot be opened for writing: ${(error as Error).message}`, { cause: error });
    }
  }

  private async write(bytes: Uint8Array): Promise<void> {
    const handle = this.opened();
    for (let attempt = 0; ; attempt++) {
      try {
        // Asked each time: someone else may have cut the file (a copying log rotation).
        const { size } = await handle.stat();
        const whole = Math.min(size, this.cutTo ?? size);
        if (whole < size) await handle.truncate(whole);
        this.cutTo = undefined;
        await this.writeWhole(handle, bytes, whole);
        this.trouble = undefined;
        return;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? '';
        this.trouble = `${this.path}: ${code === 'ENOSPC' ? 'the disk is full' : (error as Error).message}`;
        const delayMs = this.retryDelaysMs[attempt];
        if (!passing.has(code) || delayMs === undefined) {
          throw new DependencyError(`${this.trouble}; gave up after ${attempt + 1} tries: make room or name another path`, {
            cause: error,
          });
        }
        this.retries++;
        await sleep(delayMs);
      }
    }
  }

  private async writeWhole(handle: FileHandle, bytes: Uint8Array, whole: number): Promise<void> {
    try {
      for (let written = 0; written < bytes.length; ) {
        written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
      }
      if (this.fsync) await handle.datasync().catch(ignoreUnsyncable);
    } catch (error) {
      // Takes back what was written of it, so that the next try repeats no half line. Cutting needs no room.
      await handle.truncate(whole).catch(() => {
        this.cutTo = whole;
      });
      throw error;
    }
  }

  /**
   * A crash can leave a last line without its end (or, after a power loss, NUL bytes): that line was never acknowledged, so whatever led
   * to it will come again; it is cut. A whole object that only lacks its LF gets one. Anything else is not a file of ours.
   */
  private async repair(handle: FileHandle): Promise<void> {
    const { size } = await handle.stat();
    const torn = await tornTail(handle, size);
    if (torn.length === 0) return;
    if (torn[0] !== 0x7b && torn[0] !== 0) {
      throw new UsageError([
        `${this.path}: ends in ${JSON.stringify(torn.toString('utf8', 0, 40))}, not in a line of JSON: name another path`,
      ]);
    }
    if (isJson(torn)) await handle.write('\n');
    else await handle.truncate(size - torn.length);
  }

  private opened(): FileHandle {
    if (!this.handle) throw new Error(`${this.path} is not open: open() comes before the first write, and none after close()`);
    return this.handle;
  }
}

/** A device or a pipe has nothing to flush, and says so. */
function ignoreUnsyncable(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EINVAL' && error.code !== 'ENOTSUP') throw error;
}

/** What follows the last LF. */
async function tornTail(handle: FileHandle, size: number): Promise<Buffer> {
  let tail = Buffer.alloc(0);
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - tailBytes);
    const part = Buffer.alloc(end - from);
    await handle.read(part, 0, part.length, from);
    const newline = part.lastIndexOf(lineFeed);
    tail = Buffer.concat([part.subarray(newline + 1), tail]);
    if (newline >= 0) break;
    end = from;
  }
  return tail;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

/** Makes a new or renamed entry of a folder survive a power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
