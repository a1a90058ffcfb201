/** The files of a journal: which there are, which holds a number, and what may go. */
import { constants, type FileHandle, open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { JournalSegment } from './journal-segment.ts';

const suffix = '.journal';

/**
 * Writes that return when they are on disk, as `fdatasync` after each would: half the trips to another thread, which cost more than the
 * bytes. 0 where the system has no such flag; then they must be synced.
 */
const syncedWrites = constants.O_DSYNC ?? 0;

/** Makes what was written to a file of a journal durable. */
export const syncWritten: (file: FileHandle) => Promise<void> = syncedWrites === 0 ? (file) => file.datasync() : async () => {};

/** Opens a file that is there, to write on. */
export function reopen(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | syncedWrites);
}

export class JournalFiles {
  /** Bytes of all of them. */
  bytes = 0;
  private readonly dir: string;
  /** In the order of their numbers; the last is the one being written. */
  private readonly segments: JournalSegment[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async list(dir: string): Promise<JournalFiles> {
    const files = new JournalFiles(dir);
    for (const name of (await readdir(dir)).filter((each) => each.endsWith(suffix)).sort()) {
      const first = Number(name.slice(0, -suffix.length));
      if (!Number.isSafeInteger(first)) throw new Error(`${name} is no segment: its name must be a sequence number`);
      const path = join(dir, name);
      const { size, mtimeMs } = await stat(path);
      files.segments.push(new JournalSegment(path, first, size, mtimeMs));
      files.bytes += size;
    }
    return files;
  }

  get isEmpty(): boolean {
    return this.segments.length === 0;
  }

  get first(): JournalSegment {
    return this.segments[0];
  }

  get last(): JournalSegment {
    return this.segments[this.segments.length - 1];
  }

  /** The one that holds a sequence number, or would. */
  holding(sequence: number): JournalSegment {
    let i = this.segments.length - 1;
    while (i > 0 && this.segments[i].firstSequence > sequence) i--;
    return this.segments[i];
  }

  after(segment: JournalSegment): JournalSegment {
    return this.segments.find((each) => each.firstSequence > segment.firstSequence) ?? segment;
  }

  /** The oldest that was written at or after a time, ms since the epoch. */
  writtenSince(timeMs: number): JournalSegment | undefined {
    return this.segments.find((each) => each.modifiedMs >= timeMs);
  }

  /** Begins a file, durably, and gives its handle. */
  async begin(firstSequence: number): Promise<FileHandle> {
    const path = join(this.dir, `${String(firstSequence).padStart(16, '0')}${suffix}`);
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | syncedWrites);
    try {
      await syncFolder(this.dir);
    } catch (error) {
      await file.close();
      throw error;
    }
    // One begun at the same number was empty: it is the file just opened.
    if (!this.isEmpty && this.last.firstSequence === firstSequence) this.segments.pop();
    this.segments.push(new JournalSegment(path, firstSequence, 0, Number.POSITIVE_INFINITY));
    return file;
  }

  /** Counts bytes that were written to the last file, or cut from it. */
  grow(bytes: number): void {
    this.last.bytes += bytes;
    this.bytes += bytes;
  }

  /** Removes whole files before a number, the oldest first, while more than `keepBytes` are held. Says whether any went. */
  async removeBefore(sequence: number, keepBytes: number): Promise<boolean> {
    let removed = false;
    while (this.segments.length > 1 && this.segments[1].firstSequence <= sequence && this.bytes > keepBytes) {
      await unlink(this.first.path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      this.bytes -= this.first.bytes;
      this.segments.shift();
      removed = true;
    }
    return removed;
  }
}

/** `write` may write less than asked. */
export async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** A new file's name is only durable once its folder is. */
async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
