import { setImmediate } from 'node:timers/promises';
import type { Slices } from '../processors/slices.ts';

/** How long one part of the work may keep the event loop. */
const sliceMs = 3;

/** When work of ours last let the event loop turn: it is one for the whole process, so this is too. */
let turnedMs = performance.now();

/**
 * Drives work that pauses: lets the event loop turn when that has not happened for long enough. Also across calls: a source that always
 * has the next batch ready would otherwise hand in one after the other without a timer or a request in between.
 */
export async function inSlices<T>(work: Slices<T>): Promise<T> {
  for (;;) {
    if (performance.now() - turnedMs >= sliceMs) {
      await setImmediate();
      turnedMs = performance.now();
    }
    const step = work.next();
    if (step.done) return step.value;
  }
}
