/**
 * The HTTP side of a drain: from a request to records that are on disk, and the answer that says so.
 *
 * A sender that is told 4xx drops its batch for good, so content is never refused: what cannot be read goes to the dead letter. One that
 * is told 503 comes back, at once and not often; so a request waits a while for room before it is told that.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BodyError, type ByteBudget, openGzip, readBody } from './drain-body.ts';
import { DrainCounters, type DrainOutcome } from './drain-counters.ts';
import { Credentials } from './drain-credentials.ts';
import { type DrainLog, type DrainOptions, kindOf } from './drain-options.ts';
import {
  type BodyContext,
  type DrainBody,
  type DrainKind,
  drainRecords,
  frameIdHeader,
  tokenHeader,
  unreadableBody,
} from './drain-records.ts';
import { FrameDedupe } from './frame-dedupe.ts';
import { type Journal, JournalFullError, type JournalRecord } from './journal.ts';
import { OtlpError } from './otlp-json.ts';
import { TokenRate } from './token-rate.ts';

export class DrainEndpoint {
  readonly kind: DrainKind;
  readonly counters = new DrainCounters();
  readonly dedupe: FrameDedupe;
  /** That the journal is full; undefined once there is room. */
  refusal: JournalFullError | undefined;
  private failing = false;
  private readonly options: DrainOptions;
  private readonly journal: Journal;
  private readonly log: DrainLog;
  private readonly credentials: Credentials;
  private readonly rate: TokenRate | undefined;
  private readonly budget: ByteBudget;
  private readonly maxBodyBytes: number;
  private readonly holdMs: number;
  private readonly dedupeMs: number;
  private readonly now: () => number;

  constructor(options: DrainOptions, journal: Journal, log: DrainLog) {
    this.kind = options.kind ?? kindOf(options.path);
    this.options = options;
    this.journal = journal;
    this.log = log;
    this.credentials = new Credentials(options.credentials);
    this.rate = options.rate && new TokenRate(options.rate.bytesPerSecond, options.rate.burstBytes);
    this.dedupeMs = options.dedupeMs ?? 15 * 60_000;
    this.dedupe = new FrameDedupe(this.dedupeMs, options.maxDedupeBatches ?? 200_000);
    this.budget = { usedBytes: 0, maxBytes: options.maxInFlightBytes ?? 64 * 1024 ** 2 };
    this.maxBodyBytes = options.maxBodyBytes ?? (this.kind === 'logplex' ? 1 : 10) * 1024 ** 2;
    this.holdMs = options.holdMs ?? 4000;
    this.now = options.now ?? Date.now;
  }

  /** Learns the batches of the last while from the journal: a sender may resend what was acknowledged just before a restart. */
  async recallBatches(): Promise<void> {
    const sinceMs = this.now() - this.dedupeMs;
    const first = this.journal.firstSequenceSince(sinceMs);
    let last = '';
    for await (const records of this.journal.readFrom(first, { until: this.journal.nextSequence })) {
      for (const { headers, timestampMs } of records) {
        const batch = batchName(headers);
        if (batch === undefined || batch === last || timestampMs < sinceMs) continue;
        this.dedupe.remember(batch, timestampMs);
        last = batch;
      }
    }
  }

  register(app: FastifyInstance): void {
    // Answered in `onRequest`, before Fastify looks at the content type or the body: it would refuse what has to be taken.
    app.all(this.options.path, { onRequest: (request, reply) => this.handle(request, reply) }, () => {});
  }

  private async handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const outcome = await this.outcomeOf(request, reply);
    this.counters.requests[outcome.outcome]++;
    return this.answer(reply, outcome);
  }

  private async outcomeOf(request: FastifyRequest, reply: FastifyReply): Promise<Answer> {
    if (request.method !== 'POST') {
      reply.header('allow', 'POST');
      return { status: 405, outcome: 'wrong_method', message: `${request.method} is not answered here; send logs by POST` };
    }
    if (!this.credentials.allow(request.headers.authorization)) {
      reply.header('www-authenticate', 'Basic realm="streamgauge"');
      return { status: 401, outcome: 'unauthorized', message: 'no user and password that this drain knows' };
    }
    const unsupported = this.unsupported(mediaTypeOf(request));
    if (unsupported !== undefined) return { status: 415, outcome: 'unsupported', message: unsupported };
    let body: Buffer;
    try {
      body = await readBody(request.raw, this.maxBodyBytes, this.options.bodyTimeoutMs ?? 10_000, this.budget);
    } catch (error) {
      return bodyFailure(error, reply);
    }
    try {
      this.counters.bytes += body.length;
      return await this.take(body, request);
    } catch (error) {
      return bodyFailure(error, reply);
    } finally {
      this.budget.usedBytes -= body.length;
    }
  }

  private async take(body: Buffer, request: FastifyRequest): Promise<Answer> {
    const deadlineMs = this.now() + this.holdMs;
    const waitMs = this.rate?.take(senderOf(request), body.length, this.holdMs, this.now()) ?? (this.rate ? undefined : 0);
    if (waitMs === undefined) return { status: 429, outcome: 'rate_limited', message: 'more bytes a second than this sender may bring' };
    if (waitMs > 0) await this.hold(waitMs);
    const headers = this.kind === 'logplex' ? logplexHeaders(request) : undefined;
    const batch = batchName(headers);
    const first = batch === undefined ? undefined : this.dedupe.claim(batch, this.now());
    if (first !== undefined) {
      if (await first) return { status: 200, outcome: 'repeat' };
      return { status: 503, outcome: 'unavailable', message: 'the first sending of this batch could not be kept' };
    }
    let durable = false;
    try {
      const answer = await this.keep(body, request, headers, deadlineMs);
      durable = answer.outcome === 'accepted';
      return answer;
    } finally {
      if (batch !== undefined) this.dedupe.settle(batch, durable, this.now());
    }
  }

  private async keep(body: Buffer, request: FastifyRequest, headers: BodyContext['headers'], deadlineMs: number): Promise<Answer> {
    const context: BodyContext = {
      kind: this.kind,
      mediaType: mediaTypeOf(request),
      arrivedMs: this.now(),
      headers,
      maxRecords: this.options.maxRecords ?? 100_000,
    };
    let content: DrainBody;
    try {
      content = await this.open(body, request, context);
    } catch (error) {
      if (!(error instanceof OtlpError)) throw error;
      return { status: 400, outcome: 'bad_content', message: error.message };
    }
    const problem = await this.appendBy(content.records, deadlineMs);
    if (problem !== undefined) return { status: 503, outcome: 'unavailable', message: problem };
    this.counters.records += content.records.length;
    this.counters.rejects += content.rejects + content.refused;
    const claimed = request.headers['logplex-msg-count'];
    if (this.kind === 'logplex' && claimed !== undefined && Number(claimed) !== content.records.length - content.rejects)
      this.counters.countMismatches++;
    return { status: 200, outcome: 'accepted', refused: content.refused, message: content.problem };
  }

  private async open(body: Buffer, request: FastifyRequest, context: BodyContext): Promise<DrainBody> {
    const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase().trim();
    if (encoding === 'identity' || encoding === '') return drainRecords(body, context);
    if (encoding !== 'gzip' && encoding !== 'x-gzip') return unreadableBody(body, context);
    try {
      return drainRecords(await openGzip(body, this.options.maxDecodedBytes ?? 4 * this.maxBodyBytes), context);
    } catch (error) {
      if (error instanceof BodyError || error instanceof OtlpError) throw error;
      return unreadableBody(body, context);
    }
  }

  /** Undefined once the records are on disk, else why they are not by the deadline. */
  private async appendBy(records: readonly JournalRecord[], deadlineMs: number): Promise<string | undefined> {
    for (let held = false; ; held = true) {
      try {
        await this.journal.append(records);
        this.tellWorking();
        return undefined;
      } catch (error) {
        const { message } = error as Error;
        this.tellFailing(message);
        if (!(error instanceof JournalFullError)) return message;
        this.refusal = error;
        const leftMs = deadlineMs - this.now();
        if (leftMs <= 0) return message;
        if (!held) this.counters.held++;
        await this.journal.room(leftMs);
      }
    }
  }

  /** Once per outage, not once per request. */
  private tellFailing(reason: string): void {
    if (!this.failing) this.log.warn({ drain: this.options.path, reason }, 'records cannot be kept; senders are told to come back');
    this.failing = true;
  }

  private tellWorking(): void {
    this.refusal = undefined;
    if (this.failing) this.log.info({ drain: this.options.path }, 'records are kept again');
    this.failing = false;
  }

  private hold(waitMs: number): Promise<void> {
    this.counters.held++;
    return new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  /** Logplex is never refused for its content, so neither for the name of it. */
  private unsupported(mediaType: string): string | undefined {
    if (this.kind === 'logplex') return undefined;
    if (this.kind === 'otlp') {
      if (mediaType === 'application/json') return undefined;
      return `OTLP is taken as application/json here, not as ${mediaType || 'nothing'}: set the exporter's protocol or encoding to json`;
    }
    if (mediaType === '' || jsonTypes.has(mediaType) || mediaType.endsWith('+json')) return undefined;
    return `${mediaType} is not taken here: send application/json or application/x-ndjson`;
  }

  /** Logplex understands only Content-Length and wants no body; the others may say what was wrong. */
  private answer(reply: FastifyReply, { status, outcome, message, refused }: Answer): FastifyReply {
    reply.code(status);
    if (status === 503 || status === 429) reply.header('retry-after', '1');
    if (this.kind === 'logplex' || (status === 200 && this.kind === 'json')) return reply.header('content-length', '0').send();
    if (status === 200)
      return reply.send(refused ? { partialSuccess: { rejectedLogRecords: String(refused), errorMessage: message } } : {});
    return reply.send({ error: outcome, message });
  }
}

