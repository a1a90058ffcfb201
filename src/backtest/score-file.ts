/** `--scores F`: one NDJSON row per evaluated window and key. Written in large pieces, synchronously: a backtest has nobody else to serve. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Score } from '../../processors/detect/finding.ts';

const pieceChars = 1 << 20;

export class ScoreFile {
  rows = 0;
  private readonly descriptor: number;
  private pending: string[] = [];
  private pendingChars = 0;

  /** @param path a file, or `-` for standard output. */
  constructor(path: string) {
    this.descriptor = path === '-' ? 1 : openSync(path, 'w');
  }

  readonly write = (score: Score): void => {
    const line = JSON.stringify(score);
    this.rows++;
    this.pending.push(line);
    this.pendingChars += line.length;
    if (this.pendingChars >= pieceChars) this.flush();
  };

  close(): void {
    this.flush();
    if (this.descriptor !== 1) closeSync(this.descriptor);
  }

  private flush(): void {
    if (this.pending.length === 0) return;
    writeSync(this.descriptor, `${this.pending.join('\n')}\n`);
    this.pending = [];
    this.pendingChars = 0;
  }
}
