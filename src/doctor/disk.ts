/** Folders and files: can they be written and read, and is there room. */
import { constants, existsSync } from 'node:fs';
import { access, mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { listFiles } from '../source/file/file-list.ts';

/** Below this the next checkpoint may be the one that does not fit. */
const leastBytes = 64 * 2 ** 20;
/** What a drain keeps for us at the most while we are away. */
const journalBytes = 2 ** 30;

/** Rejects if the folder cannot be written or is all but full. */
export async function canWrite(folder: string): Promise<readonly string[]> {
  const probe = join(folder, `.streamgauge-doctor-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(probe, 'x', { flush: true });
    await rm(probe);
  } catch (error) {
    throw new Error(`cannot write into ${folder}: ${(error as Error).message}; name another folder, or give this user the right`);
  }
  const free = await freeBytes(folder);
  if (free < leastBytes) throw new Error(`only ${mebibytes(free)} are free in ${folder}; make room, or name a folder on another disk`);
  return [];
}

/** The same, with room for what a run may keep there: two checkpoints, each at most twice the state, and the journals of drains. */
export async function stateFolder(config: Config): Promise<readonly string[]> {
  await canWrite(config.state.dir);
  const journals = config.sources.filter((source) => source.kind === 'drain' && source.to === 'engine').length;
  const needed = (config.state.kafka === undefined ? 4 * config.memoryBytes : 0) + journals * journalBytes;
  return roomRemarks(config.state.dir, await freeBytes(config.state.dir), needed);
}

export function roomRemarks(folder: string, free: number, needed: number): string[] {
  if (free >= needed) return [];
  return [
    `${mebibytes(free)} are free in ${folder}, and a full \`memory\` with its checkpoints and full journals take up to ${mebibytes(needed)}: make room, or lower \`memory\``,
  ];
}

/** Rejects if a file is missing that nobody waits for, or cannot be read. */
export async function filesAreThere(paths: readonly string[], follow: boolean): Promise<readonly string[]> {
  if (paths.includes('-')) return [];
  const listed = await listFiles(paths, process.cwd());
  // A path without a pattern is listed whether or not the file is there.
  const files = listed.filter(({ path }) => existsSync(path));
  for (const { path } of files) await mustBeReadable(path);
  if (files.length === 0 && follow) return ['no such file yet; it is waited for'];
  if (files.length === 0 || (!follow && files.length < listed.length)) {
    const missing = files.length === 0 ? paths : listed.filter((file) => !files.includes(file)).map(({ path }) => path);
    throw new Error(`expected files at ${missing.join(', ')}, found none; correct the path in the config`);
  }
  return [];
}

async function mustBeReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}; give this user the right`);
  }
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
