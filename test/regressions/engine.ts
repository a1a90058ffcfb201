/** An engine over ends in memory, for the smallest cases of what went wrong once. */
import { pino } from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import type { EngineOptions, EngineParts } from '../../src/engine-parts.ts';
import { ruleOf } from '../support/rules.ts';

export const baseMs = Date.parse('2026-01-05T12:00:00Z');
/** Opens above 4 a minute. */
export const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }');

export function engineOf(parts: Partial<EngineParts>, options: Partial<EngineOptions> = {}): Engine {
  const whole = { sources: [], sinks: [], log: pino({ level: 'silent' }), clock: () => baseMs, pipeline: new Pipeline([rule]), ...parts };
  return new Engine(whole, { idleMs: Number.POSITIVE_INFINITY, checkpointEveryMs: 3_600_000, ...options });
}
