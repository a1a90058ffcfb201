/** `streamgauge backtest`: recorded input through the same engine as a live run, by event time; no clock, no checkpoint, no commit. */
import type { Logger } from 'pino';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline, type PipelineOptions } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { Engine } from '../engine.ts';
import type { Progress } from '../progress.ts';
import type { Sink } from '../sink/sink.ts';
import type { Source } from '../source/source.ts';
import { ScoreFile } from './score-file.ts';

export interface BacktestParts {
  readonly rules: readonly Rule[];
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  /** A file for the scores, or `-`. */
  readonly scores?: string;
  readonly pipeline: PipelineOptions;
  readonly log: Logger;
  readonly progress?: Progress;
  readonly stop?: AbortSignal;
}

export interface BacktestResult {
  readonly pipeline: Pipeline;
  readonly seconds: number;
  readonly scoreRows: number;
  /** Openings by rule. */
  readonly openings: ReadonlyMap<string, number>;
}

export async function backtest(parts: BacktestParts): Promise<BacktestResult> {
  const startMs = performance.now();
  const scores = parts.scores === undefined ? undefined : new ScoreFile(parts.scores);
  const pipeline = new Pipeline(parts.rules, { ...parts.pipeline, score: scores?.write });
  const openings = new OpeningCounts();
  const { sources, sinks, log } = parts;
  const engine = new Engine({ pipeline, sources, sinks: [...sinks, openings], log, clock: Date.now }, { idleMs: Number.POSITIVE_INFINITY });
  parts.stop?.addEventListener('abort', () => engine.stop(), { once: true });
  parts.progress?.start(pipeline);
  try {
    await engine.run();
  } finally {
    parts.progress?.stop();
    scores?.close();
  }
  return { pipeline, seconds: (performance.now() - startMs) / 1000, scoreRows: scores?.rows ?? 0, openings: openings.byRule };
}

/** The closing lines, for a person. */
export function backtestSummary({ pipeline, seconds, openings, scoreRows }: BacktestResult): string {
  const { counters } = pipeline;
  const rejected = Object.entries(counters.rejected).map(([reason, count]) => `${count} ${reason}`);
  const late = Object.values(counters.late).reduce((sum, count) => sum + count, 0);
  const lines = [
    `${counters.records} records, ${counters.events} events in ${seconds.toFixed(1)} s (${Math.round(counters.records / seconds)}/s)`,
    `not decoded: ${rejected.join(', ') || 'none'}; late: ${late}; time taken from the record: ${counters.timeFromRecord}`,
    ...[...openings].map(([rule, count]) => `  ${rule}: ${count} findings opened`),
  ];
  if (openings.size === 0) lines.push('no finding opened');
  if (scoreRows > 0) lines.push(`${scoreRows} scores written`);
  return lines.join('\n');
}

/** Counts what opened, by rule. */
class OpeningCounts implements Sink {
  readonly name = 'openings';
  readonly byRule = new Map<string, number>();

  async open(): Promise<void> {}

  async write(findings: readonly Finding[]): Promise<void> {
    for (const { rule, activity } of findings) if (activity === 'open') this.byRule.set(rule, (this.byRule.get(rule) ?? 0) + 1);
  }

  async close(): Promise<void> {}

  health() {
    return { ok: true, retries: 0 };
  }
}
