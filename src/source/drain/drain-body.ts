/** Reads a request's body within bounds of bytes and time: a slow, lying or endless sender costs one timer and what it may send. */
import type { IncomingMessage } from 'node:http';
import { ByteBudget, type RoomWait } from './byte-budget.ts';

/** Why a body was not read, with the status that says so. */
export class BodyError extends Error {
  override name = 'BodyError';
  readonly status: 400 | 408 | 413 | 503;

  constructor(status: 400 | 408 | 413 | 503, message: string) {
    super(message);
    this.status = status;
  }
}

export interface BodyLimits {
  /** Of one body. */
  readonly maxBytes: number;
  /** Of all bodies that are being read or handled. */
  readonly maxInFlightBytes: number;
  /** Time a sender has for a body. */
  readonly timeoutMs: number;
  /** Time a body waits for room. */
  readonly holdMs: number;
}

export interface ReceivedBody {
  readonly bytes: Buffer;
  /** For room, not for the sender. */
  readonly waitedMs: number;
}

/**
 * Reads the bodies of a drain. Where all of them together would be too many bytes, one waits for room before it is read on. While any
 * waits, a sender that has taken half of such a wait over its own body gives up its room: those who send a byte now and then can keep room
 * from nobody for longer.
 */
export class BodyReader {
  private readonly limits: BodyLimits;
  private readonly budget: ByteBudget;
  /** Bodies whose senders have the word, and since when; the longest first. */
  private readonly reading = new Map<IncomingBody, number>();
  private check: NodeJS.Timeout | undefined;
  private sweeper: NodeJS.Timeout | undefined;

  constructor(limits: BodyLimits) {
    this.limits = limits;
    this.budget = new ByteBudget(limits.maxInFlightBytes);
  }

  /**
   * The body as it was sent; its bytes stay counted until they are given back. `held` is called if it has to wait for room. Rejects with a
   * `BodyError`: 413 over `maxBytes` (at once where Content-Length says so), 408 after `timeoutMs`, 503 when there was no room in `holdMs`
   * or others needed it, 400 when the sender went away.
   */
  read(request: IncomingMessage, held: () => void): Promise<ReceivedBody> {
    return new Promise((resolve, reject) => {
      const body: IncomingBody = new IncomingBody(request, this.limits, this.budget, {
        reads: () => {
          this.reading.set(body, performance.now());
          this.sweepIn(this.limits.timeoutMs);
        },
        waits: () => {
          this.reading.delete(body);
          held();
          this.makeRoom();
        },
        ended: (error) => {
          this.reading.delete(body);
          if (error === undefined) resolve(body.received());
          else reject(error);
        },
      });
      body.start();
    });
  }

  giveBack(body: ReceivedBody): void {
    this.budget.giveBack(body.bytes.length);
  }

  /** One timer for all bodies, most of which it never sees. It keeps no process: the senders do. */
  private sweepIn(ms: number): void {
    this.sweeper ??= setTimeout(() => this.sweep(), ms).unref();
  }

  /** Ends the bodies that have taken too long. */
  private sweep(): void {
    this.sweeper = undefined;
    const { timeoutMs } = this.limits;
    for (const [body, sinceMs] of this.reading) {
      const leftMs = sinceMs + timeoutMs - performance.now();
      if (leftMs > 0) {
        this.sweepIn(leftMs);
        return;
      }
      body.timeOut();
    }
  }

  private makeRoom(): void {
    clearTimeout(this.check);
    const nowMs = performance.now();
    const patienceMs = this.limits.holdMs / 2;
    for (const [body, sinceMs] of this.reading) {
      if (!this.budget.isWaitedFor) return;
      if (nowMs - sinceMs < patienceMs) break;
      body.giveUp();
    }
    if (this.budget.isWaitedFor) this.check = setTimeout(() => this.makeRoom(), patienceMs / 4);
  }
}

