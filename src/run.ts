/** `streamgauge run`: what the config names, put together and run until it ends or is told to stop. */
import type { Logger } from 'pino';
import { Pipeline } from '../processors/pipeline.ts';
import type { Rule } from '../processors/rule.ts';
import type { Config } from './config.ts';
import { Engine } from './engine.ts';
import { metricsOf, type Observed, statusOf } from './engine-status.ts';
import { createServer, listen } from './http/server.ts';
import type { VersionInfo } from './http/version.ts';
import { keepCredentialsFresh, LiveCredentials } from './live-credentials.ts';
import { loadRules } from './rules.ts';
import type { Drain } from './source/drain/http-drain.ts';
import type { Source } from './source/source.ts';
import { checkpointsOf, deadLetterOf, limitsOf, pipelineOptionsOf, sinkOf, sourceOf } from './wiring.ts';

export interface RunOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly version: Omit<VersionInfo, 'driver'>;
  /** Aborted when the process is asked to stop. */
  readonly stop: AbortSignal;
  /** Reads the config again; without it credentials stay what they are. */
  readonly reread?: () => Promise<Config>;
}

export async function run({ config, log, version, stop, reread }: RunOptions): Promise<void> {
  const all = await loadRules(config.rules, config.overrides, { latenessMs: config.time.latenessMs });
  const rules = all.filter(({ status }) => status === 'live' || status === 'shadow');
  tellRules(all, rules, log);
  const credentials = new LiveCredentials(config.sources);
  const sources = await Promise.all(config.sources.map((source) => sourceOf(source, config, log, credentials)));
  const drains = sources.filter(isDrain);
  const sinks = config.sinks.map((sink) => sinkOf(sink, config.state.dir, log));
  const pipeline = new Pipeline(rules, pipelineOptionsOf(config));
  const engine = new Engine(
    {
      pipeline,
      sources,
      sinks,
      deadLetter: deadLetterOf(config.deadLetter, log),
      checkpoints: checkpointsOf(config, log),
      log,
      clock: Date.now,
    },
    { idleMs: config.time.idleMs },
  );
  const observed: Observed = { engine, pipeline, sources, sinks, drains };
  const driver = sources.find((source) => source.health().driver !== undefined)?.health().driver ?? 'none';
  const server = createServer({
    log,
    status: statusOf(observed),
    metrics: metricsOf(observed),
    version: { ...version, driver },
    mounts: drains,
    limits: limitsOf(config),
  });
  stop.addEventListener('abort', () => engine.stop(), { once: true });
  const stopWatching = reread === undefined ? () => {} : keepCredentialsFresh({ config, credentials, reread, log });
  try {
    const address = await listen(server, config.http.host, config.http.port);
    log.info({ address, rules: rules.length, sources: sources.map(({ name }) => name), sinks: sinks.map(({ name }) => name) }, 'running');
    if (!stop.aborted) await engine.run();
  } finally {
    stopWatching();
    await server.close();
  }
  log.info({ records: pipeline.counters.records, findings: pipeline.counters.findings }, 'stopped');
}

function tellRules(all: readonly Rule[], running: readonly Rule[], log: Logger): void {
  for (const { id, status, needs, reason } of all) {
    if (status === 'dormant') log.info({ rule: id, needs }, 'rule is dormant: it is not run until its status is shadow or live');
    if (status === 'retired') log.debug({ rule: id, reason }, 'rule is retired');
  }
  if (running.length === 0) log.warn('no rule is live or in shadow: nothing will be found');
}

function isDrain(source: Source): source is Drain {
  return 'register' in source;
}
