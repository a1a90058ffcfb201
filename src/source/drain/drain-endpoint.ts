/**
 * The HTTP side of a drain: from a request to records that are on disk, and the answer that says so.
 *
 * A sender that is told 4xx drops its batch for good, so content is never refused: what cannot be read goes to the dead letter. One that
 * is told 503 comes back, at once and not often; so a request waits a while for room before it is told that.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Answer, protobufType, sendAnswer } from './drain-answer.ts';
import { BodyError, BodyReader, type ReceivedBody } from './drain-body.ts';
import { ContentReader, type DrainContent, mediaTypeOf } from './drain-content.ts';
import { DrainCounters } from './drain-counters.ts';
import { Credentials, userOf } from './drain-credentials.ts';
import type { DrainKeeper } from './drain-keeper.ts';
import { type DrainLog, type DrainOptions, kindOf } from './drain-options.ts';
import { type DrainBody, type DrainKind, frameIdHeader, tokenHeader } from './drain-records.ts';
import { FrameDedupe } from './frame-dedupe.ts';
import type { Journal } from './journal.ts';
import { OtlpError } from './otlp-records.ts';
import { DrainRate } from './token-rate.ts';

/** What a request that was held, for its rate or for room, may still take to be kept: Logplex waits 5 s in all. */
const leastKeepMs = 500;

export class DrainEndpoint {
  readonly kind: DrainKind;
  readonly counters = new DrainCounters();
  readonly dedupe: FrameDedupe;
  private failing = false;
  private readonly options: DrainOptions;
  private readonly keeper: DrainKeeper;
  private readonly log: DrainLog;
  private readonly credentials: Credentials;
  private readonly rate: DrainRate | undefined;
  private readonly bodies: BodyReader;
  private readonly content: ContentReader;
  private readonly holdMs: number;
  private readonly dedupeMs: number;
  private readonly now: () => number;

  constructor(options: DrainOptions, keeper: DrainKeeper, log: DrainLog) {
    this.kind = options.kind ?? kindOf(options.path);
    this.options = options;
    this.keeper = keeper;
    this.log = log;
    this.credentials = new Credentials(options.credentials);
    this.rate = options.rate && new DrainRate(options.rate);
    this.dedupeMs = options.dedupeMs ?? 15 * 60_000;
    this.dedupe = new FrameDedupe(this.dedupeMs, options.maxDedupeBatches ?? 200_000);
    this.holdMs = options.holdMs ?? 4000;
    const maxBytes = options.maxBodyBytes ?? (this.kind === 'logplex' ? 1 : 10) * 1024 ** 2;
    const maxInFlightBytes = options.maxInFlightBytes ?? 64 * 1024 ** 2;
    this.bodies = new BodyReader({ maxBytes, maxInFlightBytes, timeoutMs: options.bodyTimeoutMs ?? 10_000, holdMs: this.holdMs });
    this.content = new ContentReader(this.kind, {
      maxDecodedBytes: options.maxDecodedBytes ?? 4 * maxBytes,
      maxHeldBytes: maxInFlightBytes,
      maxRecords: options.maxRecords ?? 100_000,
    });
    this.now = options.now ?? Date.now;
    if (this.credentials.open) log.warn({ drain: options.path }, 'this drain has no credentials: anybody who can reach it can send to it');
  }

