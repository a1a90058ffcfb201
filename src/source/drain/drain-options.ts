/** What a drain can be told, with its defaults, and what of it makes no sense. */
import type { CredentialsProvider } from './drain-credentials.ts';
import type { DrainKind } from './drain-records.ts';
import type { JournalOptions } from './journal.ts';

export interface DrainOptions {
  /** Path of the endpoint: letters, digits and `. _ ~ -` between slashes. It is also the topic of the drain's records. */
  readonly path: string;
  /** What is posted; without it the path says so: `/v1/logs` OTLP, below `/drain/json` JSON, else Logplex. */
  readonly kind?: DrainKind;
  /** `user:password` pairs, all valid at once, or where to ask for those of the moment; none: anybody may send. */
  readonly credentials: readonly string[] | CredentialsProvider;
  /** The dataset of events that do not name their own. */
  readonly dataset: string;
  /** Of a body as it is sent; default 1 MiB for Logplex, 10 MiB else. */
  readonly maxBodyBytes?: number;
  /** Of a body once it is decompressed; default four times `maxBodyBytes`. */
  readonly maxDecodedBytes?: number;
  /** Records of one body; the rest of it is rejected as one. Default 100,000. */
  readonly maxRecords?: number;
  /** Bytes of bodies in memory over all requests; what does not fit waits. Default 64 MiB. */
  readonly maxInFlightBytes?: number;
  /** Time a body may take to arrive; default 10 s. */
  readonly bodyTimeoutMs?: number;
  /** Time a request waits for room; default 4 s, because Logplex waits 5 s for an answer. */
  readonly holdMs?: number;
  /** Of each drain token (user, or address, where there is none), and a hundred times that of all tokens of one user; no limit by default. */
  readonly rate?: { readonly bytesPerSecond: number; readonly burstBytes: number };
  /** How long a Logplex batch is known by its Frame-Id; default 15 minutes. */
  readonly dedupeMs?: number;
  readonly maxDedupeBatches?: number;
  readonly log?: DrainLog;
  /** The clock; ms since the epoch. */
  readonly now?: () => number;
}

export interface JournalDrainOptions extends DrainOptions {
  /** The journal is kept below it, in `journal/<path>`. */
  readonly stateDir: string;
  readonly journal?: Pick<JournalOptions, 'maxBytes' | 'keepBytes' | 'segmentBytes' | 'sync'>;
}

export interface DrainLog {
  info(details: object, text: string): void;
  warn(details: object, text: string): void;
}

const pathShape = /^\/[A-Za-z0-9._~/-]*$/;

/** Everything that is wrong with the options, as a user reads it. */
export function problemsOf(options: DrainOptions & Pick<JournalDrainOptions, 'journal'>): string[] {
  const problems: string[] = [];
  if (!pathShape.test(options.path) || options.path.split('/').some((part) => part === '.' || part === '..')) {
    problems.push(`drain.path: expected a path like /drain/logplex (letters, digits and . _ ~ -), found ${JSON.stringify(options.path)}`);
  }
  const { credentials } = options;
  (typeof credentials === 'function' ? credentials() : credentials).forEach((pair, i) => {
    if (!pair.includes(':') || pair.endsWith(':'))
      problems.push(`drain.credentials[${i}]: expected user:password, found a text without a password`);
  });
  const { maxBodyBytes, journal } = options;
  if (maxBodyBytes !== undefined && journal?.maxBytes !== undefined && journal.maxBytes < 4 * maxBodyBytes) {
    problems.push(`drain.journal.maxBytes: expected at least four bodies of ${maxBodyBytes} bytes, found ${journal.maxBytes}`);
  }
  return problems;
}

export function kindOf(path: string): DrainKind {
  if (path === '/v1/logs') return 'otlp';
  return path === '/drain/json' || path.startsWith('/drain/json/') ? 'json' : 'logplex';
}

/** One folder name per path: `/drain/logplex` is `drain+logplex`, and no path character is a `+`. */
export function folderOf(path: string): string {
  return path.slice(1).replaceAll('/', '+') || '+';
}
