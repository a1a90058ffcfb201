/**
 * Follows files: what is there is read, then every line as it is written, through rotation.
 *
 * Renamed (`app.log` -> `app.log.1`): the old file is read on until nothing came for `rotateWaitMs`, the new one is the next generation,
 * partition + 1. Truncated (copytruncate): the next generation starts at byte 0 of the same file; what was written between our last read
 * and the truncation is lost by that way of rotating, and so is a truncation that was overgrown before we looked. Rotated members of a
 * log are read once, before its live file; gzip is read, not followed. A last line without LF is handed in only when its file is given up.
 */
import type { Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { partitionKey } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Positions } from '../source.ts';
import { isGzip, PlainFeed } from './byte-feed.ts';
import { FileIdentities, type FileIdentity, headBytes, readHead } from './file-identity.ts';
import { chains, fixedFolders, type ListedFile, listFiles } from './file-list.ts';
import { type KnownFile, statOf } from './file-locate.ts';
import type { FileSourceOptions } from './file-options.ts';
import { FileWatch } from './file-watch.ts';
import { LineReader, readFrom } from './line-reader.ts';
import { batchOf, type Member, type MemberChain, openFeed, type ReadContext, readChains } from './read-chains.ts';

/** An open file that may grow. */
interface Tail {
  path: string;
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly feed: PlainFeed;
  readonly reader: LineReader;
  readonly identity: FileIdentity;
  /** It is no log's live file any more: given up after enough polls without a new byte. */
  rotated: boolean;
  quietPolls: number;
}

export class FileFollower {
  waitingForFiles = false;
  private readonly patterns: readonly string[];
  private readonly cwd: string;
  private readonly context: ReadContext;
  private readonly files: Map<string, KnownFile>;
  private readonly identities: FileIdentities;
  private readonly maxQuietPolls: number;
  private readonly watch: FileWatch;
  private positions: Positions = {};
  private tails: Tail[] = [];
  /** Files that were read to their end and are not looked at again. */
  private readonly done = new Set<string>();
  /** Sizes of rotated or packed files that appeared since the start: read once they stop growing. */
  private readonly growing = new Map<string, number>();
  /** Files that could not be opened when last tried. */
  private readonly refused = new Set<string>();
  private started = false;

  constructor(patterns: readonly string[], cwd: string, options: FileSourceOptions, context: ReadContext, files: Map<string, KnownFile>) {
    this.patterns = patterns;
    this.cwd = cwd;
    this.context = context;
    this.files = files;
    this.identities = new FileIdentities(options.identityFile);
    const pollMs = options.pollMs ?? 2000;
    this.maxQuietPolls = Math.ceil((options.rotateWaitMs ?? 60_000) / pollMs);
    this.watch = new FileWatch(pollMs, options.watch ?? true);
  }

