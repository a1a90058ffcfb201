/**
 * An exponential histogram in words, as a pane keeps it and a snapshot holds it: scale, zeros, first bucket and number of buckets of the
 * positive and of the negative side, then the counts of both sides. `base` is the index of its first word.
 */
import type { ExponentialHistogram } from './exponential-histogram.ts';
import { bucketMiddle, histogramIndex } from './histogram-index.ts';
import type { CentroidList } from './t-digest.ts';

/** Words before the counts. */
const head = 6;

export function wordsFor({ positive, negative }: ExponentialHistogram): number {
  return head + positive.length + negative.length;
}

export function wordsAt(words: Uint32Array, base: number): number {
  return head + words[base + 3] + words[base + 5];
}

export function putWords({ scale, zero, positive, negative }: ExponentialHistogram, words: Uint32Array, base: number): void {
  words.set([scale, zero, positive.start, positive.length, negative.start, negative.length], base);
  let at = base + head;
  for (const side of [positive, negative]) {
    for (let i = side.start; i < side.start + side.length; i++) words[at++] = side.at(i);
  }
}

/** Counts a number in place. False if it has no bucket there. */
export function countInWords(words: Uint32Array, base: number, value: number): boolean {
  if (value === 0) {
    words[base + 1]++;
    return true;
  }
  const side = value > 0 ? 2 : 4;
  const place = histogramIndex(Math.abs(value), words[base] | 0) - (words[base + side] | 0);
  if (place < 0 || place >= words[base + side + 1]) return false;
  words[base + head + place + (side === 4 ? words[base + 3] : 0)]++;
  return true;
}

/** Adds it to another histogram. */
export function addWords(words: Uint32Array, base: number, to: ExponentialHistogram): void {
  const scale = words[base] | 0;
  to.coarsenTo(scale);
  if (words[base + 1] > 0) to.add(0, words[base + 1]);
  let at = base + head;
  for (const side of [2, 4]) {
    const start = words[base + side] | 0;
    for (let i = 0; i < words[base + side + 1]; i++, at++) {
      if (words[at] > 0) to.addBucket(start + i, scale, side === 2, words[at]);
    }
  }
  to.limit();
}

/** Appends the middles of its buckets, as f32, to a list of centroids, ascending. */
export function appendWords(words: Uint32Array, base: number, to: CentroidList): void {
  const scale = words[base] | 0;
  const positives = words[base + 3];
  for (let i = words[base + 5] - 1; i >= 0; i--) {
    const count = words[base + head + positives + i];
    if (count > 0) to.push(Math.fround(-bucketMiddle((words[base + 4] | 0) + i, scale)), count);
  }
  if (words[base + 1] > 0) to.push(0, words[base + 1]);
  for (let i = 0; i < positives; i++) {
    if (words[base + head + i] > 0) to.push(Math.fround(bucketMiddle((words[base + 2] | 0) + i, scale)), words[base + head + i]);
  }
}
