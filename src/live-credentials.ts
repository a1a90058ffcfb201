/** The credentials of drains, which may be changed while the process runs (`reload.ts` says when). */
import type { DrainSourceConfig, SourceConfig } from './config.ts';
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

function isDrain(source: SourceConfig): source is DrainSourceConfig {
  return source.kind === 'drain';
}

function pairsOf(drain: DrainSourceConfig): string[] {
  return drain.credentials.map((secret) => secret.reveal());
}
