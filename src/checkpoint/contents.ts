/** What a checkpoint lies as: parts, each stored once, and what a manifest says of them. */
import { bytesIn, type Snapshot } from '../../processors/snapshot.ts';
import { partBytes } from '../../processors/snapshot-parts.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Manifest } from './manifest.ts';
import { hashedParts, type Part, type PartHasher, partsBehind, refLists } from './parts.ts';

/** Longer marks are parts: a manifest is one record of a topic, which takes 1 MiB at most, and 100,000 findings that are owed are 6 MB. */
const inlineMarkBytes = 32 * 1024;

export interface Contents {
  /** Everything that has to be stored, lists of parts included. */
  readonly parts: readonly Part[];
  readonly named: Pick<Manifest, 'positions' | 'origins' | 'marks' | 'markLists' | 'stateBytes' | 'lists'>;
}

export async function contentsOf({ positions, origins, marks, state }: Checkpoint, hasher: PartHasher): Promise<Contents> {
  const parts = await hasher.parts(state.filter(({ length }) => length > 0));
  const lists = await refLists(parts);
  const named = { positions, origins, stateBytes: bytesIn(state), lists };
  const markBytes = Buffer.from(JSON.stringify(marks ?? {}));
  if (markBytes.length <= inlineMarkBytes) return { parts: [...parts, ...lists], named: { ...named, marks } };
  const markParts = await hashedParts(cut(markBytes));
  const markLists = await refLists(markParts);
  return { parts: [...parts, ...lists, ...markParts, ...markLists], named: { ...named, markLists } };
}

export interface Behind extends Pick<Checkpoint, 'marks' | 'state'> {
  /** Those that were found whole. */
  readonly parts: readonly Part[];
}

/** What a manifest names, each part checked against its hash; `stored` looks a part up by its hash. Returns a text instead: what is wrong. */
export async function contentsBehind(
  { lists, marks, markLists }: Manifest,
  stored: (hash: string) => Uint8Array | undefined,
): Promise<Behind | string> {
  const state = await partsBehind(lists, stored);
  if (typeof state === 'string') return state;
  const found = { state: state.parts.map(({ bytes }) => bytes), parts: [...state.lists, ...state.parts] };
  if (markLists === undefined) return { ...found, marks };
  const far = await partsBehind(markLists, stored);
  if (typeof far === 'string') return `of its marks ${far}`;
  const text = Buffer.concat(far.parts.map(({ bytes }) => bytes)).toString();
  return { ...found, marks: JSON.parse(text), parts: [...found.parts, ...far.lists, ...far.parts] };
}

function cut(bytes: Uint8Array): Snapshot {
  return Array.from({ length: Math.ceil(bytes.length / partBytes) }, (_, i) => bytes.subarray(i * partBytes, (i + 1) * partBytes));
}
