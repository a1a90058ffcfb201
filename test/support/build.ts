/**
 * The command as `npm run build` makes it, in a folder of its own, so that a test neither runs a stale `dist` nor changes it under somebody
 * else. One build serves every suite: its folder is named after what was built.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Below `node_modules`, so that what it imports is found from there. */
const builds = path.join(root, 'node_modules', '.cache', 'streamgauge-build');
const staleMs = 3_600_000;

let built: string | undefined;

/** The path of the built command; builds it if these sources were not built before. Throws what the compiler says if nothing came of it. */
export function builtCommand(): string {
  built ??= build();
  return built;
}

function build(): string {
  const digest = sourceDigest();
  const folder = path.join(builds, digest);
  const command = path.join(folder, 'dist', 'src', 'cli.js');
  if (existsSync(command)) return command;
  mkdirSync(builds, { recursive: true });
  dropStale();
  const work = mkdtempSync(`${folder}-`);
  const compiler = path.join(root, 'node_modules', '.bin', 'tsc');
  const { status, stdout } = spawnSync(compiler, ['-p', 'tsconfig.build.json', '--outDir', path.join(work, 'dist')], {
    cwd: root,
    encoding: 'utf8',
  });
  if (!existsSync(path.join(work, 'dist', 'src', 'cli.js'))) throw new Error(`tsc built no command:\n${stdout}`);
  symlinkSync(path.join(root, 'package.json'), path.join(work, 'package.json'));
  mkdirSync(path.join(work, 'processors'));
  symlinkSync(path.join(root, 'processors', 'rules'), path.join(work, 'processors', 'rules'));
  // The compiler writes what it can in spite of a wrong type (`npm run types` fails for it); nobody else gets such a build, nor one of
  // sources that were being edited.
  if (status !== 0) console.warn(`the build has mistakes:\n${stdout}`);
  if (status !== 0 || sourceDigest() !== digest) return path.join(work, 'dist', 'src', 'cli.js');
  try {
    renameSync(work, folder);
  } catch {
    // Another suite was quicker.
    rmSync(work, { recursive: true });
  }
  return command;
}

function sourceDigest(): string {
  const hash = createHash('sha256');
  const add = (file: string): void => {
    if (statSync(file).isDirectory()) {
      for (const entry of readdirSync(file).sort()) add(path.join(file, entry));
    } else if (/\.(ts|json)$/.test(file)) hash.update(file).update('\0').update(readFileSync(file)).update('\0');
  };
  for (const place of ['tsconfig.json', 'tsconfig.build.json', 'package.json', 'src', 'processors', 'schemas']) add(path.join(root, place));
  return hash.digest('hex').slice(0, 16);
}

function dropStale(): void {
  for (const name of readdirSync(builds)) {
    const folder = path.join(builds, name);
    if (Date.now() - statSync(folder).mtimeMs > staleMs) rmSync(folder, { recursive: true, force: true });
  }
}
