/**
 * What rules may already say but no part of the program does yet: the form is checked, then the rule is refused by name. When one is
 * built, its entry moves to `detect.ts` or leaves `notYet`.
 */
import { z } from 'zod';
import type { MeasureSpec } from '../processors/rule.ts';
import { strict } from './issues.ts';
import { fieldName, positiveDuration } from './scalars.ts';
import { where } from './where.ts';

const history = positiveDuration.optional().describe('How far back the comparison goes, e.g. 7d.');

export const unbuiltDetectors = {
  unusual: strict({
    history,
    baseline: z.enum(['hour-of-week', 'trailing']).optional().describe('What normal is learned from.'),
    direction: z.enum(['up', 'down', 'both']).optional().describe('Which way counts.'),
    sigma: z.number().positive().optional().describe('How unusual, in standard deviations of a normal distribution.'),
    atLeast: z.number().min(0).optional().describe('Never fires below this value.'),
  })
    .optional()
    .describe("Unusual against the key's own past."),
  percentile: strict({ p: z.number().gt(0).lt(100).describe('Which percentile of the past.'), history })
    .optional()
    .describe('Above a percentile of the past.'),
  drift: strict({ history }).optional().describe('A distinct count or quantile that moved away from its past.'),
  benford: strict({}).optional().describe("First digits that do not follow Benford's law."),
  ks: strict({ history, alpha: z.number().gt(0).lt(1).optional().describe('How rare a difference must be by chance.') })
    .optional()
    .describe('A distribution that differs from its past (Kolmogorov-Smirnov).'),
  sequence: strict({
    // biome-ignore lint/suspicious/noThenProperty: the rule language's own word; such an object is never awaited
    then: z.union([z.array(where).min(1), where]).describe('What must follow: a where, or a list of them in order.'),
    within: positiveDuration.describe('In what time.'),
    without: where.optional().describe('What must not happen in between.'),
  })
    .optional()
    .describe('One event, then another.'),
  chain: strict({
    id: fieldName.describe('The field with the hash of a row.'),
    previous: fieldName.describe('The field with the hash of the row before.'),
    sequence: fieldName.optional().describe('The field with the running number.'),
    verify: strict({
      hmac: z.string().optional().describe('The hash function of an HMAC.'),
      digest: z.string().optional().describe('The hash function of a plain digest.'),
    })
      .optional()
      .describe('How the hash is made.'),
  })
    .optional()
    .describe('A hash chain that must not break.'),
  pattern: strict({ of: fieldName.describe('The field, e.g. user.email.'), atLeast: z.int().min(2).optional().describe('How many alike.') })
    .optional()
    .describe('Many values that look alike beyond chance.'),
  novel: strict({ of: fieldName.describe('The field.'), history })
    .optional()
    .describe('A value never seen for this key.'),
};

/** A detector of which only the name is kept, because nothing can run it. */
export interface UnbuiltDetector {
  readonly kind: 'unbuilt';
  readonly name: string;
}

/** What is well said but cannot run yet, by name: one sentence each. */
export function notYet(detect: readonly { readonly kind: string }[], measure: MeasureSpec | undefined): { path: string; text: string }[] {
  const found: { path: string; text: string }[] = [];
  for (const detector of detect) {
    if (isUnbuilt(detector)) found.push({ path: 'detect', text: `not yet: detector \`${detector.name}\` is not built in this version` });
  }
  if (measure?.kind === 'values' || measure?.kind === 'digits') {
    found.push({ path: 'measure', text: `not yet: measure \`${measure.kind}\` is not built in this version` });
  }
  return found;
}

export function isUnbuilt(detector: { readonly kind: string }): detector is UnbuiltDetector {
  return detector.kind === 'unbuilt';
}
