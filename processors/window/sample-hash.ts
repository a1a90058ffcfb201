/** Hash of (topic, partition, offset): which records of a pane become a key's samples. Not keyed: nothing can be gained by steering it. */
import { hashKeyOf, hashText, publishedHashKey } from '../sketch/hash.ts';

const key = hashKeyOf(publishedHashKey);
const out = new Uint32Array(2);

/** Hash of a partition's name, never 0. */
export function partitionHash(partitionKey: string): number {
  hashText(partitionKey, key, out);
  return out[0] || 1;
}

/** Mixes an offset below 2^53 into the partition's hash with murmur3's finaliser (Appleby, 2011). */
export function sampleHash(partition: number, offset: number): number {
  let h = partition ^ (offset | 0) ^ Math.imul((offset / 0x100000000) | 0, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
