/** A real file system of a few megabytes that is filled up and emptied again. Mounting one takes root on Linux. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const pageBytes = 4096;

export class SmallDisk {
  readonly path: string;
  readonly #ballast: string;

  private constructor(path: string) {
    this.path = path;
    this.#ballast = join(path, 'ballast');
  }

  /** Undefined where none can be mounted. */
  static mount(megabytes: number): SmallDisk | undefined {
    const path = mkdtempSync(join(tmpdir(), 'streamgauge-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'ignore' });
    } catch {
      rmdirSync(path);
      return undefined;
    }
    return new SmallDisk(path);
  }

  /** Leaves no room at all. */
  async fill(): Promise<void> {
    const handle = await open(this.#ballast, 'a');
    try {
      for (;;) await handle.write(Buffer.alloc(pageBytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      await handle.close();
    }
  }

  async empty(): Promise<void> {
    await rm(this.#ballast, { force: true });
  }

  unmount(): void {
    // Lazily: somebody who failed may have left a file open.
    execFileSync('umount', ['-l', this.path]);
    rmdirSync(this.path);
  }
}
