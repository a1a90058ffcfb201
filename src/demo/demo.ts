/** `streamgauge demo`: a simulated day with labelled attacks in it, through the real engine; needs nothing but Node. */
import type { Logger } from 'pino';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { Engine } from '../engine.ts';
import type { Observed } from '../engine-status.ts';
import { ExitCode } from '../errors.ts';
import type { Progress } from '../progress.ts';
import type { Sink } from '../sink/sink.ts';
import { DemoSource } from './demo-source.ts';
import { demoReport, judgeDemo } from './report.ts';
import { demoDay, demoSeed, demoTraffic } from './traffic.ts';

export interface DemoParts {
  /** The rules that ship; whatever their status, here they are live. */
  readonly rules: readonly Rule[];
  readonly log: Logger;
  readonly progress: Progress;
  readonly print: (text: string) => void;
  readonly stop: AbortSignal;
  /** Gets what there is to see once the day is over. */
  readonly serve: (observed: Observed) => Promise<void>;
}

/** Returns the exit code: fine only if everything put in was found and nothing else. */
export async function demo({ rules, log, progress, print, stop, serve }: DemoParts): Promise<number> {
  const pipeline = new Pipeline(rules.map((rule) => ({ ...rule, status: 'live' as const })));
  const { items, labels, nearMisses } = demoTraffic(demoSeed, demoDay);
  const source = new DemoSource(items);
  const kept = new KeptFindings();
  const engine = new Engine(
    { pipeline, sources: [source], sinks: [kept], log, clock: Date.now },
    { idleMs: Number.POSITIVE_INFINITY, tellsOfItself: false },
  );
  print(`streamgauge demo: ${demoDay}, one simulated day of a Heroku app, an application log and an SSH bastion (seed ${demoSeed})`);
  const startMs = performance.now();
  stop.addEventListener('abort', () => engine.stop(), { once: true });
  progress.start(pipeline);
  try {
    await engine.run();
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - startMs) / 1000;
  const openings = kept.findings.filter(({ activity }) => activity === 'open');
  const outcome = judgeDemo(openings, labels, nearMisses);
  print(demoReport(openings, outcome, nearMisses.length));
  const lines = `${source.lines} log lines in ${seconds.toFixed(1)} s (${Math.round(source.lines / seconds)} lines/s)`;
  print(`${lines}; decoded through ${rules.length} rules, ${pipeline.counters.matches} matches.`);
  await serve({ engine, sources: [source], sinks: [kept], drains: [] });
  const clean = outcome.missed.length === 0 && outcome.wronglyFired.length === 0 && outcome.unexplained.length === 0;
  return clean ? ExitCode.fine : ExitCode.findingsOfCheck;
}

class KeptFindings implements Sink {
  readonly name = 'demo';
  readonly findings: Finding[] = [];

  async open(): Promise<void> {}

  async write(findings: readonly Finding[]): Promise<void> {
    this.findings.push(...findings);
  }

  async close(): Promise<void> {}

  health() {
    return { ok: true, retries: 0 };
  }
}
