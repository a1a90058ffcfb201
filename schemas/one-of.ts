/** A map with exactly one of some keys: how measures, detectors, sources and sinks say which one they are. */
import type { z } from 'zod';
import { addFault, strict } from './issues.ts';

/**
 * `one` are the keys of which there must be exactly one, `beside` what may stand next to them. In the JSON Schema every key is optional:
 * editors complete them all; that there is exactly one is checked here.
 */
export function oneOf<One extends z.core.$ZodLooseShape, Beside extends z.core.$ZodLooseShape>(what: string, one: One, beside: Beside) {
  const names = Object.keys(one);
  return strict({ ...one, ...beside }).superRefine((value, context) => {
    const found = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined);
    // A key that nobody knows has been told already: that none is left is no second mistake.
    if (found.length === 1 || (found.length === 0 && context.issues.length > 0)) return;
    const text = `expected exactly one ${what} (${names.join(', ')}), found ${found.length === 0 ? 'none' : found.join(' and ')}`;
    addFault(context, { path: [], text });
  });
}
