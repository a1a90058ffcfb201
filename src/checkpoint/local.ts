/**
 * Checkpoints in a folder: `checkpoint-<number>.sgc`, the newest two. A save writes beside them, flushes, renames and flushes the folder,
 * so that at every instant, a crash included, the newest whole one is as good as it was.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DependencyError } from '../errors.ts';
import { type Checkpoint, CheckpointError, type CheckpointStore } from './checkpoint.ts';
import { decodeCheckpoint, encodeCheckpoint, formatVersion } from './checkpoint-format.ts';

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
  private readonly options: LocalCheckpointOptions;
  private readonly retryDelaysMs: readonly number[];
  /** Number of the newest file, whole or not; undefined until the folder was looked at. */
  private newest: number | undefined;
  /** Numbers of files that are not to be kept as the one before: damaged. */
  private readonly damaged = new Set<number>();
  private saving: Promise<void> = Promise.resolve();

  constructor(options: LocalCheckpointOptions) {
    this.options = options;
    this.retryDelaysMs = options.retryDelaysMs ?? [100, 200, 400, 800, 1600, 3200];
  }

  /**
   * The newest whole checkpoint. A damaged one is passed over for the one before it, with a warning: the records since then are read again.
   * Throws a `CheckpointError` when there are only damaged ones, or the newest whole one is of another identity or a later format.
   */
  async load(): Promise<Checkpoint | undefined> {
    const numbers = await this.numbers();
    const reasons: string[] = [];
    for (const number of [...numbers].reverse()) {
      const path = this.path(number);
      const decoded = decodeCheckpoint(await this.readBytes(path));
      if (decoded.kind === 'damaged') {
        this.damaged.add(number);
        reasons.push(`${path} is damaged: ${decoded.reason}`);
        continue;
      }
      if (decoded.kind === 'newer') {
        throw new CheckpointError([
          `${path} has format ${decoded.version}, this version reads up to ${formatVersion}: run the version that wrote it, or start with a new state folder`,
        ]);
      }
      const { identity, positions, marks, state } = decoded.checkpoint;
      if (identity !== this.options.identity) {
        throw new CheckpointError([
          `${path} belongs to ${JSON.stringify(identity)}, this deployment is ${JSON.stringify(this.options.identity)} (another hash key): ` +
            `go back to those, or move ${this.options.dir} away to start afresh`,
        ]);
      }
      if (reasons.length > 0) this.options.warn?.(`${reasons.join('; ')}; going on from ${path}, what was read since is read again`);
      return { positions, state, marks };
    }
    if (reasons.length > 0) {
      throw new CheckpointError([
        ...reasons,
        `no whole checkpoint is left in ${this.options.dir}: restore it, or move the folder away to start afresh`,
      ]);
    }
    return undefined;
  }

  save(checkpoint: Checkpoint): Promise<void> {
    // One after the other, so that a higher number is always the later checkpoint. Encoded now: the state may be a view that is reused.
    const parts = encodeCheckpoint({ ...checkpoint, state: checkpoint.state.slice(), identity: this.options.identity });
    const done = this.saving.then(() => this.saveWithRetry(parts));
    this.saving = done.catch(() => {});
    return done;
  }

  private async saveWithRetry(parts: readonly Uint8Array[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.saveOnce(parts);
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

  private async saveOnce(parts: readonly Uint8Array[]): Promise<void> {
    await mkdir(this.options.dir, { recursive: true });
    const before = await this.numbers();
    const number = Math.max(this.newest ?? 0, ...before) + 1;
    const temporary = join(this.options.dir, 'checkpoint.tmp');
    try {
      const handle = await open(temporary, 'w');
      try {
        for (const part of parts) await handle.writeFile(part);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.path(number));
      await this.syncFolder();
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
    this.newest = number;
    await this.removeOld([...before, number]);
  }

  /** Keeps the newest two that are not known to be damaged. Failing to tidy up is not failing to save: the next save tries again. */
  private async removeOld(numbers: readonly number[]): Promise<void> {
    const whole = numbers.filter((number) => !this.damaged.has(number));
    const keep = new Set(whole.slice(-kept));
    for (const number of numbers) {
      if (!keep.has(number)) await rm(this.path(number), { force: true }).catch(() => {});
    }
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
