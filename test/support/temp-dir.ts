import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of its own for the running test, removed when it is over. */
export async function tempDir(): Promise<string> {
  const dir = await makeTempDir();
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** For a harness, which removes it itself. */
export function makeTempDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'streamgauge-test-'));
}
