/** `window`: how long, in what steps, how late. */
import { z } from 'zod';
import type { WindowSpec } from '../processors/rule.ts';
import { addFault, showValue, strict } from './issues.ts';
import { duration, positiveDuration } from './scalars.ts';
import { formatDuration } from './units.ts';

export const defaultLatenessMs = 10_000;
const defaultPanes = 60;
const leastDefaultSlideMs = 1000;
/** A key keeps something per pane: this bounds it. */
const maxPanes = 10_000;

/** A window whose lateness may be left to the deployment. */
export type WindowFields = Omit<WindowSpec, 'latenessMs'> & { readonly latenessMs?: number };

/** A `window`, as a schema. */
export const window = z
  .union(
    [
      positiveDuration,
      strict({
        size: positiveDuration.describe('How far back the window reaches.'),
        slide: positiveDuration
          .optional()
          .describe(
            'How often it is looked at; divides the size. Default: a sixtieth of the size, at least 1 s, or the next longer time that divides it.',
          ),
        lateness: duration
          .optional()
          .describe("How long to wait for stragglers behind the newest event of a partition. Default: the config's, 10s."),
      }),
    ],
    { error: 'a duration above zero such as 10m, or a map of size, slide and lateness' },
  )
  .transform((value, context): WindowFields => {
    if (typeof value === 'number') return windowOf(value);
    const { size: sizeMs, slide, lateness: latenessMs } = value;
    const slideMs = slide ?? defaultSlideMs(sizeMs);
    if (sizeMs % slideMs !== 0) {
      const text = `expected a slide that divides the size ${formatDuration(sizeMs)}, such as ${formatDuration(defaultSlideMs(sizeMs))}, found ${showValue(formatDuration(slideMs))}`;
      addFault(context, { path: ['slide'], text });
    } else if (sizeMs / slideMs > maxPanes) {
      const text = `expected at most ${maxPanes} slides in the size ${formatDuration(sizeMs)}, found ${sizeMs / slideMs} of ${formatDuration(slideMs)}`;
      addFault(context, { path: ['slide'], text });
    }
    return { sizeMs, slideMs, latenessMs };
  });

/** The window of a size alone. */
export function windowOf(sizeMs: number): WindowFields {
  return { sizeMs, slideMs: defaultSlideMs(sizeMs) };
}

/**
 * The smallest whole divisor of the size that is a sixtieth of it or more and at least 1 s: the most panes, up to 60, that cut it evenly.
 * A window below 1 s is its own slide.
 */
export function defaultSlideMs(sizeMs: number): number {
  const mostPanes = Math.min(defaultPanes, Math.max(1, Math.floor(sizeMs / leastDefaultSlideMs)));
  for (let panes = mostPanes; panes > 1; panes--) {
    if (sizeMs % panes === 0) return sizeMs / panes;
  }
  return sizeMs;
}
