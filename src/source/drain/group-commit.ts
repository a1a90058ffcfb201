/** Appends that wait for the disk, written in groups so that they share one sync. */
import { entryBytes } from './journal-entry.ts';
import type { PreparedEntry } from './journal-record.ts';

/** Appends written with one sync; what waits beyond it takes the next. */
const maxGroupBytes = 8 * 1024 ** 2;

interface Pending {
  readonly entry: PreparedEntry;
  readonly resolve: (firstSequence: number) => void;
  readonly reject: (error: Error) => void;
}

export class GroupCommit {
  /** Bytes of entries that are not on disk yet. */
  pendingBytes = 0;
  private pending: Pending[] = [];
  private working: Promise<void> | undefined;
  private readonly write: (entries: readonly PreparedEntry[]) => Promise<readonly number[]>;

  /** `write` makes entries durable, all or none, and gives the first sequence number of each; it is never called twice at a time. */
  constructor(write: (entries: readonly PreparedEntry[]) => Promise<readonly number[]>) {
    this.write = write;
  }

  /** Resolves with the entry's first sequence number once it is durable; rejects with what `write` rejected with. */
  add(entry: PreparedEntry): Promise<number> {
    return new Promise((resolve, reject) => {
      this.pending.push({ entry, resolve, reject });
      this.pendingBytes += entryBytes(entry);
      this.working ??= this.work();
    });
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.working !== undefined) await this.working;
  }

  /** Runs a task between two groups. */
  async between(task: () => Promise<void>): Promise<void> {
    await this.idle();
    const done = task();
    this.working = done.catch(() => {}).then(() => this.work());
    await done;
  }

  private async work(): Promise<void> {
    // When what came in this turn of the loop has been read: all of its requests share the first sync too.
    await new Promise(setImmediate);
    while (this.pending.length > 0) {
      const group = this.take();
      try {
        const firsts = await this.write(group.map((each) => each.entry));
        for (let i = 0; i < group.length; i++) group[i].resolve(firsts[i]);
      } catch (error) {
        for (const each of group) each.reject(error as Error);
      }
      for (const each of group) this.pendingBytes -= entryBytes(each.entry);
    }
    this.working = undefined;
  }

  private take(): Pending[] {
    let bytes = 0;
    let count = 0;
    while (count < this.pending.length && (count === 0 || bytes + entryBytes(this.pending[count].entry) <= maxGroupBytes)) {
      bytes += entryBytes(this.pending[count].entry);
      count++;
    }
    return this.pending.splice(0, count);
  }
}
