/** Where a drain's records become durable: its journal, or a topic. */
import { type Journal, JournalFullError, type JournalRecord } from './journal.ts';
import type { RecordSlices } from './record-slices.ts';

export type DrainRecords = readonly JournalRecord[] | RecordSlices;

/**
 * Duties: `keep` resolves by its deadline, with undefined once the records are durable, else with why they are not; `settled` is called
 * once, when it is certain whether they are or will be: at the deadline, or later for a write that cannot be taken back.
 */
export interface DrainKeeper {
  /** Records of one key stay together and in order; without a key they may be spread. */
  keep(records: DrainRecords, key: string | undefined, wait: KeepWait): Promise<string | undefined>;
  /** Why records cannot be kept at the moment. */
  readonly trouble: string | undefined;
}

export interface KeepWait {
  readonly forMs: number;
  /** The request has to wait: called at most once. */
  readonly held: () => void;
  readonly settled: (durable: boolean) => void;
}

/** Keeps records in a journal; waits for room in it. */
export class JournalKeeper implements DrainKeeper {
  private refusal: JournalFullError | undefined;
  private readonly journal: Journal;
  private readonly now: () => number;

  constructor(journal: Journal, now: () => number) {
    this.journal = journal;
    this.now = now;
  }

  get trouble(): string | undefined {
    return (this.journal.failure ?? this.refusal)?.message;
  }

  /** The journal has become smaller. */
  hasRoom(): void {
    this.refusal = undefined;
  }

  async keep(records: DrainRecords, _key: string | undefined, { forMs, held, settled }: KeepWait): Promise<string | undefined> {
    const problem = await this.append(records, this.now() + forMs, held);
    settled(problem === undefined);
    return problem;
  }

  private async append(records: DrainRecords, deadlineMs: number, held: () => void): Promise<string | undefined> {
    for (let first = true; ; first = false) {
      try {
        await this.journal.append(records);
        this.refusal = undefined;
        return undefined;
      } catch (error) {
        const { message } = error as Error;
        if (!(error instanceof JournalFullError)) return message;
        this.refusal = error;
        const leftMs = deadlineMs - this.now();
        if (leftMs <= 0) return message;
        if (first) held();
        await this.journal.room(leftMs);
      }
    }
  }
}
