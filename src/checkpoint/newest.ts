/** Which checkpoint of a place is the one to go on from: the newest whole one, if it is ours. */
import { type Checkpoint, CheckpointError, type Refuse } from './checkpoint.ts';
import { type DecodedManifest, decodeManifest, formatVersion, type Manifest } from './manifest.ts';

export interface Place {
  /** As the user knows it: a folder, a topic. */
  readonly name: string;
  /** Whose state is to be found there. */
  readonly identity: string;
  /** What to do to begin with none. */
  readonly startAfresh: string;
  readonly warn?: (message: string) => void;
}

export interface Candidate {
  readonly name: string;
  read(): Promise<Buffer>;
  /** What lies in the parts that it names, or what is wrong with them. */
  contents(manifest: Manifest): Promise<Pick<Checkpoint, 'marks' | 'state'> | string>;
  /** Told when it cannot be used. */
  damaged(): void;
}

export type Found = Checkpoint & { readonly manifest: Manifest };
export type Readable = Exclude<DecodedManifest, { kind: 'newer' }>;

/**
 * Of candidates, newest first. Damaged ones are passed over, with a warning: what was read since then is read again. Throws a
 * `CheckpointError` when there are only damaged ones, or the newest whole one is of another identity, refused, or of a later format.
 */
export async function newestWhole(candidates: readonly Candidate[], place: Place, refuse?: Refuse): Promise<Found | undefined> {
  const reasons: string[] = [];
  for (const candidate of candidates) {
    const decoded = readable(candidate.name, await candidate.read(), place);
    const contents = await contentsOf(candidate, decoded);
    if (decoded.kind === 'damaged' || typeof contents === 'string') {
      candidate.damaged();
      reasons.push(`${candidate.name} is damaged: ${contents}`);
      continue;
    }
    const { positions, origins } = decoded.manifest;
    const refusal = refuse?.({ positions, origins });
    if (refusal !== undefined) {
      throw new CheckpointError([`${candidate.name} belongs to another deployment: ${refusal}, or ${place.startAfresh}`]);
    }
    if (reasons.length > 0) place.warn?.(`${reasons.join('; ')}; going on from ${candidate.name}, what was read since is read again`);
    return { positions, origins, ...contents, manifest: decoded.manifest };
  }
  if (reasons.length === 0) return undefined;
  throw new CheckpointError([...reasons, `no whole checkpoint is left in ${place.name}: restore it, or ${place.startAfresh}`]);
}

/** Throws a `CheckpointError` for one that is whole but must not be used. */
export function readable(name: string, bytes: Buffer, { identity, startAfresh }: Place): Readable {
  const decoded = decodeManifest(bytes);
  if (decoded.kind === 'newer') {
    throw new CheckpointError([
      `${name} has format ${decoded.version}, this version reads up to ${formatVersion}: run the version that wrote it, or ${startAfresh}`,
    ]);
  }
  if (decoded.kind !== 'damaged' && decoded.manifest.identity !== identity) {
    throw new CheckpointError([
      `${name} belongs to ${JSON.stringify(decoded.manifest.identity)}, this deployment is ${JSON.stringify(identity)} (another hash key): ` +
        `go back to those, or ${startAfresh}`,
    ]);
  }
  return decoded;
}

async function contentsOf(candidate: Candidate, decoded: Readable): Promise<Pick<Checkpoint, 'marks' | 'state'> | string> {
  if (decoded.kind === 'damaged') return decoded.reason;
  if (decoded.kind === 'format 1') return { marks: decoded.manifest.marks, state: [decoded.state] };
  return candidate.contents(decoded.manifest);
}
