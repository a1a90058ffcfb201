/** Reads files that end: each chain of a rotated log oldest first, several chains side by side. */
import { open, stat } from 'node:fs/promises';
import { partitionKey, type SourceRecord } from '../../../processors/record.ts';
import type { RecordIntake } from '../source.ts';
import { type ByteFeed, GzipFeed, isGzip, PlainFeed } from './byte-feed.ts';
import { LineReader, readFrom } from './line-reader.ts';

/** A file with the partition its lines belong to and where to go on in it. */
export interface Member {
  readonly path: string;
  readonly topic: string;
  readonly partition: number;
  readonly position: number;
}

export interface MemberChain {
  readonly members: readonly Member[];
  /** The partition that goes on where the chain ends (the file that is followed), announced before the last member ends. */
  readonly successor?: string;
}

export interface ReadContext {
  readonly into: RecordIntake;
  readonly dataset: string;
  readonly format: string;
  readonly maxLineBytes: number;
  stopped(): boolean;
  /** A file could not be read, or not to its end. The others are read all the same. */
  problem(topic: string, why: string): void;
  /** What was wrong with it is over. */
  solved(topic: string): void;
}

interface Cursor {
  readonly chain: MemberChain;
  readonly totalBytes: number;
  index: number;
  reader: LineReader | undefined;
  /** File bytes of the members before this one. */
  readBefore: number;
}

/**
 * The next batch always comes from the chain of which the smallest share was read, the first of equal ones: a function of the files alone.
 * Logs of one stretch of time so move on at about the same pace, and the watermark with them. Only the oldest unread file of a chain is
 * announced, since what rotation made follows in time; were all announced at once, no window could close before the newest file begins.
 */
export async function readChains(chains: readonly MemberChain[], context: ReadContext): Promise<void> {
  let cursors: Cursor[] = [];
  for (const chain of chains) {
    let totalBytes = 0;
    for (const member of chain.members) totalBytes += await sizeOf(member.path);
    cursors.push({ chain, totalBytes, index: 0, reader: undefined, readBefore: 0 });
  }
  context.into.partitions(cursors.map((cursor) => keyOf(cursor.chain.members[0]!)));
  try {
    while (cursors.length > 0 && !context.stopped()) {
      const behind = cursors.reduce((least, cursor) => (shareRead(cursor) < shareRead(least) ? cursor : least));
      await step(behind, context);
      cursors = cursors.filter((cursor) => cursor.index < cursor.chain.members.length);
    }
  } finally {
    for (const cursor of cursors) await cursor.reader?.feed.close();
  }
}

/** Opens a file where its lines from `position` on begin. */
export async function openFeed(path: string, position: number): Promise<ByteFeed> {
  const { byte } = readFrom(position);
  // A named pipe, or the shell's <(…): looking for gzip's first bytes would take them away.
  if ((await stat(path)).isFIFO()) return new PlainFeed(await open(path, 'r'), byte, false);
  if (await isGzip(path)) return new GzipFeed(path, byte);
  return new PlainFeed(await open(path, 'r'), byte);
}

/** Hands in one batch of the cursor's file, or ends it. */
async function step(cursor: Cursor, context: ReadContext): Promise<void> {
  const member = cursor.chain.members[cursor.index]!;
  let lines: SourceRecord[] | undefined;
  try {
    cursor.reader ??= await openMember(member, context);
    lines = await cursor.reader.next();
  } catch (error) {
    context.problem(member.topic, whyUnreadable(error, cursor.reader));
    lines = undefined;
  }
  if (context.stopped()) return;
  if (lines) {
    await context.into.batch(batchOf(member, lines, context));
    return;
  }
  const last = cursor.reader?.end();
  if (last) await context.into.batch(batchOf(member, [last], context));
  if (context.stopped()) return;
  cursor.readBefore += bytesTaken(cursor.reader);
  await cursor.reader?.feed.close();
  cursor.reader = undefined;
  cursor.index++;
  const next = cursor.chain.members[cursor.index];
  const nextKey = next ? keyOf(next) : cursor.chain.successor;
  if (nextKey) context.into.partitions([nextKey]);
  context.into.ended(keyOf(member));
}

async function openMember(member: Member, context: ReadContext): Promise<LineReader> {
  const feed = await openFeed(member.path, member.position);
  if (feed instanceof PlainFeed && member.position > 0) {
    const { size } = await feed.handle.stat();
    if (size < member.position) {
      await feed.close();
      throw new Error(
        `${size} bytes long where ${member.position} were read before: it was replaced; restore it, or start with a new state folder`,
      );
    }
  }
  return new LineReader(feed, member.position, context.maxLineBytes);
}

export function batchOf(
  member: { topic: string; partition: number },
  records: readonly SourceRecord[],
  context: { dataset: string; format: string },
) {
  return { topic: member.topic, partition: member.partition, dataset: context.dataset, format: context.format, records };
}

function keyOf(member: Member): string {
  return partitionKey(member.topic, member.partition);
}

function shareRead(cursor: Cursor): number {
  if (cursor.totalBytes === 0) return 0;
  return (cursor.readBefore + bytesTaken(cursor.reader)) / cursor.totalBytes;
}

/** Of a plain file what was handed in, of a packed one what was read: how much of a packed chunk was handed in says nothing in its bytes. */
function bytesTaken(reader: LineReader | undefined): number {
  if (!reader) return 0;
  return reader.feed instanceof PlainFeed ? reader.nextOffset : reader.feed.fileBytesRead;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    // Opening it will say why.
    return 0;
  }
}

function whyUnreadable(error: unknown, reader: LineReader | undefined): string {
  const code = (error as NodeJS.ErrnoException).code;
  const where = reader ? ` after byte ${reader.nextOffset}` : '';
  if (code === 'ENOENT') return `gone before it could be read${where}`;
  if (code === 'EACCES' || code === 'EPERM') return `may not be read (${code}): give this user the right to read it`;
  if (code === 'EISDIR') return 'is a folder: name the files in it, as in "folder/*.log"';
  if (code?.startsWith('Z_')) return `damaged gzip${where} (${(error as Error).message}): what came before was read`;
  return `cannot be read${where}: ${(error as Error).message}`;
}
