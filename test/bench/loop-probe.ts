import { existsSync, openSync, readSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

export interface Blocks {
  /** Longest time between two turns of the event loop, ms. */
  readonly longestMs: number;
  /**
   * Processor time that the thread of the event loop used in the turn that used most, ms: what a busy machine cannot lengthen. Where that
   * is not Linux, all threads of the process together.
   */
  readonly longestCpuMs: number;
  /** 99.9 % of the turns were shorter, ms. */
  readonly p999Ms: number;
  /** By Node's own timer (`monitorEventLoopDelay`, resolution 1 ms), ms. */
  readonly timerDelayMs: number;
  readonly longestGcMs: number;
  readonly turns: number;
}

const schedstat = `/proc/self/task/${process.pid}/schedstat`;
const statFile = existsSync(schedstat) ? openSync(schedstat, 'r') : undefined;
const stat = Buffer.alloc(64);

/** Of the main thread, by the scheduler, to the nanosecond; reading it takes some microseconds. */
function cpuMs(): number {
  if (statFile === undefined) {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }
  return Number.parseInt(stat.toString('latin1', 0, readSync(statFile, stat, 0, stat.length, 0)), 10) / 1e6;
}

/** Looks at every turn of the event loop between `start` and `stop`. */
export class LoopProbe {
  private readonly turnsMs: number[] = [];
  private longestCpuMs = 0;
  private longestGcMs = 0;
  private running = false;
  private readonly delay: IntervalHistogram = monitorEventLoopDelay({ resolution: 1 });
  private readonly gc = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) this.longestGcMs = Math.max(this.longestGcMs, duration);
  });

  start(): void {
    this.running = true;
    this.delay.enable();
    this.gc.observe({ entryTypes: ['gc'] });
    let lastMs = performance.now();
    let lastCpu = cpuMs();
    const turn = () => {
      const nowMs = performance.now();
      const cpu = cpuMs();
      this.turnsMs.push(nowMs - lastMs);
      this.longestCpuMs = Math.max(this.longestCpuMs, cpu - lastCpu);
      lastMs = nowMs;
      lastCpu = cpu;
      if (this.running) setImmediate(turn);
    };
    setImmediate(turn);
  }

  async stop(): Promise<Blocks> {
    // The turn that is under way counts too; then the collector's entries come in.
    await new Promise((resolve) => setImmediate(resolve));
    this.running = false;
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.delay.disable();
    this.gc.disconnect();
    const sorted = this.turnsMs.sort((a, b) => a - b);
    return {
      longestMs: sorted[sorted.length - 1],
      longestCpuMs: this.longestCpuMs,
      p999Ms: sorted[Math.floor(0.999 * sorted.length)],
      timerDelayMs: this.delay.max / 1e6,
      longestGcMs: this.longestGcMs,
      turns: sorted.length,
    };
  }
}
