/**
 * Files as a source: literal paths and globs, read to their end or followed. Each file is a partition: topic = its path as the user knows
 * it, offset = the byte position where a line begins (of the unpacked bytes, for gzip). Lines of a file come in order; `read-chains.ts`
 * says how several files take turns, `file-follow.ts` what happens to followed ones.
 */
import { existsSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { partitionKey } from '../../../processors/record.ts';
import { DependencyError, UsageError } from '../../errors.ts';
import type { Positions, RecordIntake, Source, SourceHealth } from '../source.ts';
import { FileFollower } from './file-follow.ts';
import { findMoved } from './file-identity.ts';
import { chains, fixedFolders, isPattern, listFiles } from './file-list.ts';
import { type KnownFile, locate } from './file-locate.ts';
import type { FileSourceOptions } from './file-options.ts';
import { readLineAt } from './line-reader.ts';
import { defaultMaxLineBytes } from './line-splitter.ts';
import { openFeed, type ReadContext, readChains } from './read-chains.ts';

export function createFileSource(options: FileSourceOptions): Source {
  return new FileSource(options);
}

class FileSource implements Source {
  readonly name: string;
  private readonly options: FileSourceOptions;
  private readonly patterns: readonly string[];
  private readonly cwd: string;
  private readonly files = new Map<string, KnownFile>();
  /** Files that could not be read, or not to their end, with the reason. */
  private readonly problems = new Map<string, string>();
  private follower: FileFollower | undefined;
  private stopping = false;
  private finished = false;

  constructor(options: FileSourceOptions) {
    this.options = options;
    this.patterns = typeof options.path === 'string' ? [options.path] : options.path;
    this.cwd = resolve(options.cwd ?? '.');
    this.name = `file:${this.patterns.join(',')}`;
  }

  async run(positions: Positions, into: RecordIntake): Promise<void> {
    const context: ReadContext = {
      into,
      dataset: this.options.dataset,
      format: this.options.format ?? 'auto',
      maxLineBytes: this.maxLineBytes,
      stopped: () => this.stopping,
      problem: (topic, why) => this.problems.set(topic, why),
      solved: (topic) => this.problems.delete(topic),
    };
    if (this.options.follow && !this.stopping) {
      this.follower = new FileFollower(this.patterns, this.cwd, this.options, context, this.files);
      await this.follower.run(positions);
    } else if (!this.stopping) {
      await this.readToEnd(positions, context);
    }
    this.finished = true;
  }

  private async readToEnd(positions: Positions, context: ReadContext): Promise<void> {
    const missing = this.patterns.filter((pattern) => !isPattern(pattern) && !existsSync(resolve(this.cwd, pattern)));
    if (missing.length > 0) throw new UsageError(missing.map((path) => `${path}: no such file in ${this.cwd}`));
    const listed = await listFiles(this.patterns, this.cwd);
    if (listed.length === 0) {
      throw new UsageError([`${this.patterns.join(', ')}: no file in ${this.cwd} matches; quote the pattern, and try it with ls`]);
    }
    for (const file of listed) this.files.set(partitionKey(file.topic, 0), { path: file.path });
    const toRead = chains(listed).map((chain) => ({
      members: chain.map((file) => ({ ...file, partition: 0, position: positions[partitionKey(file.topic, 0)] ?? 0 })),
    }));
    await readChains(toRead, context);
    // Everything that could be read was handed in; that something could not is still an error.
    if (this.problems.size > 0 && !this.stopping) throw new DependencyError(this.told(Infinity).join('\n'));
  }

  /** Of a pattern its folder counts: which files it names is known where they are listed, and this one may be gone. */
  reads(topic: string): boolean {
    const path = resolve(this.cwd, topic);
    const patterns = this.patterns.filter(isPattern);
    return (
      this.patterns.some((pattern) => resolve(this.cwd, pattern) === path) ||
      fixedFolders(patterns, this.cwd).some((folder) => path.startsWith(folder === sep ? sep : `${folder}${sep}`))
    );
  }

  /** Positions live in the checkpoint alone: a file keeps nothing. */
  async commit(): Promise<void> {}

  async read(topic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    const file = await this.find(topic, partition);
    if (!file || file.gone) return null;
    try {
      const path = file.identity ? await findMoved(file.path, file.identity) : file.path;
      if (!path) return null;
      return (await readLineAt(await openFeed(path, offset), offset, this.maxLineBytes)) ?? null;
    } catch {
      // Gone, replaced or unreadable: the sample says that its text is.
      return null;
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.follower?.wake();
  }

  health(): SourceHealth {
    if (this.problems.size > 0) {
      const more = this.problems.size > 3 ? ` and ${this.problems.size - 3} more` : '';
      return { ok: false, reason: `${this.told(3).join('; ')}${more}` };
    }
    if (this.finished) return { ok: true, reason: this.stopping ? 'stopped' : 'end of input' };
    if (this.follower?.waitingForFiles) return { ok: true, reason: `no file matches ${this.patterns.join(', ')} yet` };
    return { ok: true };
  }

  private told(most: number): string[] {
    return [...this.problems].slice(0, most).map(([topic, why]) => `${topic}: ${why}`);
  }

  private get maxLineBytes(): number {
    return this.options.maxLineBytes ?? defaultMaxLineBytes;
  }

  /** Also before a run: `explain` reads samples without one. */
  private async find(topic: string, partition: number): Promise<KnownFile | undefined> {
    const known = this.files.get(partitionKey(topic, partition));
    if (known) return known;
    if (this.options.follow) return locate(topic, partition, this.patterns, this.cwd, this.options.identityFile);
    const listed = (await listFiles(this.patterns, this.cwd)).find((file) => file.topic === topic);
    return listed && { path: listed.path };
  }
}
