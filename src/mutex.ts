/** Runs tasks one at a time, in the order they came. */
export class Mutex {
  private last: Promise<unknown> = Promise.resolve();

  /** Resolves or rejects as the task does; a task that failed does not keep the next from running. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const mine = this.last.then(task, task);
    this.last = mine.catch(() => {});
    return mine;
  }
}
