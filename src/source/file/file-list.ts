/** Which files a pattern names, and which of them follow one another in time. */
import { type Dirent, existsSync, readdir } from 'node:fs';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { DependencyError } from '../../errors.ts';

export interface ListedFile {
  /** Absolute. */
  readonly path: string;
  /** As the user knows it: relative to the working folder where it lies inside, with `/`. */
  readonly topic: string;
}

/** The files of one rotated log, oldest first; a file that was never rotated is a chain of one. */
export type Chain = readonly ListedFile[];

/** Every file that the patterns or literal paths name, sorted by name. Throws a `DependencyError` on a folder that cannot be read. */
export async function listFiles(patterns: readonly string[], cwd: string): Promise<ListedFile[]> {
  let refused: NodeJS.ErrnoException | undefined;
  // The glob library takes a folder it may not read for an empty one; that would be loss nobody sees.
  const watchedReaddir = (path: string, options: object, done: (error: NodeJS.ErrnoException | null, entries: Dirent[]) => void): void => {
    readdir(path, options as { withFileTypes: true }, (error, entries) => {
      // A folder that goes while it is listed, or was never there, has no files.
      if (error && error.code !== 'ENOENT' && error.code !== 'ENOTDIR') refused ??= error;
      done(error, entries);
    });
  };
  const paths = new Set<string>();
  for (const pattern of patterns) {
    // A literal path is itself also where it does not exist: opening it says why not.
    if (!isPattern(pattern) || existsSync(resolve(cwd, pattern))) paths.add(resolve(cwd, pattern));
    else
      for (const found of await glob(pattern, { cwd, absolute: true, fs: { readdir: watchedReaddir } as never })) paths.add(resolve(found));
  }
  if (refused) throw unreadable(refused, patterns);
  return [...paths].sort().map((path) => ({ path, topic: topicOf(path, cwd) }));
}

export function isPattern(path: string): boolean {
  return isDynamicPattern(path);
}

/** The folders in which a new file could match: the fixed part of each pattern. */
export function fixedFolders(patterns: readonly string[], cwd: string): string[] {
  const folders = patterns.map((pattern) => {
    const parts = pattern.split('/');
    const firstDynamic = parts.findIndex((part) => isDynamicPattern(part));
    const fixed = firstDynamic < 0 ? parts.slice(0, -1) : parts.slice(0, firstDynamic);
    return resolve(cwd, fixed.join('/') || (isAbsolute(pattern) ? '/' : '.'));
  });
  return [...new Set(folders)];
}

/**
 * Groups the files of a rotated log: names that differ only in what rotation adds, `.1`, `.2`, a date after `-`, `.` or `_`, and `.gz`.
 * Oldest first: dates upwards, then numbers downwards, then the name without either. Chains come sorted by their common name.
 */
export function chains(files: readonly ListedFile[]): Chain[] {
  const byStem = new Map<string, { file: ListedFile; date: string; number: number }[]>();
  for (const file of files) {
    const { stem, date, number } = rotation(file.path);
    const members = byStem.get(stem);
    if (members) members.push({ file, date, number });
    else byStem.set(stem, [{ file, date, number }]);
  }
  const ordered: Chain[] = [];
  for (const stem of [...byStem.keys()].sort()) {
    const members = byStem.get(stem)!;
    members.sort((a, b) => compare(a.date, b.date) || b.number - a.number || compare(a.file.path, b.file.path));
    ordered.push(members.map((member) => member.file));
  }
  return ordered;
}

/** After every date and below every number: the file that is being written. */
const newestDate = '~';
const rotationDate = /[-._](\d{4}-?\d{2}-?\d{2}(?:[-T_]?\d{2}(?:[-:]?\d{2}){0,2})?)(?=\.|$)/;

function rotation(path: string): { stem: string; date: string; number: number } {
  const folderEnd = path.lastIndexOf(sep) + 1;
  let name = path.slice(folderEnd).replace(/\.gz$/, '');
  let number = 0;
  const numbered = /\.(\d{1,4})$/.exec(name);
  if (numbered) {
    number = Number(numbered[1]);
    name = name.slice(0, numbered.index);
  }
  let date = newestDate;
  const dated = rotationDate.exec(name);
  if (dated) {
    date = dated[1]!.replace(/\D/g, '');
    name = name.slice(0, dated.index) + name.slice(dated.index + dated[0].length);
  } else if (number > 0) {
    date = `${newestDate}0`;
  } else {
    date = `${newestDate}1`;
  }
  return { stem: path.slice(0, folderEnd) + name, date, number };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function topicOf(path: string, cwd: string): string {
  const inside = relative(cwd, path);
  const known = inside.startsWith('..') || isAbsolute(inside) ? path : inside;
  return sep === '/' ? known : known.split(sep).join('/');
}

function unreadable(error: NodeJS.ErrnoException, patterns: readonly string[]): DependencyError {
  return new DependencyError(
    `the folder ${error.path ?? ''} cannot be read (${error.code ?? error.message}), so ${patterns.join(', ')} may miss files: give this user the right to read it`,
    { cause: error },
  );
}
