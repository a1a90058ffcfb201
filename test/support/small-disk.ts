import { execFileSync } from 'node:child_process';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs `body` with a real file system of 64 KiB; where none can be mounted (it takes root on Linux) the test is skipped and says so. */
export async function withSmallDisk(skip: (note: string) => void, body: (disk: string) => Promise<void>): Promise<void> {
  const disk = await mkdtemp(join(tmpdir(), 'streamgauge-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    await rmdir(disk);
    console.warn('skipped: a small file system cannot be mounted here, so a full disk was not tested');
    return skip('a small file system cannot be mounted here');
  }
  try {
    await body(disk);
  } finally {
    // Lazily: a test that failed may have left a file open.
    execFileSync('umount', ['-l', disk]);
    await rmdir(disk);
  }
}
