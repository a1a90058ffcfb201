/** One line on standard error that says how far a run is; only where that is a terminal. */
import type { WriteStream } from 'node:tty';
import type { Pipeline } from '../processors/pipeline.ts';

const everyMs = 500;

export class Progress {
  private timer: NodeJS.Timeout | undefined;
  private readonly out: WriteStream;

  constructor(out: WriteStream) {
    this.out = out;
  }

  start(pipeline: Pipeline): void {
    if (!this.out.isTTY) return;
    const startMs = performance.now();
    this.timer = setInterval(() => {
      const { records, findings } = pipeline.counters;
      const seconds = (performance.now() - startMs) / 1000;
      const at = Number.isFinite(pipeline.watermark.highMs) ? new Date(pipeline.watermark.highMs).toISOString().slice(0, 19) : '-';
      this.out.write(`\r${records} records  ${Math.round(records / seconds)}/s  event time ${at}  ${findings} findings\u001b[K`);
    }, everyMs);
  }

  stop(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.out.write('\r\u001b[K');
  }
}
