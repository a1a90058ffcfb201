/**
 * Which partition a file's bytes belong to, whatever the file is called by now. A followed file that is rotated becomes a new generation:
 * `app.log/0`, then `app.log/1`; so a place names a record for good, and a rest that was written before a rotation is found again after
 * a restart. A file is known by its device, inode and first bytes; a copy (gzip, copytruncate) by its first bytes alone.
 */
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DependencyError } from '../../errors.ts';
import type { ByteFeed } from './byte-feed.ts';

export const headBytes = 1024;
/** Fewer bytes may well be the same in two logs. */
const minCopyBytes = 128;
/** The oldest are let go: about 1 MB of JSON, and far more files than one process can hold open by default. */
const maxKept = 10_000;

export interface FileIdentity {
  readonly topic: string;
  readonly partition: number;
  dev: number;
  ino: number;
  /** How many of the first bytes `headCrc` covers, at most 1,024. */
  headLength: number;
  headCrc: number;
}

export class FileIdentities {
  private readonly path: string | undefined;
  private known: FileIdentity[] = [];
  private unsaved = false;

  /** @param path where they are kept; without one they are forgotten with the process, and after a restart only a file's size can tell. */
  constructor(path: string | undefined) {
    this.path = path;
  }

  async load(): Promise<void> {
    if (!this.path) return;
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw new DependencyError(`${this.path} cannot be read: ${(error as Error).message}`, { cause: error });
    }
    try {
      const kept = JSON.parse(text) as { version: number; files: FileIdentity[] };
      if (kept.version !== 1 || !Array.isArray(kept.files)) throw new Error(`version ${kept.version} where 1 was expected`);
      this.known = kept.files;
    } catch (error) {
      throw new DependencyError(
        `${this.path} is damaged (${(error as Error).message}): remove it, and followed files are recognised by their size alone this once`,
        { cause: error },
      );
    }
  }

  /** The newest generation that this file, or a copy of it where `copies`, can be. */
  match(file: { dev: number; ino: number }, head: Uint8Array, copies: boolean): FileIdentity | undefined {
    return this.known.findLast((identity) => {
      if (identity.headLength > head.length) return false;
      const same = identity.dev === file.dev && identity.ino === file.ino;
      if (!same && (!copies || identity.headLength < minCopyBytes)) return false;
      return crc32(head.subarray(0, identity.headLength)) === identity.headCrc;
    });
  }

  newestGeneration(topic: string): number {
    return this.known.reduce((newest, identity) => (identity.topic === topic ? Math.max(newest, identity.partition) : newest), -1);
  }

  /** Remembers what a file begins with. */
  note(identity: FileIdentity, head: Uint8Array): void {
    identity.headLength = head.length;
    identity.headCrc = crc32(head);
    if (!this.known.includes(identity)) this.known.push(identity);
    if (this.known.length > maxKept) this.known.splice(0, this.known.length - maxKept);
    this.unsaved = true;
  }

  /** Makes what was noted durable: call it before a file's first batch, so that no position can outlive the knowledge whose it is. */
  async save(): Promise<void> {
    if (!this.path || !this.unsaved) return;
    const text = JSON.stringify({ version: 1, files: this.known });
    const temporary = `${this.path}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      const handle = await open(temporary, 'w');
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.path);
      this.unsaved = false;
    } catch (error) {
      throw new DependencyError(`${this.path} cannot be written: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** The first bytes of a feed that starts at 0, at most 1,024. Closes it. */
export async function readHead(feed: ByteFeed): Promise<Buffer> {
  try {
    let head = Buffer.alloc(0);
    for (let chunk = await feed.read(); chunk && head.length < headBytes; chunk = await feed.read()) {
      head = Buffer.concat([head, chunk.subarray(0, headBytes - head.length)]);
    }
    return head;
  } finally {
    await feed.close();
  }
}

/** Where that file is by now: at its path, or, renamed, beside it; undefined when it is gone. */
export async function findMoved(path: string, file: { dev: number; ino: number }): Promise<string | undefined> {
  const folder = dirname(path);
  for (const candidate of [path, ...(await readdir(folder)).map((name) => join(folder, name))]) {
    const found = await stat(candidate).catch(() => undefined);
    if (found?.dev === file.dev && found.ino === file.ino) return candidate;
  }
  return undefined;
}
