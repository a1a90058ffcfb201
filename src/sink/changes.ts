/** Somebody waits for a condition, and whoever changes what it is made of says so. */
export class Changes {
  private readonly waiters = new Set<() => void>();

  /** Something has changed. */
  tell(): void {
    for (const look of [...this.waiters]) look();
  }

  /** Resolves true once `done`, looked at whenever something changed (and every `everyMs`), or false after `forMs`. */
  until(done: () => boolean, forMs?: number, everyMs?: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (found: boolean): void => {
        clearTimeout(timer);
        clearInterval(often);
        this.waiters.delete(look);
        resolve(found);
      };
      const look = (): void => {
        if (done()) end(true);
      };
      const timer = forMs === undefined ? undefined : setTimeout(() => end(false), forMs);
      const often = everyMs === undefined ? undefined : setInterval(look, everyMs);
      this.waiters.add(look);
      look();
    });
  }
}
