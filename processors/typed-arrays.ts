/** Copies an array into a longer one and returns that: how a column grows. */
export function widen<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}

/**
 * The length of a column that begins with `first` and grows by a part of itself until it has room for `needed`: a function of these alone,
 * so that a column is as long after a restore as it was before.
 */
export function grownLength(first: number, needed: number, part: number): number {
  let length = first;
  while (length < needed) length += Math.max(first, Math.floor(length * part));
  return length;
}
