/**
 * Where findings go. `write` resolves when they are durable there (acknowledged by the broker, written to the file); it keeps their
 * order, retries an outage with a bound, and then rejects with a `DependencyError`. A repeat of a finding must be harmless.
 */
import type { Finding } from '../../processors/detect/finding.ts';

export interface Sink {
  /** As the user knows it: `kafka:findings`, `file:./data/findings.jsonl`. */
  readonly name: string;
  open(): Promise<void>;
  write(findings: readonly Finding[]): Promise<void>;
  /** Where its findings end now, everything written so far included; kept in the checkpoint. Left out by a sink that cannot tell. */
  mark?(): Promise<string>;
  /**
   * After `open`, before the first `write`: the process went on from a checkpoint with this mark (undefined: from none). What is there past
   * it, written before a crash, is not written again when it comes again.
   */
  resume?(mark: string | undefined): Promise<void>;
  /**
   * Between two writes: the windows since then are made again. What was written at or after this time, by whomever, is not written again
   * when it comes again. Left out by a sink that cannot tell.
   */
  recall?(sinceMs: number): Promise<void>;
  /** The process is stopping: what fails from now on rejects, and no outage is sat out any longer. */
  stopWaiting?(): void;
  close(): Promise<void>;
  health(): SinkHealth;
}

export interface SinkHealth {
  readonly ok: boolean;
  readonly reason?: string;
  readonly retries: number;
  /** Not ok, but what cannot go out is kept until it can: nothing is lost, and nobody waits for it. */
  readonly kept?: boolean;
  /** Findings that were kept and have not gone out yet. */
  readonly waiting?: number;
  /** Findings that will never be there, by reason. */
  readonly dropped?: Readonly<Record<string, number>>;
}
