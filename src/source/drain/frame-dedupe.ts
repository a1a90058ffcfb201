/**
 * Which batches have come before. A sender that missed an answer sends the batch again under the same name, perhaps while the first is
 * still being written: then both wait for the one write.
 */
export class FrameDedupe {
  /** Batches forgotten before their time because there were too many. */
  evicted = 0;
  /** Durable batches and when they came, oldest first. */
  private readonly kept = new Map<string, number>();
  private readonly writing = new Map<string, { done: Promise<boolean>; settle: (durable: boolean) => void }>();
  private readonly windowMs: number;
  private readonly maxBatches: number;

  /** Remembers a batch for `windowMs`, and `maxBatches` (some 200 bytes each) at most. */
  constructor(windowMs: number, maxBatches: number) {
    this.windowMs = windowMs;
    this.maxBatches = maxBatches;
  }

  /** Undefined for a new batch, which the caller now writes and then tells by `settle`; else whether the first one became durable. */
  claim(batch: string, nowMs: number): Promise<boolean> | undefined {
    const at = this.kept.get(batch);
    if (at !== undefined && nowMs - at < this.windowMs) return Promise.resolve(true);
    const first = this.writing.get(batch);
    if (first !== undefined) return first.done;
    let settle: (durable: boolean) => void = () => {};
    const done = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    this.writing.set(batch, { done, settle });
    return undefined;
  }

  settle(batch: string, durable: boolean, nowMs: number): void {
    if (durable) this.remember(batch, nowMs);
    this.writing.get(batch)?.settle(durable);
    this.writing.delete(batch);
  }

  /** A batch known to be durable since `atMs`. */
  remember(batch: string, atMs: number): void {
    this.kept.delete(batch);
    this.kept.set(batch, atMs);
    for (const [oldest, since] of this.kept) {
      const expired = atMs - since >= this.windowMs;
      if (!expired && this.kept.size <= this.maxBatches) break;
      if (!expired) this.evicted++;
      this.kept.delete(oldest);
    }
  }

  get size(): number {
    return this.kept.size;
  }
}
