/** The parts of a state by what they hold: two of the same SHA-256 are the same part, which is stored once. */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Slices } from '../../processors/slices.ts';
import { bytesIn, type Snapshot } from '../../processors/snapshot.ts';
import { inSlices } from '../in-slices.ts';
import { HashThread } from './hash-thread.ts';

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
/** Shorter parts are hashed here: sending them takes as long. */
const shortBytes = 16 * 1024;
/** Less than this, some 5 ms of it, is no reason to have another thread. */
const threadBytes = 4 * 2 ** 20;
const thread = new HashThread();

/** Hashes the parts of one state after the other; what is handed in again, the same object, is known from the time before. */
export class PartHasher {
  #last: ReadonlyMap<Uint8Array, Part> = new Map();

  /** In order. Where there is much to hash, another thread does it; the rest takes place in slices. */
  async parts(snapshot: Snapshot): Promise<Part[]> {
    // Others would have to be copied first.
    const long = snapshot.filter(
      (bytes) => bytes.length > shortBytes && bytes.buffer instanceof SharedArrayBuffer && !this.#last.has(bytes),
    );
    // Where there can be no thread, what is not hashed there is hashed here.
    const digests = bytesIn(long) >= threadBytes ? await thread.digests(long).catch(() => []) : [];
    return inSlices(this.#assemble(snapshot, new Map(digests.map((digest, index) => [long[index], digest]))));
  }

  *#assemble(snapshot: Snapshot, digests: ReadonlyMap<Uint8Array, Uint8Array>): Slices<Part[]> {
    const seen = new Map<Uint8Array, Part>();
    const parts: Part[] = [];
    for (const bytes of snapshot) {
      const part = this.#last.get(bytes) ?? seen.get(bytes) ?? partOf(bytes, digests.get(bytes));
      seen.set(bytes, part);
      parts.push(part);
      yield;
    }
    this.#last = seen;
    return parts;
  }
}

export function hashedParts(snapshot: Snapshot): Promise<Part[]> {
  return new PartHasher().parts(snapshot);
}

function partOf(bytes: Uint8Array, digest: Uint8Array = createHash('sha256').update(bytes).digest()): Part {
  return { hash: Buffer.from(digest).toString('latin1'), length: bytes.length, bytes };
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
 * The parts behind lists that a manifest names, and the lists, each checked against its hash. `stored` looks a part up by its hash. Returns
 * a text instead: what is missing or changed.
 */
export async function partsBehind(
  lists: readonly PartRef[],
  stored: (hash: string) => Uint8Array | undefined,
): Promise<{ readonly lists: readonly Part[]; readonly parts: readonly Part[] } | string> {
  const found = await wholeParts(lists, stored);
  if (typeof found === 'string') return `its list ${found}`;
  const refs: PartRef[] = [];
  for (const { bytes } of found) {
    const more = refsOf(bytes);
    if (more === undefined) return `a list of ${bytes.length} bytes is none`;
    for (const ref of more) refs.push(ref);
  }
  const parts = await wholeParts(refs, stored);
  return typeof parts === 'string' ? parts : { lists: found, parts };
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
