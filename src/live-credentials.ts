/** The credentials of drains, which may be changed while the process runs; nothing else of the config may. */
import { unwatchFile, watchFile } from 'node:fs';
import type { Logger } from 'pino';
import type { Config, DrainSourceConfig, SourceConfig } from './config.ts';
import { UsageError } from './errors.ts';
import type { CredentialsProvider } from './source/drain/drain-credentials.ts';

export class LiveCredentials {
  private readonly byPath = new Map<string, readonly string[]>();

  constructor(sources: readonly SourceConfig[]) {
    for (const drain of sources.filter(isDrain)) this.byPath.set(drain.path, pairsOf(drain));
  }

  /** Asked at every request of the drain at `path`. Throws an Error if there is none. */
  of(path: string): CredentialsProvider {
    const pairs = this.byPath.get(path);
    if (pairs === undefined) throw new Error(`no drain at ${path}`);
    return () => this.byPath.get(path) ?? pairs;
  }

  /**
   * Takes the credentials of another reading of the config; returns the paths where they changed. A drain that had some is never opened to
   * everybody this way: that is told in `refused`, and it keeps what it had.
   */
  replace(sources: readonly SourceConfig[]): { readonly changed: string[]; readonly refused: string[] } {
    const changed: string[] = [];
    const refused: string[] = [];
    for (const drain of sources.filter(isDrain)) {
      const before = this.byPath.get(drain.path);
      const pairs = pairsOf(drain);
      if (before === undefined || (before.length === pairs.length && before.every((pair, i) => pair === pairs[i]))) continue;
      if (pairs.length === 0) refused.push(drain.path);
      else {
        this.byPath.set(drain.path, pairs);
        changed.push(drain.path);
      }
    }
    return { changed, refused };
  }
}

export interface FreshOptions {
  readonly config: Pick<Config, 'secretFiles'>;
  readonly credentials: LiveCredentials;
  readonly reread: () => Promise<Pick<Config, 'sources'>>;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** How often files are looked at, ms; default 2 s. */
  readonly everyMs?: number;
}

/** Takes new credentials on SIGHUP, and when a file of a `${file:…}` has changed. Returns how to end that. */
export function keepCredentialsFresh({ config, credentials, reread, log, everyMs = 2_000 }: FreshOptions): () => void {
  let last: Promise<void> = Promise.resolve();
  const read = async (why: string): Promise<void> => {
    try {
      const { changed, refused } = credentials.replace((await reread()).sources);
      log.info({ why, drains: changed }, changed.length === 0 ? 'no credentials have changed' : 'credentials have changed');
      for (const drain of refused) {
        log.warn({ drain }, 'the config has no credentials for it any more; it keeps those it had until the process is started anew');
      }
    } catch (error) {
      const problems = error instanceof UsageError ? error.problems : [String(error)];
      log.error({ why, problems }, 'the config cannot be read again; credentials stay what they are');
    }
  };
  const again = (why: string): void => {
    last = last.then(() => read(why));
  };
  const onHangUp = (): void => again('SIGHUP');
  // At a terminal that signal says that the terminal is gone.
  if (!process.stdin.isTTY) process.on('SIGHUP', onHangUp);
  // By looking, not by events: a mounted secret is changed by moving a link of a folder above it.
  const onChange = (): void => again('a file has changed');
  for (const file of config.secretFiles) watchFile(file, { interval: everyMs, persistent: false }, onChange);
  return () => {
    process.off('SIGHUP', onHangUp);
    for (const file of config.secretFiles) unwatchFile(file, onChange);
  };
}

function isDrain(source: SourceConfig): source is DrainSourceConfig {
  return source.kind === 'drain';
}

function pairsOf(drain: DrainSourceConfig): string[] {
  return drain.credentials.map((secret) => secret.reveal());
}