interface Answer {
  readonly status: number;
  readonly outcome: DrainOutcome;
  readonly message?: string;
  readonly refused?: number;
}

const jsonTypes = new Set(['application/json', 'application/x-ndjson', 'application/jsonl', 'text/json', 'text/plain']);
const outcomeOfStatus = { 400: 'aborted', 408: 'slow', 413: 'too_large', 503: 'unavailable' } as const;

/** The body was not read to its end, so the connection cannot be used again. */
function bodyFailure(error: unknown, reply: FastifyReply): Answer {
  if (!(error instanceof BodyError)) throw error;
  reply.header('connection', 'close');
  return { status: error.status, outcome: outcomeOfStatus[error.status], message: error.message };
}

function mediaTypeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
}

function logplexHeaders(request: FastifyRequest): Record<string, string> | undefined {
  const headers: Record<string, string> = {};
  for (const name of [tokenHeader, frameIdHeader]) {
    const value = request.headers[name];
    // Real ones are 38 and 32 characters; anything far longer is kept out of memory and off the disk.
    if (typeof value === 'string' && value !== '' && value.length <= 200) headers[name] = value;
  }
  return Object.keys(headers).length === 0 ? undefined : headers;
}

/** A Frame-Id names a batch of its drain only. */
function batchName(headers: Readonly<Record<string, string>> | undefined): string | undefined {
  const frameId = headers?.[frameIdHeader];
  return frameId === undefined ? undefined : `${headers?.[tokenHeader] ?? ''} ${frameId}`;
}

function senderOf(request: FastifyRequest): string {
  const token = request.headers[tokenHeader];
  if (typeof token === 'string' && token.length <= 200) return `token ${token}`;
  return request.headers.authorization ?? request.ip;
}