  async run(positions: Positions): Promise<void> {
    this.positions = positions;
    try {
      await this.identities.load();
      await this.list(true);
      this.started = true;
      while (!this.context.stopped()) {
        await this.readAll();
        if (this.context.stopped()) break;
        const { polled, renamed } = await this.watch.next();
        if (this.context.stopped()) break;
        if (polled || renamed) await this.list(polled);
        if (polled) await this.giveUpRotated();
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // What the system says, not what the engine does in a batch.
      if (code && (error as NodeJS.ErrnoException).syscall) {
        throw new DependencyError(`${this.patterns.join(', ')}: ${(error as Error).message}`, { cause: error });
      }
      throw error;
    } finally {
      this.watch.close();
      for (const tail of this.tails) await tail.feed.close();
    }
  }

  wake(): void {
    this.watch.wake();
  }

  /** Looks at what the patterns name now: opens new files, notes renamed ones, reads rotated members that were never read. */
  private async list(polled: boolean): Promise<void> {
    const listed = await listFiles(this.patterns, this.cwd);
    this.watch.add(new Set([...fixedFolders(this.patterns, this.cwd), ...listed.map((file) => dirname(file.path))]));
    this.waitingForFiles = listed.length === 0;
    for (const topic of this.refused) this.context.solved(topic);
    this.refused.clear();
    const unread: MemberChain[] = [];
    const live = new Set<Tail>();
    const present = new Set<string>();
    const announced: string[] = [];
    for (const chain of chains(listed)) {
      const members: Member[] = [];
      let successor: string | undefined;
      for (const [index, file] of chain.entries()) {
        const stats = await statOf(file.path);
        if (!stats?.isFile()) continue;
        present.add(inode(stats));
        const isLive = index === chain.length - 1;
        let tail = this.tails.find((candidate) => candidate.identity.ino === stats.ino && candidate.identity.dev === stats.dev);
        if (tail) {
          tail.path = file.path;
          this.files.get(tail.key)!.path = file.path;
        } else if (!this.done.has(inode(stats))) {
          const opened = await this.openNew(file, stats, isLive, polled);
          if (opened && 'feed' in opened) {
            tail = opened;
            this.tails.push(tail);
            successor = tail.key;
          } else if (opened) members.push(opened);
        }
        if (tail && isLive) live.add(tail);
      }
      if (members.length > 0) unread.push({ members, successor });
      else if (successor) announced.push(successor);
    }
    for (const tail of this.tails) tail.rotated = !live.has(tail);
    // An inode that is free may come back as another file.
    for (const id of this.done) if (!present.has(id)) this.done.delete(id);
    await this.identities.save();
    if (announced.length > 0) this.context.into.partitions(announced);
    if (unread.length > 0) await readChains(unread, this.context);
  }

  /** A live file becomes a tail; an older member of its log or a gzip one a member to be read once, or nothing if it was read before. */
  private async openNew(file: ListedFile, stats: Stats, isLive: boolean, polled: boolean): Promise<Tail | Member | undefined> {
    try {
      const gzip = await isGzip(file.path);
      const asMember = gzip || !isLive;
      if (asMember && this.started && !this.settled(file, stats, polled)) return undefined;
      const head = await readHead(await openFeed(file.path, 0));
      if (asMember && head.length === 0) return undefined;
      const found = this.identities.match(stats, head, asMember);
      const identity = this.generation(file, stats, found, gzip);
      const key = partitionKey(identity.topic, identity.partition);
      const position = this.positions[key] ?? 0;
      if (asMember) this.done.add(inode(stats));
      // A copy of what is being followed, or of what was: its lines were or will be read where they were written.
      if (asMember && this.readAlready(key, file, stats)) return undefined;
      identity.dev = stats.dev;
      identity.ino = stats.ino;
      this.files.set(key, { path: file.path, identity: { dev: stats.dev, ino: stats.ino } });
      if (asMember) {
        this.identities.note(identity, head);
        return { path: file.path, topic: identity.topic, partition: identity.partition, position };
      }
      if (head.length > 0) this.identities.note(identity, head);
      const feed = new PlainFeed(await open(file.path, 'r'), readFrom(position).byte);
      return this.tail(file.path, identity, feed, position);
    } catch (error) {
      // Renamed or removed since it was listed: the next listing tells. Anything else is tried again then.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.refused.add(file.topic);
      this.context.problem(file.topic, `cannot be read: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Whether this file's lines were or are being read under another name. Where their own bytes are gone, samples are read from the copy. */
  private readAlready(key: string, file: ListedFile, stats: Stats): boolean {
    const known = this.files.get(key);
    if (known?.gone) this.files.set(key, { path: file.path, identity: { dev: stats.dev, ino: stats.ino } });
    return known !== undefined;
  }

  /** A copy that is still being written cannot be told from a new log: it has the size it had at the poll before. */
  private settled(file: ListedFile, stats: Stats, polled: boolean): boolean {
    if (this.growing.get(file.path) === stats.size) {
      this.growing.delete(file.path);
      return true;
    }
    if (polled) this.growing.set(file.path, stats.size);
    return false;
  }

  /** The identity of a file: the one it is known by, or the next generation of its name. */
  private generation(file: ListedFile, stats: Stats, found: FileIdentity | undefined, gzip: boolean): FileIdentity {
    const shorter = (topic: string, partition: number) => !gzip && stats.size < (this.positions[partitionKey(topic, partition)] ?? 0);
    if (found && !shorter(found.topic, found.partition)) return found;
    const { topic } = file;
    const seen = Math.max(this.identities.newestGeneration(topic), newestGeneration(this.files.keys(), topic));
    const resumed = newestGeneration(Object.keys(this.positions), topic);
    // Only a checkpoint knows the name: its length is all there is to tell by.
    const goesOn = seen < 0 && resumed >= 0 && !shorter(topic, resumed);
    const partition = goesOn ? resumed : Math.max(seen, resumed) + 1;
    return { topic, partition, dev: stats.dev, ino: stats.ino, headLength: 0, headCrc: 0 };
  }

  private tail(path: string, identity: FileIdentity, feed: PlainFeed, position: number): Tail {
    const { topic, partition } = identity;
    const reader = new LineReader(feed, position, this.context.maxLineBytes);
    return { path, topic, partition, key: partitionKey(topic, partition), feed, reader, identity, rotated: false, quietPolls: 0 };
  }

  /** One batch of each file in turn, until none has more. */
  private async readAll(): Promise<void> {
    let more = true;
    while (more) {
      more = false;
      // A copy: a truncated file's next generation takes its place in the list.
      for (const tail of [...this.tails]) {
        if (this.context.stopped()) return;
        const lines = await tail.reader.next();
        if (this.context.stopped()) return;
        if (lines) {
          more = true;
          tail.quietPolls = 0;
          await this.rememberHead(tail);
          await this.context.into.batch(batchOf(tail, lines, this.context));
        } else if ((await tail.feed.handle.stat()).size < tail.feed.position) {
          more = true;
          await this.truncated(tail);
        }
      }
    }
  }

  /** Before its first batch, and again while it is short enough to be taken for another. */
  private async rememberHead(tail: Tail): Promise<void> {
    if (tail.identity.headLength >= Math.min(headBytes, tail.feed.position)) return;
    const head = Buffer.alloc(Math.min(headBytes, tail.feed.position));
    await tail.feed.handle.read(head, 0, head.length, 0);
    this.identities.note(tail.identity, head);
    await this.identities.save();
  }

  private async truncated(tail: Tail): Promise<void> {
    const last = tail.reader.end();
    if (last) await this.context.into.batch(batchOf(tail, [last], this.context));
    const { dev, ino } = tail.identity;
    const identity: FileIdentity = { topic: tail.topic, partition: tail.partition + 1, dev, ino, headLength: 0, headCrc: 0 };
    const next = this.tail(tail.path, identity, new PlainFeed(tail.feed.handle, 0), 0);
    this.tails[this.tails.indexOf(tail)] = next;
    this.files.set(tail.key, { path: tail.path, gone: true });
    this.files.set(next.key, { path: tail.path, identity: { dev, ino } });
    this.context.into.partitions([next.key]);
    this.context.into.ended(tail.key);
  }

  /** Called once a poll: a writer may keep a renamed file open for a while. */
  private async giveUpRotated(): Promise<void> {
    for (const tail of this.tails.filter((candidate) => candidate.rotated)) {
      if (++tail.quietPolls < this.maxQuietPolls) continue;
      const lines = await tail.reader.next();
      const last = lines ?? [tail.reader.end()].filter((line) => line !== undefined);
      if (last.length > 0) await this.context.into.batch(batchOf(tail, last, this.context));
      tail.quietPolls = 0;
      if (lines || this.context.stopped()) continue;
      this.tails.splice(this.tails.indexOf(tail), 1);
      this.done.add(inode(await tail.feed.handle.stat()));
      await tail.feed.close();
      this.context.into.ended(tail.key);
    }
  }
}

/** With the time of birth: a freed inode number is soon another file's. */
function inode(file: Stats): string {
  return `${file.dev}:${file.ino}:${file.birthtimeMs}`;
}

function newestGeneration(keys: Iterable<string>, topic: string): number {
  let newest = -1;
  for (const key of keys) {
    const slash = key.lastIndexOf('/');
    if (key.slice(0, slash) === topic) newest = Math.max(newest, Number(key.slice(slash + 1)));
  }
  return newest;
}