interface BodyEvents {
  /** It is up to the sender. */
  readonly reads: () => void;
  /** It is up to others, who have the room. */
  readonly waits: () => void;
  readonly ended: (error: BodyError | undefined) => void;
}

/** One body on its way. What it has of the budget is `bytes + reserved`. */
class IncomingBody {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  /** Taken from the budget for what is still to come. */
  private reserved = 0;
  private waitedMs = 0;
  private wait: RoomWait | undefined;
  private readonly request: IncomingMessage;
  private readonly limits: BodyLimits;
  private readonly budget: ByteBudget;
  private readonly events: BodyEvents;

  constructor(request: IncomingMessage, limits: BodyLimits, budget: ByteBudget, events: BodyEvents) {
    this.request = request;
    this.limits = limits;
    this.budget = budget;
    this.events = events;
  }

  start(): void {
    if (this.claimed > this.limits.maxBytes) {
      this.end(tooLarge(this.claimed, this.limits.maxBytes));
      return;
    }
    this.request.on('data', this.onData).on('end', this.onEnd).on('close', this.onClose).on('error', this.onClose);
    this.events.reads();
  }

  received(): ReceivedBody {
    return { bytes: this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.bytes), waitedMs: this.waitedMs };
  }

  timeOut(): void {
    this.end(new BodyError(408, `${this.bytes} bytes of the body came within ${this.limits.timeoutMs} ms`));
  }

  giveUp(): void {
    this.end(new BodyError(503, `${this.bytes} bytes of the body came slowly, and others wait for the room`));
  }

  private get claimed(): number {
    return Number(this.request.headers['content-length'] ?? 0);
  }

  private readonly onData = (chunk: Buffer): void => {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    const reserved = Math.min(this.reserved, chunk.length);
    this.reserved -= reserved;
    const fits = this.budget.take(chunk.length - reserved);
    if (this.bytes > this.limits.maxBytes) this.end(tooLarge(this.bytes, this.limits.maxBytes));
    else if (!fits && reserved < chunk.length) this.waitForRoom();
  };

  private readonly onEnd = (): void => this.end(undefined);
  private readonly onClose = (): void => this.end(new BodyError(400, `the sender went away after ${this.bytes} bytes of the body`));

  /** For all of the rest at once, so that it waits once. */
  private waitForRoom(): void {
    this.request.pause();
    const sinceMs = performance.now();
    const moreBytes = Math.max(0, (this.claimed || this.limits.maxBytes) - this.bytes);
    const { maxInFlightBytes, holdMs } = this.limits;
    this.wait = {
      heldBytes: this.bytes,
      moreBytes,
      forMs: holdMs,
      settled: (room) => {
        this.wait = undefined;
        this.waitedMs = performance.now() - sinceMs;
        if (!room) {
          this.end(new BodyError(503, `${maxInFlightBytes} bytes of bodies are being read already`));
          return;
        }
        this.reserved = moreBytes;
        this.events.reads();
        this.request.resume();
      },
    };
    this.budget.wait(this.wait);
    if (this.wait !== undefined) this.events.waits();
  }

  private end(error: BodyError | undefined): void {
    const { request } = this;
    request.off('data', this.onData).off('end', this.onEnd).off('close', this.onClose).off('error', this.onClose);
    if (this.wait !== undefined) this.budget.endWait(this.wait);
    this.events.ended(error);
    if (error === undefined) {
      if (this.reserved > 0) this.budget.giveBack(this.reserved);
      return;
    }
    this.chunks.length = 0;
    this.budget.giveBack(this.bytes + this.reserved);
    // Nobody reads what may still come; without a reader the socket would stand still and keep its answer back.
    request.on('error', () => {}).resume();
  }
}

function tooLarge(bytes: number, maxBytes: number): BodyError {
  return new BodyError(413, `the body has ${bytes} bytes or more; at most ${maxBytes} are taken`);
}
