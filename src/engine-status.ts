/** What `/healthz` and `/metrics` ask of a running engine. */

import type { Pipeline } from '../processors/pipeline.ts';
import type { Engine } from './engine.ts';
import type { HealthReason, Status } from './http/health.ts';
import type { MetricsInput } from './http/metrics.ts';
import type { Sink } from './sink/sink.ts';
import type { Drain } from './source/drain/http-drain.ts';
import type { Source } from './source/source.ts';

/** A healthy one of a GB takes a few seconds. */
const lateCheckpointMs = 60_000;

export interface Observed {
  readonly engine: Engine;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly drains: readonly Drain[];
  /** Whether any source hands something in; not where there are drains alone that write to topics. Default: yes. */
  readonly judges?: boolean;
  /** What else is wrong, that the engine does not know. */
  reasons?(): readonly HealthReason[];
}

export function statusOf({ engine, sources, sinks, reasons }: Observed): Status {
  return {
    get sources() {
      return sources.map((source) => ({ name: source.name, health: source.health() }));
    },
    get sinks() {
      return sinks.map((sink) => {
        const outage = engine.sinks.outages.get(sink.name);
        const health = sink.health();
        return { name: sink.name, health: outage === undefined ? health : { ...health, ok: false, kept: false, reason: outage } };
      });
    },
    reasons: (): HealthReason[] => [
      ...engine.lossLog.reasons(Date.now()),
      ...spentBudgets(engine.pipeline),
      ...failedRules(engine.pipeline),
      ...engine.sourceWatch.reasons(),
      ...lateCheckpoint(engine.checkpointer?.underWayMs ?? 0),
      ...(reasons?.() ?? []),
    ],
  };
}

export function metricsOf({ engine, drains, judges = true }: Observed): MetricsInput {
  return {
    counters: () => engine.pipeline.counters,
    rulesRun: () => (judges ? engine.pipeline.stages.reduce((sum, { group }) => sum + group.rules.length, 0) : 0),
    rules: () =>
      // Rules that share their windows share the bytes: they are told once, for the first of them.
      engine.pipeline.stages.flatMap(({ group, windows }) =>
        group.rules.map(({ id }, index) => ({
          rule: id,
          keys: windows.keyCount,
          stateBytes: index === 0 ? windows.bytes() : 0,
          evicted: engine.pipeline.counters.evictions[id] ?? 0,
        })),
      ),
    findings: () =>
      [...engine.sinks.written].map(([label, count]) => {
        const [rule, severity, activity] = label.split(' ');
        return { rule, severity, activity, count };
      }),
    watermarkMs: () => {
      const { lowMs } = engine.pipeline.watermark;
      return Number.isFinite(lowMs) ? lowMs : Number.NaN;
    },
    checkpoint: () => {
      const { saved: count = 0, tookMs = Number.NaN, savedMs = Number.NaN, lastSave } = engine.checkpointer ?? {};
      const { stateBytes = Number.NaN, writtenBytes = Number.NaN } = lastSave ?? {};
      return { count, stateBytes, writtenBytes, tookMs, savedMs };
    },
    drains: () => drains,
  };
}

/** Batches go on meanwhile, and what they bring is read again if the process ends. */
function lateCheckpoint(forMs: number): HealthReason[] {
  if (forMs < lateCheckpointMs) return [];
  const detail =
    `a checkpoint has been under way for ${Math.round(forMs / 1000)} s: nothing is committed until it is saved; ` +
    'look whether the state folder (or the topic of `state.kafka`) can be written, and whether a sink is away';
  return [{ reason: 'checkpoint_late', severity: 'degraded', detail }];
}

/** Groups whose memory is spent: keys found no place in the newest window. */
export function spentBudgets({ stages }: Pipeline): HealthReason[] {
  const reasons: HealthReason[] = [];
  for (const { group, windows } of stages) {
    const { keys, untracked, evicted } = windows.lost;
    if (untracked + evicted === 0) continue;
    const ids = group.rules.map(({ id }) => id).join(', ');
    const lost = `about ${keys} more found no place in the last window (${untracked} events not counted)`;
    const detail = `${ids}: memory holds ${windows.keyCount} keys, ${lost}; raise \`memory\`, or narrow the rule's \`where\` or \`key\``;
    reasons.push({ reason: 'budget_spent', severity: 'degraded', detail });
  }
  return reasons;
}

/** Rules that threw and are not run any more. */
function failedRules({ failures }: Pipeline): HealthReason[] {
  return failures.map(({ rules, error, atMs }) => {
    const since = new Date(atMs).toISOString();
    const detail = `${rules.join(', ')}: not run since ${since} of the input, because of ${String(error)}; the log says where; SIGHUP or a restart tries again`;
    return { reason: 'rule_error', severity: 'degraded', detail };
  });
}
