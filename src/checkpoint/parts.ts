/** The parts of a state by what they hold: two of the same SHA-256 are the same part, which is stored once. */
import { createHash, webcrypto } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Slices } from '../../processors/slices.ts';
import type { Snapshot } from '../../processors/snapshot.ts';
import { inSlices } from '../in-slices.ts';

export interface PartRef {
  /** SHA-256 as 32 characters, one a byte: a key of maps. */
  readonly hash: string;
  readonly length: number;
}

export interface Part extends PartRef {
  readonly bytes: Uint8Array;
}

export const hashBytes = 32;
const refBytes = hashBytes + 4;
/** So many refs make a list of just under 64 KiB. */
const refsPerList = 1800;
/** Digests under way at once: more than there are threads for them would only hold copies. */
const lanes = 4;
const shortBytes = 16 * 1024;

/** A part that is handed in again is what it was: nobody changes one. */
const known = new WeakMap<Uint8Array, Part>();

/** Hashes each part once for all times that it is handed in; long ones in Node's thread pool. */
export async function hashedParts(snapshot: Snapshot): Promise<Part[]> {
  const parts: Part[] = new Array(snapshot.length);
  const long = await inSlices(hashShort(snapshot, parts));
  let next = 0;
  const lane = async () => {
    for (let i = long[next++]; i !== undefined; i = long[next++]) {
      const digest = await webcrypto.subtle.digest('SHA-256', unshared(snapshot[i]));
      parts[i] = remembered(snapshot[i], Buffer.from(digest));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return parts;
}

/** Fills in the parts that are known, or so short that the way to the thread pool would take longer; returns the indexes of the others. */
function* hashShort(snapshot: Snapshot, parts: Part[]): Slices<number[]> {
  const long: number[] = [];
  for (const [index, bytes] of snapshot.entries()) {
    const before = known.get(bytes);
    if (before !== undefined) parts[index] = before;
    else if (bytes.length > shortBytes) long.push(index);
    else parts[index] = remembered(bytes, createHash('sha256').update(bytes).digest());
    yield;
  }
  return long;
}

function remembered(bytes: Uint8Array, digest: Buffer): Part {
  const part = { hash: digest.toString('latin1'), length: bytes.length, bytes };
  known.set(bytes, part);
  return part;
}

let scratch = new Uint8Array(0);

/** WebCrypto takes no shared memory, and has its own copy of what it is given by the time it returns: ours is for the next part then. */
function unshared(bytes: Uint8Array): Uint8Array {
  if (!(bytes.buffer instanceof SharedArrayBuffer)) return bytes;
  if (scratch.length < bytes.length) scratch = new Uint8Array(bytes.length);
  scratch.set(bytes);
  return scratch.subarray(0, bytes.length);
}

/** The refs of all parts in order, as lists that are stored as parts too: a manifest names only those, so it stays small. */
export async function refLists(parts: readonly PartRef[]): Promise<Part[]> {
  const lists: Buffer[] = [];
  for (let first = 0; first < parts.length; first += refsPerList) {
    const refs = parts.slice(first, first + refsPerList);
    const list = Buffer.alloc(refs.length * refBytes);
    refs.forEach(({ hash, length }, i) => {
      list.write(hash, i * refBytes, 'latin1');
      list.writeUInt32LE(length, i * refBytes + hashBytes);
    });
    lists.push(list);
    await setImmediate();
  }
  return hashedParts(lists);
}

/** What `refLists` wrote; undefined if it is no such list. */
export function refsOf(list: Uint8Array): PartRef[] | undefined {
  if (list.length % refBytes !== 0) return undefined;
  const bytes = Buffer.from(list.buffer, list.byteOffset, list.byteLength);
  return Array.from({ length: list.length / refBytes }, (_, i) => ({
    hash: bytes.toString('latin1', i * refBytes, i * refBytes + hashBytes),
    length: bytes.readUInt32LE(i * refBytes + hashBytes),
  }));
}

/**
 * The state behind the lists that a manifest names, each part checked against its hash. `stored` looks a part up by its hash. Returns a
 * text instead: what is missing or changed.
 */
export async function stateBehind(lists: readonly PartRef[], stored: (hash: string) => Uint8Array | undefined): Promise<Part[] | string> {
  const found = await wholeParts(lists, stored);
  if (typeof found === 'string') return `its list ${found}`;
  const refs: PartRef[] = [];
  for (const { bytes } of found) {
    const more = refsOf(bytes);
    if (more === undefined) return `a list of ${bytes.length} bytes is none`;
    for (const ref of more) refs.push(ref);
  }
  return wholeParts(refs, stored);
}

async function wholeParts(refs: readonly PartRef[], stored: (hash: string) => Uint8Array | undefined): Promise<Part[] | string> {
  const found: Uint8Array[] = [];
  for (const [index, { hash, length }] of refs.entries()) {
    const bytes = stored(hash);
    if (bytes?.length !== length) return `part ${index + 1} of ${refs.length} is missing`;
    found.push(bytes);
  }
  const parts = await hashedParts(found);
  const changed = parts.findIndex(({ hash }, index) => hash !== refs[index].hash);
  return changed < 0 ? parts : `part ${changed + 1} of ${refs.length} has changed`;
}
