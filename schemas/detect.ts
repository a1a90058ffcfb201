/** `detect`: what opens a finding. One detector, or a list of them: any of them opens it. */
import { z } from 'zod';
import type { DetectorSpec } from '../processors/rule.ts';
import { businessHours } from './business-hours.ts';
import { addFault, strict } from './issues.ts';
import { oneOf } from './one-of.ts';
import { duration, positiveDuration } from './scalars.ts';
import { type UnbuiltDetector, unbuiltDetectors } from './unbuilt.ts';

const silence = strict({
  after: z
    .union([z.literal('learned'), positiveDuration], { error: 'a duration above zero such as 5m, or learned' })
    .describe('How long a silence is one: a duration, or `learned`.'),
  during: businessHours.optional().describe('The hours in which a silence counts. Default: always.'),
});

const detectors = {
  above: z.number().optional().describe('Fires while the value is above this.'),
  below: z.number().optional().describe('Fires while the value is below this.'),
  silence: silence.optional().describe('Fires when a key that was heard of has no event for a while.'),
  ...unbuiltDetectors,
};
const beside = { for: duration.optional().describe('Beside `above` or `below`: how long it must hold. Default: 0s.') };

const detectorForm = oneOf('detector', detectors, beside);

function toDetector(value: z.output<typeof detectorForm>, context: z.core.$RefinementCtx): DetectorSpec | UnbuiltDetector {
  const { for: forMs, above, below, silence, ...others } = value;
  for (const [kind, threshold] of [
    ['above', above],
    ['below', below],
  ] as const) {
    if (threshold !== undefined) return { kind, threshold, forMs: forMs ?? 0 };
  }
  if (forMs !== undefined)
    addFault(context, { path: ['for'], place: 'key', text: 'expected "for" only beside above or below, found it here' });
  if (silence !== undefined) {
    if (silence.after === 'learned') return { kind: 'unbuilt', name: 'silence: {after: learned}' };
    return { kind: 'silence', afterMs: silence.after, during: silence.during };
  }
  const name = Object.entries(others).find(([, spec]) => spec !== undefined)?.[0];
  return { kind: 'unbuilt', name: name ?? 'none' };
}

const expected = { error: 'a detector such as above: 20, or a list of them' };
const detector = detectorForm.transform(toDetector);

/** A `detect`, as a schema; a list once parsed. Detectors that are not built yet are kept by name, for `notYet`. */
export const detect = z
  .union([z.array(detector).min(1), detector], expected)
  .transform((value) => (Array.isArray(value) ? value : [value]));

/** A `detect` that changes a rule's: a list takes the place of all its detectors, a single one changes those of its kind. */
export type DetectOverride =
  | { readonly all: readonly (DetectorSpec | UnbuiltDetector)[] }
  | { readonly one: DetectorSpec | UnbuiltDetector; readonly forGiven: boolean };

export const detectOverride = z.union(
  [
    z
      .array(detector)
      .min(1)
      .transform((all): DetectOverride => ({ all })),
    detectorForm.transform((value, context): DetectOverride => ({ one: toDetector(value, context), forGiven: value.for !== undefined })),
  ],
  expected,
);
