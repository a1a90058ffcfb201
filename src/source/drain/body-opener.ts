/** Opens compressed bodies within bounds: a small body may become all the memory there is. */
import { createUnzip, type Unzip } from 'node:zlib';
import { ByteBudget } from './byte-budget.ts';
import { BodyError } from './drain-body.ts';

/** Bodies that are opened at a time: each may grow to its limit before it is known to be too large. */
const openingAtOnce = 2;

/** Opens bodies of gzip or zlib (`deflate`), few at a time and within a budget of their own. */
export class BodyOpener {
  private readonly maxBytes: number;
  private readonly budget: ByteBudget;
  private opening = 0;
  private readonly waiting = new Set<() => void>();

  /** `maxBytes` of one body, opened; `maxTotalBytes` of all that are not given back yet. */
  constructor(maxBytes: number, maxTotalBytes: number) {
    this.maxBytes = maxBytes;
    this.budget = new ByteBudget(Math.max(maxTotalBytes, openingAtOnce * maxBytes));
  }

  /**
   * The body opened; its bytes stay counted until they are given back. Rejects with a `BodyError`: 413 over `maxBytes`, 503 when there was
   * no room, or no turn, within `forMs`. Any other error is that of zlib: the bytes are neither, or not all of one.
   */
  async open(body: Buffer, forMs: number): Promise<Buffer> {
    const deadlineMs = performance.now() + forMs;
    if (this.opening < openingAtOnce) this.opening++;
    else await this.turn(forMs);
    try {
      return await this.inflate(body, deadlineMs);
    } finally {
      const [next] = this.waiting;
      if (next === undefined) this.opening--;
      else next();
    }
  }

  giveBack(opened: Buffer): void {
    this.budget.giveBack(opened.length);
  }

  private turn(forMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        clearTimeout(timer);
        this.waiting.delete(next);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.delete(next);
        reject(new BodyError(503, 'too many compressed bodies are being opened already'));
      }, forMs);
      this.waiting.add(next);
    });
  }

  private inflate(body: Buffer, deadlineMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      // Finds out by itself which of the two it is.
      const unzip = createUnzip({ chunkSize: 64 * 1024 });
      const fail = (error: Error): void => {
        unzip.destroy();
        this.budget.giveBack(bytes);
        chunks.length = 0;
        reject(error);
      };
      unzip.on('data', (chunk: Buffer) => {
        if (unzip.destroyed) return;
        bytes += chunk.length;
        const fits = this.budget.take(chunk.length);
        chunks.push(chunk);
        if (bytes > this.maxBytes) fail(new BodyError(413, `the body is over ${this.maxBytes} bytes once it is decompressed`));
        else if (!fits) this.waitForRoom(unzip, bytes, deadlineMs, fail);
      });
      unzip.once('error', fail);
      unzip.once('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes)));
      unzip.end(body);
    });
  }

  private waitForRoom(unzip: Unzip, heldBytes: number, deadlineMs: number, fail: (error: Error) => void): void {
    unzip.pause();
    const settled = (room: boolean): void => {
      if (room) unzip.resume();
      else fail(new BodyError(503, 'too many bytes of decompressed bodies are held already'));
    };
    this.budget.wait({ heldBytes, moreBytes: 0, forMs: Math.max(0, deadlineMs - performance.now()), settled });
  }
}
