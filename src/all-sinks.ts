/** Every sink of a run as one: what is written is durable in all of them, and one that is away is waited for with a bound. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Finding } from '../processors/detect/finding.ts';
import { DependencyError } from './errors.ts';
import { outageFinding } from './self-finding.ts';
import type { Sink } from './sink/sink.ts';

export interface AllSinksParts {
  readonly sinks: readonly Sink[];
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** How long a sink may be away before a write is given up. */
  readonly maxOutageMs: number;
}

const firstRetryMs = 500;
const longestRetryMs = 30_000;

export class AllSinks {
  /** Sinks that are away now, and why. */
  readonly outages = new Map<string, string>();
  /** Findings written, by `rule severity activity`. */
  readonly written = new Map<string, number>();
  private readonly parts: AllSinksParts;
  private stopping = false;

  constructor(parts: AllSinksParts) {
    this.parts = parts;
  }

  async open(): Promise<void> {
    for (const sink of this.parts.sinks) await sink.open();
  }

  /** Makes findings durable in every sink; while one is away it is tried again. Throws a DependencyError once that has lasted too long. */
  async write(findings: readonly Finding[]): Promise<void> {
    for (const sink of this.parts.sinks) await this.writeTo(sink, findings);
    for (const { rule, severity, activity } of findings) {
      const label = `${rule} ${severity} ${activity}`;
      this.written.set(label, (this.written.get(label) ?? 0) + 1);
    }
  }

  /** Tells where it can be told, once. */
  async tell(findings: readonly Finding[]): Promise<void> {
    if (findings.length === 0) return;
    for (const sink of this.parts.sinks) await sink.write(findings).catch(() => {});
  }

  /** From now on an outage is not sat out, neither here nor within a sink. */
  sitOutNoMore(): void {
    this.stopping = true;
    for (const sink of this.parts.sinks) sink.stopWaiting?.();
  }

  /** Where the findings of each sink that can tell end now, by its name. */
  async marks(): Promise<Record<string, string>> {
    const marks: Record<string, string> = {};
    for (const { name, sink } of this.marked) marks[name] = (await sink.mark?.()) ?? '';
    return marks;
  }

  /** Whether any of them can tell. */
  get hasMarks(): boolean {
    return this.marked.length > 0;
  }

  /** See `Sink.resume`. */
  async resume(marks: Readonly<Record<string, string>> | undefined): Promise<void> {
    for (const { name, sink } of this.marked) await sink.resume?.(marks?.[name]);
  }

  /** See `Sink.recall`. */
  async recall(sinceMs: number): Promise<void> {
    for (const sink of this.parts.sinks) await sink.recall?.(sinceMs);
  }

  /** Those of one name (the topic of two clusters) are told apart by their order. */
  private get marked(): { readonly name: string; readonly sink: Sink }[] {
    const { sinks } = this.parts;
    return sinks.flatMap((sink, index) => {
      if (sink.mark === undefined) return [];
      const before = sinks.slice(0, index).filter(({ name }) => name === sink.name).length;
      return [{ name: before === 0 ? sink.name : `${sink.name}#${before + 1}`, sink }];
    });
  }

  private async writeTo(sink: Sink, findings: readonly Finding[]): Promise<void> {
    const { clock, log, maxOutageMs } = this.parts;
    const sinceMs = clock();
    for (let waitMs = firstRetryMs; ; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
      try {
        const owed = this.outages.has(sink.name) ? [outageFinding(sink.name, this.outages.get(sink.name) ?? '', sinceMs, clock())] : [];
        await sink.write([...owed, ...findings]);
        if (this.outages.delete(sink.name)) log.info({ sink: sink.name }, 'sink is back');
        return;
      } catch (error) {
        if (!(error instanceof DependencyError)) throw error;
        this.outages.set(sink.name, error.message);
        const gone = clock() - sinceMs;
        if (this.stopping || gone >= maxOutageMs) {
          throw new DependencyError(`${sink.name} has been away for ${Math.round(gone / 1000)} s: ${error.message}`, { cause: error });
        }
        log.warn({ sink: sink.name, waitMs, error: error.message }, 'sink is away; sources wait');
        await sleep(waitMs);
      }
    }
  }
}
