/**
 * Pushes findings to Loki. `prepare` sets aside what Loki would refuse for its age and makes requests of one stream and about 1 MiB each;
 * `send` has one stored, sits out what passes, with a bound, and drops, counted and with the reason, what Loki will never take. Sending a
 * request again is harmless: Loki stores an equal line of an equal nanosecond once.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Agent, request } from 'undici';
import { DependencyError } from '../errors.ts';
import { type LokiEntry, lokiTimestamp } from './loki-entry.ts';
import { type LokiDropReason, lokiVerdict } from './loki-verdict.ts';

export interface LokiOptions {
  /** e.g. `http://127.0.0.1:3100`; a path before `/loki/api` is kept. */
  readonly url: string;
  /** `X-Scope-OrgID`. */
  readonly tenant?: string;
  readonly auth?: { readonly username: string; readonly password: string };
  /** A bearer token. */
  readonly token?: string;
  /** Older findings are dropped without asking; default 7 days, as Loki's own `reject_old_samples_max_age`. */
  readonly maxAgeMs?: number;
  /** How long one request is tried; default 15 s. */
  readonly retryForMs?: number;
  /** What an answer may take to be whole; default 15 s. */
  readonly answerForMs?: number;
  /** Ms since the epoch. */
  readonly now?: () => number;
  readonly onDrop?: (dropped: { readonly reason: LokiDropReason; readonly entries: number; readonly detail: string }) => void;
}

export type LokiRequest = readonly LokiEntry[];

export const lokiMaxAgeMsDefault = 7 * 86_400_000;
/** Loki's default takes 4 MiB once decoded; far below it one refused entry costs little. */
const maxRequestBytes = 1024 * 1024;
const retryForMsDefault = 15_000;
const connectMs = 5_000;
const answerForMsDefault = 15_000;
/** A gateway may name any time; no request waits longer for it. */
const maxRetryAfterMs = 30_000;
const maxAnswerBytes = 64 * 1024;
const compress = promisify(gzip);

export class LokiWriter {
  readonly url: string;
  /** Entries that Loki does not have and will not get, by reason. */
  readonly dropped: Partial<Record<LokiDropReason, number>> = {};
  retries = 0;
  private readonly options: LokiOptions;
  private readonly agent = new Agent({ connect: { timeout: connectMs } });
  private readonly headers: Record<string, string>;

  constructor(options: LokiOptions) {
    this.options = options;
    this.url = options.url.replace(/\/+$/, '');
    this.headers = {
      'user-agent': 'streamgauge',
      ...(options.tenant === undefined ? {} : { 'x-scope-orgid': options.tenant }),
      ...authorization(options),
    };
  }

  /** What is to be sent, in order of time. Loki takes entries at most an hour behind the newest of their stream, so order matters. */
  prepare(entries: readonly LokiEntry[]): LokiRequest[] {
    const { now = Date.now, maxAgeMs = lokiMaxAgeMsDefault } = this.options;
    const oldestMs = now() - maxAgeMs;
    const young = entries.filter(({ timeMs }) => timeMs >= oldestMs);
    if (young.length < entries.length) {
      this.drop('too_old', entries.length - young.length, `older than ${new Date(Math.max(0, oldestMs)).toISOString()}`);
    }
    young.sort((a, b) => a.timeMs - b.timeMs || a.nanos - b.nanos);
    const streams = new Map<string, LokiEntry[]>();
    for (const entry of young) {
      const stream = JSON.stringify(entry.labels);
      const known = streams.get(stream);
      if (known === undefined) streams.set(stream, [entry]);
      else known.push(entry);
    }
    return [...streams.values()].flatMap(pieces);
  }

  /**
   * Resolves when Loki has it, or will never take what it has not. Rejects with a DependencyError when Loki stays away for `retryForMs` or
   * until `signal` aborts, and at once where somebody has to change a setting.
   */
  async send(entries: LokiRequest, signal?: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + (this.options.retryForMs ?? retryForMsDefault);
    for (let waitMs = 200; ; waitMs = Math.min(waitMs * 2, 5_000)) {
      const { status, body, retryAfterMs } = await this.push(entries);
      const verdict = lokiVerdict(status, body, entries.length);
      if (verdict.kind === 'done') return;
      if (verdict.kind === 'dropped') return this.drop(verdict.reason, verdict.entries, body);
      if (verdict.kind === 'split') return this.halve(entries, verdict.reason, body, signal);
      const pauseMs = Math.max(waitMs, retryAfterMs);
      const patient = verdict.kind === 'retry' && !signal?.aborted && performance.now() + pauseMs < deadlineMs;
      if (!patient) throw new DependencyError(`Loki at ${this.url}: ${verdict.reason}; ${nextStep(status, verdict.kind)}`);
      this.retries++;
      await pause(pauseMs, signal);
    }
  }

