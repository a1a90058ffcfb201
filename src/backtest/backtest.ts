/** `streamgauge backtest`: recorded input through the same engine as a live run, by event time; no clock, no checkpoint, no commit. */
import type { Logger } from 'pino';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline, type PipelineOptions } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { Engine } from '../engine.ts';
import { printable } from '../printable.ts';
import type { Progress } from '../progress.ts';
import type { Sink } from '../sink/sink.ts';
import type { Source } from '../source/source.ts';
import { ScoreFile } from './score-file.ts';

/** More than this nobody reads on a terminal; all of them are in the output. */
const maxToldOpenings = 20;

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
  /** What opened, in order; the first `maxToldOpenings` of it. */
  readonly openings: readonly Finding[];
  readonly openingCount: number;
}

export async function backtest(parts: BacktestParts): Promise<BacktestResult> {
  const startMs = performance.now();
  const scores = parts.scores === undefined ? undefined : new ScoreFile(parts.scores);
  const pipeline = new Pipeline(parts.rules, { ...parts.pipeline, score: scores?.write });
  const openings = new Openings();
  const { sources, sinks, log } = parts;
  const options = { idleMs: Number.POSITIVE_INFINITY, tellsOfItself: false };
  const engine = new Engine({ pipeline, sources, sinks: [...sinks, openings], log, clock: Date.now }, options);
  parts.stop?.addEventListener('abort', () => engine.stop(), { once: true });
  parts.progress?.start(pipeline);
  try {
    await engine.run();
  } finally {
    parts.progress?.stop();
    scores?.close();
  }
  return {
    pipeline,
    seconds: (performance.now() - startMs) / 1000,
    scoreRows: scores?.rows ?? 0,
    openings: openings.first,
    openingCount: openings.count,
  };
}

/** The closing lines, for a person. */
export function backtestSummary({ pipeline, seconds, openings, openingCount, scoreRows }: BacktestResult): string {
  const { counters } = pipeline;
  const rejected = Object.entries(counters.rejected).map(([reason, count]) => `${count} ${reason}`);
  const late = Object.values(counters.late).reduce((sum, count) => sum + count, 0);
  const lines = [
    `${counted(counters.records, 'record')}, ${counted(counters.events, 'event')} in ${seconds.toFixed(1)} s (${Math.round(counters.records / seconds)}/s)`,
    `not decoded: ${rejected.join(', ') || 'none'}; late: ${late}; time taken from the record: ${counters.timeFromRecord}`,
    `${counted(openingCount, 'finding')} opened`,
    ...openings.map(
      ({ timeMs, severity, rule, summary }) =>
        `  ${new Date(timeMs).toISOString().slice(0, 19)}  ${severity.padEnd(8)}  ${rule}: ${printable(summary)}`,
    ),
  ];
  if (openingCount > openings.length) lines.push(`  … and ${openingCount - openings.length} more`);
  if (scoreRows > 0) lines.push(`${counted(scoreRows, 'score')} written`);
  return lines.join('\n');
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

/** Counts what opens and keeps the first of it. */
class Openings implements Sink {
  readonly name = 'openings';
  readonly first: Finding[] = [];
  count = 0;

  async open(): Promise<void> {}

  async write(findings: readonly Finding[]): Promise<void> {
    for (const finding of findings) {
      if (finding.activity !== 'open') continue;
      this.count++;
      if (this.first.length < maxToldOpenings) this.first.push(finding);
    }
  }

  async close(): Promise<void> {}

  health() {
    return { ok: true, retries: 0 };
  }
}
