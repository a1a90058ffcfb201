/** Copies an array into a longer one and returns that: how a column grows. */
export function widen<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
