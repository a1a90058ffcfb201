import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { FileIdentities, readHead } from './file-identity.ts';
import { listFiles } from './file-list.ts';
import { openFeed } from './read-chains.ts';

/** Where the text of a partition can be read again. */
export interface KnownFile {
  path: string;
  /** Undefined where the file is not followed: then its path is enough. */
  identity?: { dev: number; ino: number };
  /** Its bytes were overwritten. */
  gone?: boolean;
}

/** Where a followed partition's bytes lie now, as far as the kept identities tell. */
export async function locate(
  topic: string,
  partition: number,
  patterns: readonly string[],
  cwd: string,
  identityFile: string | undefined,
): Promise<KnownFile | undefined> {
  const identities = new FileIdentities(identityFile);
  await identities.load();
  for (const file of await listFiles(patterns, cwd)) {
    const stats = await statOf(file.path);
    if (!stats?.isFile()) continue;
    const found = identities.match(stats, await readHead(await openFeed(file.path, 0)), true);
    if (found?.topic === topic && found.partition === partition) return { path: file.path, identity: { dev: stats.dev, ino: stats.ino } };
  }
  return undefined;
}

/** Undefined where there is nothing of that name, or no right to look. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}
