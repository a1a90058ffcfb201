/** npm's `tdigest`, as much of it as is compared; it comes without types. */
import { createRequire } from 'node:module';

export interface TDigest {
  push(number: number): void;
  push_centroid(centroids: unknown): void;
  toArray(): unknown;
  percentile(q: number): number;
}

const library = createRequire(import.meta.url)('tdigest') as { readonly TDigest: new () => TDigest };

/** With its own defaults: delta 0.01. */
export function tdigestOf(): TDigest {
  return new library.TDigest();
}
