import { setImmediate } from 'node:timers/promises';
import type { Slices } from '../processors/slices.ts';

/** How long one part of the work may keep the event loop. */
const sliceMs = 5;

/** Drives work that pauses: lets the event loop turn when a slice has taken long enough. */
export async function inSlices<T>(work: Slices<T>): Promise<T> {
  let startMs = performance.now();
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() - startMs < sliceMs) continue;
    await setImmediate();
    startMs = performance.now();
  }
}
