/** `streamgauge run`: what the config names, put together and run until it ends or is told to stop. */
import type { Logger } from 'pino';
import { Pipeline, type PipelineOptions } from '../processors/pipeline.ts';
import type { Rule } from '../processors/rule.ts';
import { lockState } from './checkpoint/state-lock.ts';
import type { Config } from './config.ts';
import { Engine } from './engine.ts';
import { metricsOf, type Observed, statusOf } from './engine-status.ts';
import { createServer, listen } from './http/server.ts';
import type { VersionInfo } from './http/version.ts';
import { LiveCredentials } from './live-credentials.ts';
import { Reload } from './reload.ts';
import { loadRules } from './rules.ts';
import type { Drain } from './source/drain/http-drain.ts';
import type { Source } from './source/source.ts';
import { checkpointsOf, deadLetterOf, limitsOf, pipelineOptionsOf, sinkOf, sourceOf, usesStateFolder } from './wiring.ts';

export interface RunOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly version: Omit<VersionInfo, 'driver'>;
  /** Aborted when the process is asked to stop. */
  readonly stop: AbortSignal;
  /** Reads the config again; without it rules and credentials stay what they are. */
  readonly reread?: () => Promise<Config>;
}

export async function run(options: RunOptions): Promise<void> {
  const { config, log } = options;
  const lock = usesStateFolder(config) ? await lockState(config.state.dir, (message) => log.warn(message)) : undefined;
  try {
    await runAlone(options);
  } finally {
    await lock?.release();
  }
}

/** While nobody else uses the state folder. */
async function runAlone({ config, log, version, stop, reread }: RunOptions): Promise<void> {
  const all = await loadRules(config.rules, config.overrides, { latenessMs: config.time.latenessMs });
  const rules = runningOf(all, log);
  const credentials = new LiveCredentials(config.sources);
  const sources = await Promise.all(config.sources.map((source) => sourceOf(source, config, log, credentials)));
  const drains = sources.filter(isDrain);
  const sinks = config.sinks.map((sink) => sinkOf(sink, config.state.dir, log));
  const options: PipelineOptions = {
    ...pipelineOptionsOf(config),
    ruleFailed: ({ rules, error }) => log.error({ rules, err: error }, 'a rule failed and is not run any more'),
  };
  const engine = new Engine(
    {
      pipeline: new Pipeline(rules, options),
      sources,
      sinks,
      deadLetter: deadLetterOf(config.deadLetter, log),
      checkpoints: checkpointsOf(config, log),
      log,
      clock: Date.now,
      steadyClock: () => performance.now(),
    },
    { idleMs: config.time.idleMs },
  );
  const reload =
    reread &&
    new Reload({
      config,
      credentials,
      reread,
      rules: all,
      replaceRules: (changed) => {
        const next = runningOf(changed, log);
        return engine.reload(({ counters }) => new Pipeline(next, { ...options, counters }));
      },
      log,
    });
  const judges = config.sources.some((source) => source.kind !== 'drain' || source.to === 'engine');
  const observed: Observed = { engine, sources, sinks, drains, judges, reasons: () => reload?.reasons() ?? [] };
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
  reload?.start();
  try {
    const address = await listen(server, config.http.host, config.http.port);
    log.info({ address, rules: rules.length, sources: sources.map(({ name }) => name), sinks: sinks.map(({ name }) => name) }, 'running');
    if (!stop.aborted) await engine.run();
  } finally {
    reload?.stop();
    await server.close();
  }
  const { records, findings } = engine.pipeline.counters;
  log.info({ records, findings }, 'stopped');
}

/** Those that are run; says why others are not. */
function runningOf(all: readonly Rule[], log: Logger): Rule[] {
  for (const { id, status, needs, reason } of all) {
    if (status === 'dormant') log.info({ rule: id, needs }, 'rule is dormant: it is not run until its status is shadow or live');
    if (status === 'retired') log.debug({ rule: id, reason }, 'rule is retired');
  }
  const running = all.filter(({ status }) => status === 'live' || status === 'shadow');
  if (running.length === 0) log.warn('no rule is live or in shadow: nothing will be found');
  return running;
}

function isDrain(source: Source): source is Drain {
  return 'register' in source;
}
