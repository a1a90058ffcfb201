/** Tells when to look at files again: at a file event, and at every poll even where the system reports none (NFS, no watches left). */
import { type FSWatcher, watch } from 'node:fs';

export interface Wake {
  /** The poll was due. */
  readonly polled: boolean;
  /** A name came, went or changed. */
  readonly renamed: boolean;
}

export class FileWatch {
  private readonly watchers = new Map<string, FSWatcher>();
  private readonly useEvents: boolean;
  private readonly timer: NodeJS.Timeout;
  private woken = false;
  private polled = false;
  private renamed = false;
  private resolveWait: (() => void) | undefined;

  constructor(pollMs: number, useEvents: boolean) {
    this.useEvents = useEvents;
    this.timer = setInterval(() => {
      this.polled = true;
      this.wake();
    }, pollMs);
  }

  /** Listens to these folders too. */
  add(folders: Iterable<string>): void {
    if (!this.useEvents) return;
    for (const folder of folders) {
      if (this.watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, (event) => {
          if (event === 'rename') this.renamed = true;
          this.wake();
        });
        // Out of watches, or the folder went: the poll goes on without.
        watcher.on('error', () => {
          watcher.close();
          this.watchers.delete(folder);
        });
        this.watchers.set(folder, watcher);
      } catch {
        // The same: the poll sees what events do not tell.
      }
    }
  }

  wake(): void {
    this.woken = true;
    this.resolveWait?.();
  }

  /** Resolves at the next reason to look, at once if there was one since the last call. */
  async next(): Promise<Wake> {
    if (!this.woken) {
      await new Promise<void>((resolve) => {
        this.resolveWait = resolve;
      });
    }
    const wake = { polled: this.polled, renamed: this.renamed };
    this.resolveWait = undefined;
    this.woken = false;
    this.polled = false;
    this.renamed = false;
    return wake;
  }

  close(): void {
    clearInterval(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
  }
}
