interface Kept {
  readonly batch: string;
  readonly atMs: number;
}

interface Waited {
  readonly done: Promise<boolean>;
  readonly settle: (durable: boolean) => void;
}

/**
 * Which batches have come before. A sender that missed an answer sends the batch again under the same name, perhaps while the first is
 * still being written: then both wait for the one write.
 */
export class FrameDedupe {
  /** Batches forgotten before their time because there were too many. */
  evicted = 0;
  /** Durable batches and when they came. */
  private readonly kept = new Map<string, Kept>();
  /**
   * The same, oldest first from `first` on; a batch that came again is there twice, and only the last one counts. Beside the map, because
   * finding the oldest entry of a map steps over all that were deleted before it: with 200,000 that is up to a millisecond, each time.
   */
  private order: Kept[] = [];
  private first = 0;
  /** Batches on their way; a promise only where somebody waits for one. */
  private readonly writing = new Map<string, Waited | undefined>();
  private readonly windowMs: number;
  private readonly maxBatches: number;

  /** Remembers a batch for `windowMs`, and `maxBatches` (some 200 bytes each) at most. */
  constructor(windowMs: number, maxBatches: number) {
    this.windowMs = windowMs;
    this.maxBatches = maxBatches;
  }

  /** Undefined for a new batch, which the caller now writes and then tells by `settle`; else whether the first one became durable. */
  claim(batch: string, nowMs: number): Promise<boolean> | undefined {
    const before = this.kept.get(batch);
    if (before !== undefined && nowMs - before.atMs < this.windowMs) return Promise.resolve(true);
    if (this.writing.has(batch)) return this.waited(batch).done;
    this.writing.set(batch, undefined);
    return undefined;
  }

  private waited(batch: string): Waited {
    const before = this.writing.get(batch);
    if (before !== undefined) return before;
    let settle: (durable: boolean) => void = () => {};
    const done = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const waited = { done, settle };
    this.writing.set(batch, waited);
    return waited;
  }

  settle(batch: string, durable: boolean, nowMs: number): void {
    if (durable) this.remember(batch, nowMs);
    this.writing.get(batch)?.settle(durable);
    this.writing.delete(batch);
  }

  /** A batch known to be durable since `atMs`. */
  remember(batch: string, atMs: number): void {
    const entry = { batch, atMs };
    this.kept.set(batch, entry);
    this.order.push(entry);
    for (; this.first < this.order.length; this.first++) {
      const oldest = this.order[this.first];
      if (this.kept.get(oldest.batch) !== oldest) continue;
      const expired = atMs - oldest.atMs >= this.windowMs;
      if (!expired && this.kept.size <= this.maxBatches) break;
      if (!expired) this.evicted++;
      this.kept.delete(oldest.batch);
    }
    if (this.first < 1024 || this.first < this.order.length / 2) return;
    this.order = this.order.slice(this.first);
    this.first = 0;
  }

  get size(): number {
    return this.kept.size;
  }
}
