import type { RecordBatch } from '../../processors/record.ts';
import type { Positions, RecordIntake, Source } from '../../src/source/source.ts';

/** A source as quick as a source can be: the next batch is there as soon as the last one is taken. It never lets the event loop turn by itself. */
export class MillSource implements Source {
  readonly name = 'mill';
  private readonly next: () => RecordBatch | undefined | Promise<RecordBatch | undefined>;
  private stopping = false;

  /** @param next the next batch, all of one partition; undefined at the end of input. */
  constructor(next: () => RecordBatch | undefined | Promise<RecordBatch | undefined>) {
    this.next = next;
  }

  async run(_positions: Positions, into: RecordIntake): Promise<void> {
    for (let batch = await this.next(); batch !== undefined && !this.stopping; batch = await this.next()) await into.batch(batch);
  }

  async commit(): Promise<void> {}

  /** Samples are read from the batch at hand or not at all. */
  async read(): Promise<Uint8Array | null> {
    return null;
  }

  async stop(): Promise<void> {
    this.stopping = true;
  }

  health() {
    return { ok: true };
  }
}
