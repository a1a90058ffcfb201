/** `--scores F`: one NDJSON row per evaluated window and key. Written in large pieces, synchronously: a backtest has nobody else to serve. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Score } from '../../processors/detect/finding.ts';
import { DependencyError } from '../errors.ts';
import { OutputClosedError } from '../sink/ndjson.ts';

const pieceChars = 1 << 20;
/** How long to sleep when a pipe that does not block is full. */
const fullPipeMs = 5;

export class ScoreFile {
  rows = 0;
  private readonly name: string;
  private readonly descriptor: number;
  private pending: string[] = [];
  private pendingChars = 0;

  /** @param path a file, or `-` for standard output. Throws a `DependencyError` if it cannot be written. */
  constructor(path: string) {
    this.name = path === '-' ? 'stdout' : path;
    try {
      this.descriptor = path === '-' ? 1 : openSync(path, 'w');
    } catch (error) {
      throw this.failure(error);
    }
  }

  readonly write = (score: Score): void => {
    const line = JSON.stringify(score);
    this.rows++;
    this.pending.push(line);
    this.pendingChars += line.length;
    if (this.pendingChars >= pieceChars) this.flush();
  };

  /** Throws an `OutputClosedError` if nobody reads standard output any more, a `DependencyError` if the rest cannot be written. */
  close(): void {
    try {
      this.flush();
    } finally {
      if (this.descriptor !== 1) closeSync(this.descriptor);
    }
  }

  private flush(): void {
    if (this.pending.length === 0) return;
    const bytes = Buffer.from(`${this.pending.join('\n')}\n`);
    this.pending = [];
    this.pendingChars = 0;
    for (let written = 0; written < bytes.length; ) written += this.writeSome(bytes, written);
  }

  private writeSome(bytes: Uint8Array, from: number): number {
    try {
      return writeSync(this.descriptor, bytes, from);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw this.failure(error);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fullPipeMs);
      return 0;
    }
  }

  private failure(cause: unknown): Error {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EPIPE') return new OutputClosedError('stdout was closed by its reader', { cause });
    return new DependencyError(`scores cannot be written to ${this.name}: ${message}; name another place with --scores`, { cause });
  }
}
