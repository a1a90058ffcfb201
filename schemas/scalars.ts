/** The small schemas that rules and config share. A message says what is expected; what was found is added where mistakes are told. */
import { z } from 'zod';
import { parseDurationMs, parseRateBytes, parseSizeBytes } from './units.ts';

/** A duration, as text; ms once parsed. */
export const duration = durationOf('a duration such as 90s, 10m or 7d', 0);
/** A duration above zero. */
export const positiveDuration = durationOf('a duration above zero such as 90s, 10m or 7d', 1);

function durationOf(expected: string, leastMs: number) {
  return z
    .string({ error: expected })
    .refine((text) => (parseDurationMs(text) ?? -1) >= leastMs, { error: expected })
    .transform((text) => parseDurationMs(text) ?? 0)
    .meta({ pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d|w)$', examples: ['10m'] });
}

const sizeExpected = 'a size such as 512MB or 64MiB';
/** A size, as text; bytes once parsed. */
export const size = z
  .string({ error: sizeExpected })
  .refine((text) => parseSizeBytes(text) !== undefined, { error: sizeExpected })
  .transform((text) => parseSizeBytes(text) ?? 0)
  .meta({ pattern: '^\\d+(\\.\\d+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$', examples: ['512MB'] });

const rateExpected = 'bytes a second such as 10MB/s';
/** A rate, as text; bytes a second once parsed. */
export const rate = z
  .string({ error: rateExpected })
  .refine((text) => parseRateBytes(text) !== undefined, { error: rateExpected })
  .transform((text) => parseRateBytes(text) ?? 0)
  .meta({ pattern: '^\\d+(\\.\\d+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)/s$', examples: ['10MB/s'] });

export const fieldPattern = /^[^\s|(),?]+$/;
/** A field's name as events have it. */
export const fieldName = z
  .string({ error: 'the name of a field' })
  .regex(fieldPattern, { error: 'the name of a field, without spaces, brackets, commas, | or ?' });
