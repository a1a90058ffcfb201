/**
 * Checkpoints in a folder: `checkpoint-<number>.sgc`, the newest two, which say what they are made of, and `parts-<number>.sgp`, what that
 * is. A save writes the parts that are not there yet and flushes them, writes the checkpoint beside the others, flushes it, renames it and
 * flushes the folder, so that at every instant, a crash included, the newest whole one is as good as it was.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DependencyError } from '../errors.ts';
import { inSlices } from '../in-slices.ts';
import type { Checkpoint, CheckpointStore, Refuse, SaveSize } from './checkpoint.ts';
import { type Contents, contentsBehind, contentsOf } from './contents.ts';
import { encodeManifest, type Manifest } from './manifest.ts';
import { newestWhole, type Place, readable } from './newest.ts';
import { Packs, type StoredPart } from './packs.ts';
import { PartHasher } from './parts.ts';

export interface LocalCheckpointOptions {
  /** The state folder; made where it is missing. */
  readonly dir: string;
  /** Whose state this is: a hash of the rules and of the hash key. A checkpoint of another identity is refused. */
  readonly identity: string;
  /** Told when a damaged checkpoint was passed over. */
  readonly warn?: (message: string) => void;
  /** Waits before the second, third … try of a failed save, ms; default 100 ms doubling to 3.2 s. */
  readonly retryDelaysMs?: readonly number[];
}

const filePattern = /^checkpoint-(\d{12})\.sgc$/;
const kept = 2;

export function createLocalCheckpoints(options: LocalCheckpointOptions): CheckpointStore {
  return new LocalCheckpoints(options);
}

class LocalCheckpoints implements CheckpointStore {
  lastSave: SaveSize | undefined;
  private readonly options: LocalCheckpointOptions;
  private readonly retryDelaysMs: readonly number[];
  private readonly place: Place;
  private readonly packs: Packs;
  private readonly hasher = new PartHasher();
  /** Number of the newest file, whole or not; undefined until one was saved. */
  private newest: number | undefined;
  /** Numbers of files that are not to be kept as the one before: damaged. */
  private readonly damaged = new Set<number>();
  /** The packs of each checkpoint that was read or saved, by its number. */
  private readonly packsOf = new Map<number, readonly number[]>();
  private saving: Promise<void> = Promise.resolve();

  constructor(options: LocalCheckpointOptions) {
    this.options = options;
    this.retryDelaysMs = options.retryDelaysMs ?? [100, 200, 400, 800, 1600, 3200];
    const { dir, identity, warn } = options;
    this.place = {
      name: dir,
      identity,
      startAfresh: `give \`state.dir\` another folder or move checkpoint-* and parts-* of ${dir} away, to start afresh`,
      warn,
    };
    this.packs = new Packs(dir);
  }

  /**
   * The newest whole checkpoint. A damaged one is passed over for the one before it, with a warning: the records since then are read again.
   * Throws a `CheckpointError` when there are only damaged ones, or the newest whole one is of another identity, refused, or of a later
   * format.
   */
  async load(refuse?: Refuse): Promise<Checkpoint | undefined> {
    const candidates = (await this.numbers()).reverse().map((number) => ({
      name: this.path(number),
      read: () => this.readBytes(this.path(number)),
      contents: (manifest: Manifest) => {
        this.packsOf.set(number, manifest.packs ?? []);
        return this.contents(manifest);
      },
      damaged: () => this.damaged.add(number),
    }));
    const found = await newestWhole(candidates, this.place, refuse);
    return found && { positions: found.positions, origins: found.origins, marks: found.marks, state: found.state };
  }

  /** One after the other, so that a higher number is always the later checkpoint. */
  save(checkpoint: Checkpoint): Promise<void> {
    const done = this.saving.then(() => this.saveWithRetry(checkpoint));
    this.saving = done.catch(() => {});
    return done;
  }

  /** Or what is wrong with it. Parts that were found whole need not be written again. */
  private async contents(manifest: Manifest): Promise<Pick<Checkpoint, 'marks' | 'state'> | string> {
    const stored: ReadonlyMap<string, StoredPart> = await this.packs.read(manifest.packs ?? []);
    const behind = await contentsBehind(manifest, (hash) => stored.get(hash)?.bytes);
    if (typeof behind === 'string') return behind;
    for (const part of behind.parts) this.packs.trust(part, stored.get(part.hash)?.pack ?? 0);
    return { marks: behind.marks, state: behind.state };
  }

  private async saveWithRetry(checkpoint: Checkpoint): Promise<void> {
    const contents = await contentsOf(checkpoint, this.hasher);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.saveOnce(contents);
      } catch (error) {
        const delayMs = this.retryDelaysMs[attempt];
        if (delayMs === undefined || error instanceof DependencyError) {
          throw new DependencyError(
            `the checkpoint cannot be saved in ${this.options.dir}: ${(error as Error).message}; gave up after ${attempt + 1} tries; the one before it is whole`,
            { cause: error },
          );
        }
        await sleep(delayMs);
      }
    }
  }

  private async saveOnce({ parts, named }: Contents): Promise<void> {
    await mkdir(this.options.dir, { recursive: true });
    const before = await this.numbers();
    const number = Math.max(this.newest ?? 0, ...before) + 1;
    const { fresh, packs } = await inSlices(this.packs.plan(parts));
    const written = await this.packs.write(fresh);
    const all = [...packs, ...written.packs];
    const bytes = encodeManifest({ identity: this.options.identity, ...named, packs: all, number });
    await this.writeDurably(this.path(number), bytes);
    this.newest = number;
    this.packsOf.set(number, all);
    this.lastSave = { stateBytes: named.stateBytes, writtenBytes: written.bytes + bytes.length };
    await this.removeOld([...before, number]).catch(() => {});
  }

  private async writeDurably(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = join(this.options.dir, 'checkpoint.tmp');
    try {
      const handle = await open(temporary, 'w');
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
      await this.syncFolder();
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }

  /** Keeps the newest two that are not known to be damaged, and their parts. Failing to tidy up is not failing to save: the next save tries again. */
  private async removeOld(numbers: readonly number[]): Promise<void> {
    const keep = numbers.filter((number) => !this.damaged.has(number)).slice(-kept);
    const packs = new Set<number>();
    for (const number of keep) {
      for (const pack of await this.packsNamedBy(number)) packs.add(pack);
    }
    for (const number of numbers) {
      if (keep.includes(number)) continue;
      this.packsOf.delete(number);
      await rm(this.path(number), { force: true }).catch(() => {});
    }
    await this.packs.keepOnly(packs);
  }

  private async packsNamedBy(number: number): Promise<readonly number[]> {
    const known = this.packsOf.get(number);
    if (known !== undefined) return known;
    const path = this.path(number);
    const decoded = readable(path, await this.readBytes(path), this.place);
    const packs = (decoded.kind === 'damaged' ? undefined : decoded.manifest.packs) ?? [];
    this.packsOf.set(number, packs);
    return packs;
  }

  private async numbers(): Promise<number[]> {
    let names: string[];
    try {
      names = await readdir(this.options.dir);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new DependencyError(`the state folder ${this.options.dir} cannot be read: ${(error as Error).message}`, { cause: error });
    }
    return names
      .flatMap((name) => filePattern.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  private async readBytes(path: string): Promise<Buffer> {
    try {
      return await readFile(path);
    } catch (error) {
      throw new DependencyError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }

  private async syncFolder(): Promise<void> {
    const handle = await open(this.options.dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  private path(number: number): string {
    return join(this.options.dir, `checkpoint-${String(number).padStart(12, '0')}.sgc`);
  }
}
