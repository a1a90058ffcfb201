/**
 * A checkpoint as bytes: magic and version, a JSON header (identity, positions, length of the state), the state, and a SHA-256 over all
 * of it. Any byte that is missing or changed is noticed before anything is used.
 */
import { createHash } from 'node:crypto';
import type { Checkpoint } from './checkpoint.ts';

export const formatVersion = 1;
const magic = 'SGCP';
/** Magic, u32 version, u32 header length; little-endian. */
const prefixBytes = 12;
const digestBytes = 32;

export interface StoredCheckpoint extends Checkpoint {
  readonly identity: string;
}

/** `damaged`: cut short or changed. `newer`: whole as far as it can be told, but written by a later version. */
export type DecodedCheckpoint =
  | { readonly kind: 'whole'; readonly checkpoint: StoredCheckpoint }
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'newer'; readonly version: number };

/** The parts to write one after the other: the state is not copied. */
export function encodeCheckpoint(stored: StoredCheckpoint): Uint8Array[] {
  const header = Buffer.from(
    JSON.stringify({ identity: stored.identity, positions: stored.positions, marks: stored.marks, stateBytes: stored.state.length }),
  );
  const prefix = Buffer.alloc(prefixBytes);
  prefix.write(magic, 0, 'latin1');
  prefix.writeUInt32LE(formatVersion, 4);
  prefix.writeUInt32LE(header.length, 8);
  const digest = createHash('sha256').update(prefix).update(header).update(stored.state).digest();
  return [prefix, header, stored.state, digest];
}

export function decodeCheckpoint(bytes: Buffer): DecodedCheckpoint {
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
  const stateAt = prefixBytes + bytes.readUInt32LE(8);
  const header: unknown = JSON.parse(body.toString('utf8', prefixBytes, stateAt));
  if (!isHeader(header)) return damaged('its header lacks identity, positions or stateBytes');
  if (stateAt + header.stateBytes !== body.length)
    return damaged(`holds ${body.length - stateAt} bytes of state where ${header.stateBytes} were expected`);
  const state = new Uint8Array(body.subarray(stateAt));
  return { kind: 'whole', checkpoint: { identity: header.identity, positions: header.positions, marks: header.marks, state } };
}

function damaged(reason: string): DecodedCheckpoint {
  return { kind: 'damaged', reason };
}

interface Header {
  readonly identity: string;
  readonly positions: Record<string, number>;
  /** Left out by versions before 0.2, and where no sink can tell. */
  readonly marks?: Record<string, string>;
  readonly stateBytes: number;
}

function isHeader(value: unknown): value is Header {
  if (typeof value !== 'object' || value === null) return false;
  const header = value as Record<string, unknown>;
  const { positions, marks } = header;
  if (
    marks !== undefined &&
    (typeof marks !== 'object' || marks === null || !Object.values(marks).every((mark) => typeof mark === 'string'))
  )
    return false;
  if (typeof header.identity !== 'string' || typeof header.stateBytes !== 'number') return false;
  if (typeof positions !== 'object' || positions === null) return false;
  return Object.values(positions).every((offset) => Number.isSafeInteger(offset) && (offset as number) >= 0);
}
