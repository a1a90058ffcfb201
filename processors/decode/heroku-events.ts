/** What `event.name` a Heroku line gets. This table is the documentation: rules refer to these names. */
export const herokuEvents = {
  /** A router line; `router.error` where it carries an H code at `at=error` or `at=warning`. */
  routerRequest: 'router.request',
  routerError: 'router.error',
  /** `State changed from up to crashed`: `heroku.dyno.state.from`, `heroku.dyno.state.to`. */
  stateChanged: 'dyno.state_changed',
  /** The daily restart. */
  cycling: 'dyno.cycling',
  restarting: 'dyno.restarting',
  starting: 'dyno.starting',
  idling: 'dyno.idling',
  unidling: 'dyno.unidling',
  /** SIGTERM or SIGKILL sent: `process.signal`. */
  stopping: 'dyno.stopping',
  /** `process.exit.code`. */
  exited: 'dyno.exited',
  /** An R code: `error.code`, `error.type`, `error.message`. */
  error: 'dyno.error',
  /** `Process running mem=…`: `heroku.memory_total` in bytes, `heroku.memory_percent`. */
  memory: 'dyno.memory',
  /** `sample#…` lines of dynos and add-ons: one `heroku.<name>` each, sizes in bytes. */
  sample: 'metrics.sample',
  /** A Postgres line: `log.level`, `db.client.operation.duration` where it tells one; `db.error` at ERROR, FATAL, PANIC. */
  dbLog: 'db.log',
  dbError: 'db.error',
  releaseCreated: 'release.created',
  releaseRolledBack: 'release.rolled_back',
  releaseCommand: 'release.command',
  deployed: 'deploy.created',
  configChanged: 'config.changed',
  scaled: 'dyno.scaled',
  buildStarted: 'build.started',
  buildSucceeded: 'build.succeeded',
  buildFailed: 'build.failed',
  addonAttached: 'addon.attached',
  addonDetached: 'addon.detached',
  addonProvisioned: 'addon.provisioned',
  processRun: 'process.run',
  logplexEnabled: 'logplex.enabled',
  /** L10 to L13: messages were lost before this line; the row's `lost` is how many. */
  lost: 'log.lost',
  /** Other L codes. */
  logError: 'log.error',
} as const;
