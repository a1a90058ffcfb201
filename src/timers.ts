/** What is done again and again while a process runs. */
export class Timers {
  private readonly running: NodeJS.Timeout[] = [];

  /** From now on; what takes longer than `ms` is not asked for twice. Whoever is asked tells of his failures himself. */
  every(ms: number, task: () => Promise<void>): void {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      task()
        .catch(() => {})
        .finally(() => {
          busy = false;
        });
    }, ms);
    this.running.push(timer);
  }

  clear(): void {
    for (const timer of this.running) clearInterval(timer);
  }
}
