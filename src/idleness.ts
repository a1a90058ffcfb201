/** Which partitions have been silent, by the wall clock, for long enough that the watermark may pass them by. */
export class Idleness {
  private readonly lastSeenMs = new Map<string, number>();
  private readonly idleMs: number;

  constructor(idleMs: number) {
    this.idleMs = idleMs;
  }

  seen(partition: string, nowMs: number): void {
    this.lastSeenMs.set(partition, nowMs);
  }

  /** Begins to count for a partition nothing is known of. */
  noted(partition: string, nowMs: number): void {
    if (!this.lastSeenMs.has(partition)) this.lastSeenMs.set(partition, nowMs);
  }

  /** Counts from here for these: until now they could not be heard. */
  countAnew(nowMs: number, which: (partition: string) => boolean): void {
    for (const partition of this.lastSeenMs.keys()) if (which(partition)) this.lastSeenMs.set(partition, nowMs);
  }

  forget(partition: string): void {
    this.lastSeenMs.delete(partition);
  }

  idle(nowMs: number): string[] {
    return [...this.lastSeenMs].filter(([, seenMs]) => nowMs - seenMs >= this.idleMs).map(([partition]) => partition);
  }
}
