/** Work that may take long is a generator that pauses now and then, so that who drives it can let others run in between. */
export type Slices<T> = Generator<void, T>;

/** Does all of it at once. */
export function whole<T>(work: Slices<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