  /**
   * For the doctor: it is ready, answers a query and takes a push with these credentials. The push has no line in it, so nothing is stored.
   * Resolves to the time of its clock, NaN if it does not say; rejects with what is wrong.
   */
  async check(): Promise<number> {
    const ready = await this.ask('GET', '/ready');
    // A gateway may keep `/ready` to itself; the query tells.
    if (ready.status !== 200 && ready.status !== 404) throw this.refused('not ready:', ready, 'retry');
    const query = await this.ask('GET', `/loki/api/v1/query_range?limit=1&query=${encodeURIComponent('{job="findings"}')}`);
    if (query.status !== 200) throw this.refused('a query was answered', query, 'misconfigured');
    const push = await this.ask('POST', '/loki/api/v1/push', await compress('{"streams":[]}'));
    // 422: it was let in and found to be empty.
    if (push.status >= 300 && push.status !== 422) throw this.refused('a push without lines was answered', push, 'misconfigured');
    return push.dateMs;
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  private async push(entries: LokiRequest): Promise<Answer> {
    const body = await compress(JSON.stringify({ streams: [{ stream: entries[0].labels, values: entries.map(valueFor) }] }));
    return this.ask('POST', '/loki/api/v1/push', body);
  }

  private async ask(method: 'GET' | 'POST', path: string, body?: Buffer): Promise<Answer> {
    const headers = { ...this.headers, ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-encoding': 'gzip' }) };
    // Over all of it: an answer that drips would never be silent for long.
    const signal = AbortSignal.timeout(this.options.answerForMs ?? answerForMsDefault);
    try {
      const answer = await request(`${this.url}${path}`, { method, headers, body, dispatcher: this.agent, signal });
      const { date, 'retry-after': retryAfter } = answer.headers;
      const seconds = Number(retryAfter ?? 0);
      return {
        status: answer.statusCode,
        body: await textOf(answer.body),
        dateMs: Date.parse(String(date)),
        retryAfterMs: seconds > 0 ? Math.min(maxRetryAfterMs, seconds * 1000) : 0,
      };
    } catch (error) {
      // No answer, or half of one: nobody knows what was stored.
      const reason = (error as Error).message || String((error as NodeJS.ErrnoException).code ?? error);
      return { status: 503, body: reason, dateMs: Number.NaN, retryAfterMs: 0 };
    }
  }

  private refused(what: string, { status, body }: Answer, kind: 'retry' | 'misconfigured'): DependencyError {
    return new DependencyError(`Loki at ${this.url}: ${what} ${status} ${body.trim().slice(0, 300)}; ${nextStep(status, kind)}`);
  }

  private async halve(entries: LokiRequest, reason: LokiDropReason, detail: string, signal: AbortSignal | undefined): Promise<void> {
    if (entries.length === 1) return this.drop(reason, 1, detail);
    const middle = entries.length >> 1;
    await this.send(entries.slice(0, middle), signal);
    await this.send(entries.slice(middle), signal);
  }

  private drop(reason: LokiDropReason, entries: number, detail: string): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + entries;
    this.options.onDrop?.({ reason, entries, detail: detail.trim().slice(0, 300) });
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Its `Date`. */
  readonly dateMs: number;
  /** How long it asks to be left alone; 0 where it does not. */
  readonly retryAfterMs: number;
}

/** As much as anybody needs; the rest is not read, for it may have no end. */
async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > maxAnswerBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function valueFor(entry: LokiEntry): [string, string, Readonly<Record<string, string>>] {
  return [lokiTimestamp(entry), entry.line, entry.metadata];
}

function pieces(entries: readonly LokiEntry[]): LokiEntry[][] {
  const found: LokiEntry[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    const length = Buffer.byteLength(JSON.stringify(valueFor(entry)));
    if (bytes + length > maxRequestBytes) {
      found.push([]);
      bytes = 0;
    }
    bytes += length;
    found[found.length - 1].push(entry);
  }
  return found;
}

function authorization({ auth, token }: LokiOptions): Record<string, string> {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  if (auth === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` };
}

function nextStep(status: number, kind: 'retry' | 'misconfigured'): string {
  if (kind === 'retry' && status !== 429) return 'check `url` of the loki sink, and that Loki runs';
  if (status === 429) return 'raise the limit it names in limits_config, or send less';
  if (status === 401 || status === 403) return 'check `tenant`, `auth` and `token` of the loki sink';
  if (status === 404 || status === 405) return 'check that `url` is that of Loki, without /loki/api/v1/push';
  return 'see limits_config of Loki';
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}
