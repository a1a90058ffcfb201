/**
 * What a checkpoint is made of, as bytes: magic and version, a JSON header (identity, positions, where their topics lie, marks, and the lists
 * that name the parts of the state), and a SHA-256 over all of it. Any byte that is missing or changed is noticed before anything is used.
 * In format 1 the state itself stood behind the header; up to format 2 all marks stood in the header, and nothing said where topics lie.
 */
import { createHash } from 'node:crypto';
import type { Checkpoint } from './checkpoint.ts';
import type { PartRef } from './parts.ts';

export const formatVersion = 3;
const magic = 'SGCP';
/** Magic, u32 version, u32 header length; little-endian. */
const prefixBytes = 12;
const digestBytes = 32;

export interface Manifest extends Omit<Checkpoint, 'state'> {
  /** Whose state it is. */
  readonly identity: string;
  readonly stateBytes: number;
  /** The parts that name all others of the state, in order. */
  readonly lists: readonly PartRef[];
  /** The same of the marks, where they are too long to stand here. */
  readonly markLists?: readonly PartRef[];
  /** The files that parts lie in, by number. */
  readonly packs?: readonly number[];
  /** Counts up from save to save, where the place does not say which came later. */
  readonly number?: number;
}

/** `damaged`: cut short or changed. `newer`: whole as far as it can be told, but written by a later version. */
export type DecodedManifest =
  | { readonly kind: 'whole'; readonly manifest: Manifest }
  | { readonly kind: 'format 1'; readonly manifest: Manifest; readonly state: Uint8Array }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'newer'; readonly version: number };

export function encodeManifest({ lists, markLists, ...rest }: Manifest): Buffer {
  const header = Buffer.from(JSON.stringify({ ...rest, markLists: markLists?.map(named), lists: lists.map(named) }));
  const prefix = Buffer.alloc(prefixBytes);
  prefix.write(magic, 0, 'latin1');
  prefix.writeUInt32LE(formatVersion, 4);
  prefix.writeUInt32LE(header.length, 8);
  const digest = createHash('sha256').update(prefix).update(header).digest();
  return Buffer.concat([prefix, header, digest]);
}

export function decodeManifest(bytes: Buffer): DecodedManifest {
  if (bytes.length < prefixBytes + digestBytes)
    return damaged(`${bytes.length} bytes where at least ${prefixBytes + digestBytes} were expected`);
  if (bytes.toString('latin1', 0, 4) !== magic) return damaged(`begins with ${bytes.toString('hex', 0, 4)} where ${magic} was expected`);
  const body = bytes.subarray(0, bytes.length - digestBytes);
  if (!createHash('sha256').update(body).digest().equals(bytes.subarray(body.length))) {
    return damaged(`the checksum over its ${body.length} bytes does not hold`);
  }
  // Later versions keep the prefix and the checksum, so that a damaged file is never taken for a newer one.
  const version = bytes.readUInt32LE(4);
  if (version > formatVersion) return { kind: 'newer', version };
  const headerEnd = prefixBytes + bytes.readUInt32LE(8);
  const header: unknown = JSON.parse(body.toString('utf8', prefixBytes, headerEnd));
  if (!isHeader(header)) return damaged('its header lacks identity, positions or stateBytes');
  if (version === 1) {
    const state = body.subarray(headerEnd);
    if (state.length !== header.stateBytes) return damaged(`holds ${state.length} bytes of state where ${header.stateBytes} were expected`);
    const { identity, positions, marks, stateBytes } = header;
    return { kind: 'format 1', manifest: { identity, positions, marks, stateBytes, lists: [] }, state: new Uint8Array(state) };
  }
  const { lists, markLists, ...rest } = header;
  if (lists === undefined) return damaged('its header lacks the lists of parts');
  const manifest = { ...rest, lists: lists.map(refOf) };
  return { kind: 'whole', manifest: markLists === undefined ? manifest : { ...manifest, markLists: markLists.map(refOf) } };
}

type Named = readonly [hex: string, length: number];

function named({ hash, length }: PartRef): Named {
  return [Buffer.from(hash, 'latin1').toString('hex'), length];
}

function refOf([hex, length]: Named): PartRef {
  return { hash: Buffer.from(hex, 'hex').toString('latin1'), length };
}

function damaged(reason: string): DecodedManifest {
  return { kind: 'damaged', reason };
}

interface Header extends Omit<Manifest, 'lists' | 'markLists'> {
  readonly lists?: readonly Named[];
  readonly markLists?: readonly Named[];
}

function isHeader(value: unknown): value is Header {
  if (!isMap(value)) return false;
  const { identity, stateBytes, positions, origins, marks, lists, markLists, packs, number } = value;
  if (typeof identity !== 'string' || !isCount(stateBytes)) return false;
  if (!isMap(positions) || !Object.values(positions).every(isCount)) return false;
  if (marks !== undefined && !(isMap(marks) && Object.values(marks).every((mark) => typeof mark === 'string'))) return false;
  if (![lists, markLists].every((each) => each === undefined || (Array.isArray(each) && each.every(isNamed)))) return false;
  if (origins !== undefined && !(Array.isArray(origins) && origins.every(isOrigin))) return false;
  return (packs === undefined || (Array.isArray(packs) && packs.every(isCount))) && (number === undefined || isCount(number));
}

function isOrigin(value: unknown): boolean {
  if (!isMap(value)) return false;
  const { cluster, group, topics } = value;
  return (
    [cluster, group].every((each) => typeof each === 'string') && Array.isArray(topics) && topics.every((each) => typeof each === 'string')
  );
}

function isNamed(value: unknown): boolean {
  return Array.isArray(value) && typeof value[0] === 'string' && /^[\da-f]{64}$/.test(value[0]) && isCount(value[1]);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
