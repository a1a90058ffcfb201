/** What `/healthz` and `/metrics` ask of a running engine. */

import type { Pipeline } from '../processors/pipeline.ts';
import type { Rule } from '../processors/rule.ts';
import type { Engine } from './engine.ts';
import type { HealthReason, Status } from './http/health.ts';
import type { MetricsInput } from './http/metrics.ts';
import type { Sink } from './sink/sink.ts';
import type { Drain } from './source/http-drain.ts';
import type { Source } from './source/source.ts';

export interface Observed {
  readonly engine: Engine;
  readonly pipeline: Pipeline;
  readonly rules: readonly Rule[];
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly drains: readonly Drain[];
}

export function statusOf({ engine, sources, sinks }: Observed): Status {
  return {
    get sources() {
      return sources.map((source) => ({ name: source.name, health: source.health() }));
    },
    get sinks() {
      return sinks.map((sink) => {
        const outage = engine.outages.get(sink.name);
        const health = sink.health();
        return { name: sink.name, health: outage === undefined ? health : { ...health, ok: false, reason: outage } };
      });
    },
    reasons: (): HealthReason[] => [],
  };
}

export function metricsOf({ engine, pipeline, rules, drains }: Observed): MetricsInput {
  return {
    counters: () => pipeline.counters,
    rules: () =>
      rules.map(({ id }, index) => {
        const { windows } = pipeline.stages[index];
        return { rule: id, keys: windows.keyCount, stateBytes: windows.bytes(), evicted: 0 };
      }),
    findings: () =>
      [...engine.written].map(([label, count]) => {
        const [rule, severity, activity] = label.split(' ');
        return { rule, severity, activity, count };
      }),
    watermarkMs: () => (Number.isFinite(pipeline.watermark.lowMs) ? pipeline.watermark.lowMs : Number.NaN),
    drains: () => drains,
  };
}
