/**
 * What may change while the process runs: the credentials of drains, on SIGHUP and when a file of a `${file:…}` changes; and the rules, on
 * SIGHUP. A mistake leaves things as they are, and is told: every one in the log, the first ones in `/healthz`.
 */
import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import type { Rule } from '../processors/rule.ts';
import type { Config } from './config.ts';
import { UsageError } from './errors.ts';
import type { HealthReason } from './http/health.ts';
import type { LiveCredentials } from './live-credentials.ts';
import { loadRules } from './rules.ts';

export interface ReloadOptions {
  /** That the process was started with. */
  readonly config: Config;
  readonly credentials: LiveCredentials;
  readonly reread: () => Promise<Config>;
  /** All that were read at the start, those that do not run too. */
  readonly rules: readonly Rule[];
  /** Puts other rules in the place of those that run. Returns the ids of those that begin with nothing. */
  readonly replaceRules: (rules: readonly Rule[]) => Promise<string[]>;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** How often files are looked at, ms; default 2 s. */
  readonly everyMs?: number;
}

/** What of a config is only read at the start: named where it has changed. */
const startOnly = ['sources', 'sinks', 'state', 'deadLetter', 'memoryBytes', 'http', 'fields', 'extractors', 'time'] as const;
/** Mistakes shown in `/healthz`; the log has them all. */
const shownProblems = 5;

export class Reload {
  private readonly options: ReloadOptions;
  private rules: readonly Rule[];
  private configProblems: readonly string[] = [];
  private ruleProblems: readonly string[] = [];
  private watched: readonly string[] = [];
  private stopped = false;
  private last: Promise<void> = Promise.resolve();
  private readonly onHangUp = (): void => this.again('SIGHUP');
  // By looking, not by events: a mounted secret is changed by moving a link of a folder above it.
  private readonly onChange = (): void => this.again('a file has changed');

  constructor(options: ReloadOptions) {
    this.options = options;
    this.rules = options.rules;
  }

  start(): void {
    // At a terminal that signal says that the terminal is gone.
    if (!process.stdin.isTTY) process.on('SIGHUP', this.onHangUp);
    this.watch(this.options.config.secretFiles);
  }

  stop(): void {
    this.stopped = true;
    process.off('SIGHUP', this.onHangUp);
    this.watch([]);
  }

  /** What could not be taken, until a later reading can. */
  reasons(): HealthReason[] {
    const told = (problems: readonly string[], rest: string): HealthReason[] => {
      if (problems.length === 0) return [];
      const more = problems.length > shownProblems ? ` (and ${problems.length - shownProblems} more, in the log)` : '';
      const detail = `${problems.slice(0, shownProblems).join('; ')}${more}; ${rest}; correct it and send SIGHUP again`;
      return [{ reason: 'reload_failed', severity: 'degraded', detail }];
    };
    return [
      ...told(this.configProblems, 'rules and credentials stay what they were'),
      ...told(this.ruleProblems, 'the rules stay what they were'),
    ];
  }

  private watch(files: readonly string[]): void {
    for (const file of this.watched) if (!files.includes(file)) unwatchFile(file, this.onChange);
    const interval = this.options.everyMs ?? 2_000;
    for (const file of files) if (!this.watched.includes(file)) watchFile(file, { interval, persistent: false }, this.onChange);
    this.watched = files;
  }

  private again(why: 'SIGHUP' | 'a file has changed'): void {
    this.last = this.last.then(() => this.read(why));
  }

  private async read(why: 'SIGHUP' | 'a file has changed'): Promise<void> {
    const { log, reread } = this.options;
    let config: Config;
    try {
      config = await reread();
      this.configProblems = [];
    } catch (error) {
      this.configProblems = problemsOf(error);
      log.error({ why, problems: this.configProblems }, 'the config cannot be read again; rules and credentials stay what they are');
      return;
    }
    if (this.stopped) return;
    this.watch(config.secretFiles);
    this.takeCredentials(config, why);
    if (why === 'SIGHUP') await this.takeRules(config);
  }

  private takeCredentials(config: Config, why: string): void {
    const { credentials, log } = this.options;
    const { changed, refused } = credentials.replace(config.sources);
    log.info({ why, drains: changed }, changed.length === 0 ? 'no credentials have changed' : 'credentials have changed');
    for (const drain of refused) {
      log.warn({ drain }, 'the config has no credentials for it any more; it keeps those it had until the process is started anew');
    }
  }

  private async takeRules(config: Config): Promise<void> {
    const { log, replaceRules, config: running } = this.options;
    try {
      const rules = await loadRules(config.rules, config.overrides, { latenessMs: running.time.latenessMs });
      const changes = changesBetween(this.rules, rules);
      if (changes === undefined) log.info({ rules: rules.length }, 'no rule has changed');
      else {
        const beginAnew = await replaceRules(rules);
        this.rules = rules;
        log.info({ ...changes, beginAnew }, 'rules have changed');
      }
      this.ruleProblems = [];
    } catch (error) {
      this.ruleProblems = problemsOf(error);
      log.error({ problems: this.ruleProblems }, 'the rules cannot be read again; they stay what they are');
      return;
    }
    // A config as JSON shows no secrets, so credentials that were taken are no difference.
    const waiting = startOnly.filter((name) => JSON.stringify(config[name]) !== JSON.stringify(running[name]));
    if (waiting.length > 0)
      log.warn({ parts: waiting }, 'the config has changed in parts that are only read at the start: start the process anew');
  }
}

function problemsOf(error: unknown): readonly string[] {
  return error instanceof UsageError ? error.problems : [error instanceof Error ? error.message : String(error)];
}

/** Ids by what became of them; undefined if nothing did. */
function changesBetween(before: readonly Rule[], after: readonly Rule[]) {
  const texts = new Map(before.map((rule) => [rule.id, JSON.stringify(rule)]));
  const now = new Set(after.map(({ id }) => id));
  const added = after.filter(({ id }) => !texts.has(id)).map(({ id }) => id);
  const removed = [...texts.keys()].filter((id) => !now.has(id));
  const changed = after.filter((rule) => texts.has(rule.id) && texts.get(rule.id) !== JSON.stringify(rule)).map(({ id }) => id);
  return added.length + removed.length + changed.length === 0 ? undefined : { added, removed, changed };
}
