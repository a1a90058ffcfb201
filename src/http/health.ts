/** `/live`: the event loop turns. `/healthz`: whether the program does what it is for, and if not, which part does not and why. */
import type { FastifyInstance } from 'fastify';
import { secrets } from '../secret-mask.ts';
import type { SinkHealth } from '../sink/sink.ts';
import type { SourceHealth } from '../source/source.ts';

/** `degraded`: it works, but somebody should look. `failing`: input is not read or findings do not get out. */
export type HealthSeverity = 'degraded' | 'failing';

export interface HealthReason {
  /** One of a small set of names, e.g. `source_failing`, `budget_spent`: a label in `/metrics`. */
  readonly reason: string;
  readonly severity: HealthSeverity;
  /** Which one, what happened, what to try. No secrets: anybody may read it. */
  readonly detail: string;
}

/** What the engine knows of itself. Read at each request; must not throw and must not wait. */
export interface Status {
  readonly sources: readonly { readonly name: string; readonly health: SourceHealth }[];
  readonly sinks: readonly { readonly name: string; readonly health: SinkHealth }[];
  /** Reasons beside those of single sources and sinks: budgets, stalls, rules that throw, checkpoints that cannot be written. */
  reasons(): readonly HealthReason[];
}

export interface HealthReport {
  readonly status: 'ok' | HealthSeverity;
  readonly reasons: readonly HealthReason[];
  readonly sources: Readonly<Record<string, SourceHealth>>;
  readonly sinks: Readonly<Record<string, SinkHealth>>;
}

/** All there is to say, worst first. A source or sink that is not `ok` fails the whole, but not one whose findings are kept for it. */
export function healthReport(status: Status): HealthReport {
  const reasons: HealthReason[] = [...status.reasons()];
  for (const { name, health } of status.sources) {
    if (!health.ok)
      reasons.push({ reason: 'source_failing', severity: 'failing', detail: `${name}: ${health.reason ?? 'no reason given'}` });
  }
  for (const { name, health } of status.sinks) {
    if (health.ok) continue;
    const severity = health.kept ? 'degraded' : 'failing';
    reasons.push({ reason: 'sink_failing', severity, detail: `${name}: ${health.reason ?? 'no reason given'}` });
  }
  // Errors of others are in them: a proxy that repeats a header, say.
  const shown = reasons.map((each) => ({ ...each, detail: secrets.mask(each.detail) }));
  shown.sort((a, b) => Number(b.severity === 'failing') - Number(a.severity === 'failing'));
  return {
    status: shown.length === 0 ? 'ok' : shown[0].severity,
    reasons: shown,
    sources: Object.fromEntries(status.sources.map(({ name, health }) => [name, masked(health)])),
    sinks: Object.fromEntries(status.sinks.map(({ name, health }) => [name, masked(health)])),
  };
}

function masked<T extends { readonly reason?: string }>(health: T): T {
  return health.reason === undefined ? health : { ...health, reason: secrets.mask(health.reason) };
}

export function registerHealth(app: FastifyInstance, status: Status): void {
  app.get('/live', async (_, reply) => reply.header('cache-control', 'no-store').send({ status: 'live' }));
  app.get('/healthz', async (_, reply) => {
    const report = healthReport(status);
    return reply
      .header('cache-control', 'no-store')
      .code(report.status === 'failing' ? 503 : 200)
      .send(report);
  });
}