  /** Learns the batches of the last while from the journal: a sender may resend what was acknowledged just before a restart. */
  async recallBatches(journal: Journal): Promise<void> {
    const sinceMs = this.now() - this.dedupeMs;
    const first = journal.firstSequenceSince(sinceMs);
    let last = '';
    for await (const records of journal.readFrom(first, { until: journal.nextSequence })) {
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
    return sendAnswer(this.kind, request, reply, outcome);
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
    const unsupported = this.unsupported(request);
    if (unsupported !== undefined) return { status: 415, outcome: 'unsupported', message: unsupported };
    let body: ReceivedBody;
    try {
      body = await this.bodies.read(request.raw, () => this.counters.held++);
    } catch (error) {
      return bodyFailure(error, reply);
    }
    try {
      this.counters.bytes += body.bytes.length;
      return await this.take(body, request);
    } catch (error) {
      return bodyFailure(error, reply);
    } finally {
      this.bodies.giveBack(body);
    }
  }

  private async take({ bytes, waitedMs }: ReceivedBody, request: FastifyRequest): Promise<Answer> {
    const holdMs = Math.max(0, this.holdMs - waitedMs);
    const deadlineMs = this.now() + holdMs;
    const limited = await this.waitForRate(request, bytes.length, holdMs);
    if (limited !== undefined) return limited;
    const headers = this.kind === 'logplex' ? logplexHeaders(request) : undefined;
    const batch = batchName(headers);
    const first = batch === undefined ? undefined : this.dedupe.claim(batch, this.now());
    if (first !== undefined) {
      if (await within(first, deadlineMs - this.now())) return { status: 200, outcome: 'repeat' };
      return { status: 503, outcome: 'unavailable', message: 'the first sending of this batch could not be kept' };
    }
    let toSettle = batch;
    let content: DrainContent | undefined;
    try {
      const leftMs = (): number => Math.max(leastKeepMs, deadlineMs - this.now());
      content = await this.content.read(bytes, request, { headers, arrivedMs: this.now(), forMs: leftMs() });
      toSettle = undefined;
      const problem = await this.keeper.keep(content.body.records, keyOf(this.kind, headers, request), {
        forMs: leftMs(),
        held: () => this.counters.held++,
        settled: (durable) => batch !== undefined && this.dedupe.settle(batch, durable, this.now()),
      });
      if (problem !== undefined) {
        this.tellFailing(problem);
        return { status: 503, outcome: 'unavailable', message: problem };
      }
      this.tellWorking();
      return this.accepted(content.body);
    } catch (error) {
      if (!(error instanceof OtlpError)) throw error;
      return { status: error.status, outcome: error.status === 413 ? 'too_large' : 'bad_content', message: error.message };
    } finally {
      content?.release();
      if (toSettle !== undefined) this.dedupe.settle(toSettle, false, this.now());
    }
  }

  /** Undefined once the sender may pass. Logplex resends at once and twice, so it is told no only after the whole time it would wait. */
  private async waitForRate(request: FastifyRequest, bytes: number, holdMs: number): Promise<Answer | undefined> {
    if (this.rate === undefined) return undefined;
    const owner = this.credentials.open ? `address ${request.ip}` : `user ${userOf(request.headers.authorization)}`;
    const token = this.kind === 'logplex' ? (logplexHeaders(request)?.[tokenHeader] ?? '') : '';
    let { taken, waitMs } = this.rate.take(owner, token, bytes, holdMs, this.now());
    if (taken) {
      if (waitMs > 0) await this.hold(waitMs);
      return undefined;
    }
    if (this.kind === 'logplex') {
      await this.hold(holdMs);
      ({ taken, waitMs } = this.rate.take(owner, token, bytes, 0, this.now()));
      if (taken) return undefined;
    }
    return { status: 429, outcome: 'rate_limited', message: 'more bytes a second than this sender may bring', retryAfterMs: waitMs };
  }

  private accepted({ records, rejects, refused, problem, countDiffers }: DrainBody): Answer {
    this.counters.records += records.length;
    this.counters.rejects += rejects + refused;
    if (countDiffers) this.counters.countMismatches++;
    return { status: 200, outcome: 'accepted', refused, message: problem };
  }

  /** Once per outage, not once per request. */
  private tellFailing(reason: string): void {
    if (!this.failing) this.log.warn({ drain: this.options.path, reason }, 'records cannot be kept; senders are told to come back');
    this.failing = true;
  }

  private tellWorking(): void {
    if (this.failing) this.log.info({ drain: this.options.path }, 'records are kept again');
    this.failing = false;
  }

  private hold(waitMs: number): Promise<void> {
    this.counters.held++;
    return new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  /** Logplex is never refused for its content, so neither for the name of it. */
  private unsupported(request: FastifyRequest): string | undefined {
    if (this.kind === 'logplex') return undefined;
    const mediaType = mediaTypeOf(request);
    if (this.kind === 'otlp') {
      if (mediaType === 'application/json' || mediaType === protobufType) return undefined;
      return `OTLP is taken as ${protobufType} or application/json here, not as ${mediaType || 'nothing'}`;
    }
    if (mediaType === '' || jsonTypes.has(mediaType) || mediaType.endsWith('+json')) return undefined;
    return `${mediaType} is not taken here: send application/json or application/x-ndjson`;
  }
}

/** What the promise resolves with; undefined if it has not by then. */
async function within<T>(promise: Promise<T>, forMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, forMs), undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const jsonTypes = new Set(['application/json', 'application/x-ndjson', 'application/jsonl', 'text/json', 'text/plain']);
const outcomeOfStatus = { 400: 'aborted', 408: 'slow', 413: 'too_large', 503: 'unavailable' } as const;

/** The body was not read to its end, so the connection cannot be used again. */
function bodyFailure(error: unknown, reply: FastifyReply): Answer {
  if (!(error instanceof BodyError)) throw error;
  reply.header('connection', 'close');
  return { status: error.status, outcome: outcomeOfStatus[error.status], message: error.message };
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

/**
 * Which records belong together where they are kept in partitions: those of a Logplex token. Of JSON, those of a sender: the parts of a line
 * that a container runtime split are joined within a partition. Behind a proxy that is whom the proxy names; nobody gains by naming another.
 * An OTLP log record is whole, and a collector sends those of many: they are spread.
 */
function keyOf(
  kind: DrainKind,
  headers: Readonly<Record<string, string>> | undefined,
  { ip, headers: given }: FastifyRequest,
): string | undefined {
  if (kind === 'otlp') return undefined;
  const [client] = String(given['x-forwarded-for'] ?? '').split(',', 1);
  return headers?.[tokenHeader] ?? (client.trim().slice(0, 100) || ip);
}
