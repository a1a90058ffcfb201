/**
 * Parts of states on disk: files `parts-<number>.sgp`, each the new parts of one save, written and flushed once, never changed. A pack of
 * which less than half is still wanted is given up: its parts are written again, so all packs of a state take at most twice its bytes.
 */
import { type FileHandle, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Slices } from '../../processors/slices.ts';
import { DependencyError } from '../errors.ts';
import { hashBytes, type Part, type PartRef } from './parts.ts';

const filePattern = /^parts-(\d{12})\.sgp$/;
/** Magic and u32 version, little-endian; then of each part u32 length, SHA-256, bytes. */
const head = Buffer.from('SGPK\x01\0\0\0', 'latin1');
const partHeadBytes = 4 + hashBytes;
/** Files are read whole, which Node does up to 2 GiB. */
const longestPackBytes = 256 * 2 ** 20;
const batchBytes = 2 ** 20;
/** When a state lies in more packs than this, the smaller half is given up. */
const mostPacks = 24;

export interface StoredPart {
  readonly bytes: Uint8Array;
  readonly pack: number;
}

export class Packs {
  readonly #dir: string;
  /** Where parts lie that are known to be whole. */
  readonly #packOf = new Map<string, number>();
  readonly #bytesOf = new Map<number, number>();
  #newest = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Which of these parts have to be written, each once, and the packs that the others lie in. */
  *plan(parts: readonly Part[]): Slices<{ readonly fresh: Part[]; readonly packs: number[] }> {
    const unique = new Map<string, Part>();
    const wanted = new Map<number, number>();
    for (const part of parts) {
      if (unique.has(part.hash)) continue;
      unique.set(part.hash, part);
      const pack = this.#packOf.get(part.hash);
      if (pack !== undefined) wanted.set(pack, (wanted.get(pack) ?? 0) + part.length);
      yield;
    }
    const kept = [...wanted].filter(([pack, bytes]) => 2 * bytes >= (this.#bytesOf.get(pack) ?? 0)).sort((a, b) => b[1] - a[1]);
    if (kept.length > mostPacks) kept.length = mostPacks / 2;
    const packs = kept.map(([pack]) => pack);
    const fresh: Part[] = [];
    for (const part of unique.values()) {
      if (!packs.includes(this.#packOf.get(part.hash) ?? -1)) fresh.push(part);
      yield;
    }
    return { fresh, packs };
  }

  /** Resolves when the new packs are flushed; their folder is not. What was begun is removed if that fails. */
  async write(parts: readonly Part[]): Promise<{ readonly packs: number[]; readonly bytes: number }> {
    const packs: number[] = [];
    const first = Math.max(this.#newest, ...(await this.#numbers())) + 1;
    let bytes = 0;
    try {
      for (let from = 0; from < parts.length; ) {
        const pack = first + packs.length;
        packs.push(pack);
        const written = await writePack(this.#path(pack), parts, from);
        this.#bytesOf.set(pack, written.bytes);
        for (const { hash } of parts.slice(from, written.end)) this.#packOf.set(hash, pack);
        bytes += written.bytes;
        from = written.end;
      }
    } catch (error) {
      await this.#remove(packs);
      throw error;
    }
    this.#newest = first + packs.length - 1;
    return { packs, bytes };
  }

  /** What these packs hold, by hash; not checked. A pack that is not there, or the rest of one that was cut short, holds nothing. */
  async read(packs: readonly number[]): Promise<Map<string, StoredPart>> {
    const found = new Map<string, StoredPart>();
    for (const pack of packs) {
      const bytes = await this.#readPack(pack);
      if (!bytes.subarray(0, head.length).equals(head)) continue;
      for (let at = head.length; at + partHeadBytes <= bytes.length; ) {
        const start = at + partHeadBytes;
        const end = start + bytes.readUInt32LE(at);
        if (end > bytes.length) break;
        found.set(bytes.toString('latin1', at + 4, start), { bytes: bytes.subarray(start, end), pack });
        at = end;
      }
    }
    return found;
  }

  /** This part is whole and lies in that pack: it need not be written again. */
  trust({ hash }: PartRef, pack: number): void {
    this.#packOf.set(hash, pack);
  }

  /** Removes all others. Failing to is not failing to save: the next save tries again. */
  async keepOnly(packs: ReadonlySet<number>): Promise<void> {
    await this.#remove((await this.#numbers()).filter((pack) => !packs.has(pack)));
  }

  async #remove(packs: readonly number[]): Promise<void> {
    if (packs.length === 0) return;
    const gone = new Set(packs);
    for (const [hash, pack] of this.#packOf) if (gone.has(pack)) this.#packOf.delete(hash);
    for (const pack of packs) {
      this.#bytesOf.delete(pack);
      await rm(this.#path(pack), { force: true }).catch(() => {});
    }
  }

  async #readPack(pack: number): Promise<Buffer> {
    try {
      const bytes = await readFile(this.#path(pack));
      this.#bytesOf.set(pack, bytes.length);
      return bytes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
      throw new DependencyError(`${this.#path(pack)} cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }

  async #numbers(): Promise<number[]> {
    return (await readdir(this.#dir)).flatMap((name) => filePattern.exec(name)?.[1] ?? []).map(Number);
  }

  #path(pack: number): string {
    return join(this.#dir, `parts-${String(pack).padStart(12, '0')}.sgp`);
  }
}

/** Writes parts from `from` on until the pack is long enough, and flushes them. */
async function writePack(path: string, parts: readonly Part[], from: number): Promise<{ readonly end: number; readonly bytes: number }> {
  const handle = await open(path, 'w');
  try {
    let bytes = 0;
    let end = from;
    let batch: Uint8Array[] = [head];
    while (end < parts.length && bytes < longestPackBytes) {
      let length = 0;
      for (; end < parts.length && length < batchBytes; end++) {
        const { hash, bytes: part } = parts[end];
        const partHead = Buffer.alloc(partHeadBytes);
        partHead.writeUInt32LE(part.length);
        partHead.write(hash, 4, 'latin1');
        batch.push(partHead, part);
        length += partHeadBytes + part.length;
      }
      bytes += await writeAll(handle, batch);
      batch = [];
    }
    await handle.sync();
    return { end, bytes };
  } finally {
    await handle.close();
  }
}

/** A write may end early, on a full disk most of all: what is left is written by itself, which tells why. */
async function writeAll(handle: FileHandle, buffers: readonly Uint8Array[]): Promise<number> {
  const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await handle.writev(buffers);
  if (bytesWritten < bytes) await handle.writeFile(Buffer.concat(buffers).subarray(bytesWritten));
  return bytes;
}
