/** The files of a journal: which there are, which holds a number, and what may go. */
import { constants, type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { endMark } from './journal-entry.ts';
import { JournalSegment } from './journal-segment.ts';

const suffix = '.journal';
const spareSuffix = '.spare';
/** Files kept to be written again. */
const maxSpares = 8;

/**
 * Writes that return when they are on disk, as `fdatasync` after each would: half the trips to another thread, which cost more than the
 * bytes. 0 where the system has no such flag; then they must be synced.
 */
const syncedWrites = constants.O_DSYNC ?? 0;

/** Makes what was written to a file durable. */
type Sync = (file: FileHandle) => Promise<void>;

const syncWritten: Sync = syncedWrites === 0 ? (file) => file.datasync() : async () => {};

/** Opens a file that is there, to write on. */
function reopen(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | syncedWrites);
}

/**
 * A file that is let go is not removed but written again under another name: where its bytes lie is settled already, so a write waits for
 * the bytes alone and not for the file system's own journal, which takes half of its time. What such a file still holds is told apart by
 * its numbers, which are smaller than any that may be in it.
 */
export class JournalFiles {
  /** Bytes of all records kept; spare files are not among them. */
  bytes = 0;
  /** Paths of files to be written again. */
  private readonly spares: string[] = [];
  private readonly dir: string;
  private readonly sync: Sync;
  /** The last one, open to be written. */
  private file: FileHandle | undefined;
  /** In the order of their numbers; the last is the one being written. */
  private readonly segments: JournalSegment[] = [];

  private constructor(dir: string, sync: Sync) {
    this.dir = dir;
    this.sync = sync;
  }

  static async list(dir: string, sync: Sync = syncWritten): Promise<JournalFiles> {
    const files = new JournalFiles(dir, sync);
    const names = await readdir(dir);
    files.spares.push(...names.filter((each) => each.endsWith(spareSuffix)).map((name) => join(dir, name)));
    for (const name of names.filter((each) => each.endsWith(suffix)).sort()) {
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

  /** Ends the file that is written and begins another, durably. */
  async begin(firstSequence: number): Promise<void> {
    const path = join(this.dir, `${String(firstSequence).padStart(16, '0')}${suffix}`);
    const file = await this.fileAt(path);
    await this.close();
    this.file = file;
    // One begun at the same number was empty: it is the file just opened.
    if (!this.isEmpty && this.last.firstSequence === firstSequence) this.segments.pop();
    this.segments.push(new JournalSegment(path, firstSequence, 0, Number.POSITIVE_INFINITY));
  }

  private async fileAt(path: string): Promise<FileHandle> {
    const spare = this.spares.pop();
    const file =
      spare === undefined ? await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | syncedWrites) : await reopen(spare);
    try {
      if (spare !== undefined) {
        // Empty, as its first bytes say, before it has a name that counts.
        await writeWhole(file, endMark, 0);
        await this.sync(file);
        await rename(spare, path);
      }
      await syncFolder(this.dir);
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  /** Goes on writing the last file, after the first `bytes` of it. */
  async reopen(bytes: number): Promise<void> {
    const { last } = this;
    this.bytes += bytes - last.bytes;
    last.bytes = bytes;
    this.file = await reopen(last.path);
    await this.file.truncate(bytes);
    // What was whole but not synced when the last process ended is about to be handed out.
    await this.file.sync();
  }

  /** Writes to the end of the last file, durably; only what has been is counted. The last bytes are those of `endMark`. */
  async append(bytes: Buffer): Promise<void> {
    const { last } = this;
    const file = this.file as FileHandle;
    await writeWhole(file, bytes, last.bytes);
    await this.sync(file);
    last.bytes += bytes.length - endMark.length;
    this.bytes += bytes.length - endMark.length;
  }

  /** Cuts what a write that failed may have left. */
  async cut(): Promise<void> {
    const file = this.file as FileHandle;
    await file.truncate(this.last.bytes);
    await file.datasync();
    await this.sync(file);
  }

  /** Cuts what is behind the last write (a mark, and what the file held before), and writes no more. */
  async close(): Promise<void> {
    if (this.file === undefined) return;
    await this.file.truncate(this.last.bytes);
    await this.file.close();
    this.file = undefined;
  }

  /**
   * Lets go of whole files before a number, the oldest first, while more than `keepBytes` are held. Says whether any went. Spare files are
   * the first to be written again, so that all together are at most one file more than there ever were without them.
   */
  async removeBefore(sequence: number, keepBytes: number): Promise<boolean> {
    let removed = false;
    while (this.segments.length > 1 && this.segments[1].firstSequence <= sequence && this.bytes > keepBytes) {
      // Out of the list first: who begins to read meanwhile must not come upon it.
      const [first] = this.segments.splice(0, 1);
      this.bytes -= first.bytes;
      try {
        await this.letGo(first);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
          this.segments.unshift(first);
          this.bytes += first.bytes;
          throw error;
        }
      }
      removed = true;
    }
    return removed;
  }

  /** A file that somebody reads keeps its bytes until he is done. */
  private async letGo({ path, readers }: JournalSegment): Promise<void> {
    if (readers > 0 || this.spares.length === maxSpares) return unlink(path);
    const spare = path.slice(0, -suffix.length) + spareSuffix;
    await rename(path, spare);
    this.spares.push(spare);
  }
}

/** `write` may write less than asked. */
async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
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
