/** Reads a request's body within bounds of bytes and time: a slow, lying or endless sender costs one timer and what it may send. */
import type { IncomingMessage } from 'node:http';
import { createUnzip } from 'node:zlib';

/** Why a body was not read, with the status that says so. */
export class BodyError extends Error {
  override name = 'BodyError';
  readonly status: 400 | 408 | 413 | 503;

  constructor(status: 400 | 408 | 413 | 503, message: string) {
    super(message);
    this.status = status;
  }
}

/** Bytes of bodies that are being read or handled, over all requests of a drain. */
export interface ByteBudget {
  usedBytes: number;
  readonly maxBytes: number;
}

/**
 * The body as it was sent; its bytes stay counted in the budget until the caller gives them back. Rejects with a `BodyError`: 413 over
 * `maxBytes` (at once where Content-Length says so), 408 after `timeoutMs`, 503 when the budget is spent, 400 when the sender went away.
 */
export function readBody(request: IncomingMessage, maxBytes: number, timeoutMs: number, budget: ByteBudget): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (error: BodyError | undefined): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      if (error === undefined) {
        resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes));
        return;
      }
      budget.usedBytes -= bytes;
      // Nobody reads what may still come; without a reader the socket would stand still and keep its answer back.
      request.on('error', () => {}).resume();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      budget.usedBytes += chunk.length;
      chunks.push(chunk);
      if (bytes > maxBytes) settle(tooLarge(bytes, maxBytes));
      else if (budget.usedBytes > budget.maxBytes) settle(new BodyError(503, `${budget.maxBytes} bytes of bodies are being read already`));
    };
    const onEnd = (): void => settle(undefined);
    const onClose = (): void => settle(new BodyError(400, `the sender went away after ${bytes} bytes of the body`));
    const timer = setTimeout(() => settle(new BodyError(408, `${bytes} bytes of the body came within ${timeoutMs} ms`)), timeoutMs);
    const claimed = Number(request.headers['content-length'] ?? 0);
    if (claimed > maxBytes) settle(tooLarge(claimed, maxBytes));
    else request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** Bodies that are opened at a time: each may grow to its limit before it is known to be too large. */
const openingAtOnce = 2;

/** Opens bodies of gzip or zlib (`deflate`), few at a time and within a budget of their own, so that many small bodies cannot become all the memory there is. */
export class BodyOpener {
  private readonly maxBytes: number;
  private readonly budget: ByteBudget;
  private opening = 0;
  private readonly waiting: (() => void)[] = [];

  /** `maxBytes` of one body, opened; `maxTotalBytes` of all that are not given back yet. */
  constructor(maxBytes: number, maxTotalBytes: number) {
    this.maxBytes = maxBytes;
    this.budget = { usedBytes: 0, maxBytes: Math.max(maxTotalBytes, openingAtOnce * maxBytes) };
  }

  /**
   * The body opened; its bytes stay counted until they are given back. Rejects with a `BodyError`: 413 over `maxBytes`, 503 when the budget
   * is spent. Any other error is that of zlib: the bytes are neither, or not all of one.
   */
  async open(body: Buffer): Promise<Buffer> {
    if (this.opening === openingAtOnce) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.opening++;
    try {
      return await inflate(body, this.maxBytes, this.budget);
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.opening--;
      else next();
    }
  }

  giveBack(opened: Buffer): void {
    this.budget.usedBytes -= opened.length;
  }
}

function inflate(body: Buffer, maxBytes: number, budget: ByteBudget): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    // Finds out by itself which of the two it is.
    const unzip = createUnzip({ chunkSize: 64 * 1024 });
    const fail = (error: Error): void => {
      unzip.destroy();
      budget.usedBytes -= bytes;
      chunks.length = 0;
      reject(error);
    };
    unzip.on('data', (chunk: Buffer) => {
      if (unzip.destroyed) return;
      bytes += chunk.length;
      budget.usedBytes += chunk.length;
      chunks.push(chunk);
      if (bytes > maxBytes) fail(new BodyError(413, `the body is over ${maxBytes} bytes once it is decompressed`));
      else if (budget.usedBytes > budget.maxBytes)
        fail(new BodyError(503, `${budget.maxBytes} bytes of decompressed bodies are held already`));
    });
    unzip.once('error', fail);
    unzip.once('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes)));
    unzip.end(body);
  });
}

function tooLarge(bytes: number, maxBytes: number): BodyError {
  return new BodyError(413, `the body has ${bytes} bytes or more; at most ${maxBytes} are taken`);
}
