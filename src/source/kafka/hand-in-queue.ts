/** Records waiting for the engine: handed in one batch at a time, in the order they came; a partition's can be taken out again. */
import { partitionKey, type RecordBatch } from '../../../processors/record.ts';

export interface WaitingBatch {
  readonly batch: RecordBatch;
  readonly bytes: number;
}

export class HandInQueue {
  readonly #handIn: (batch: RecordBatch) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #batches: WaitingBatch[] = [];
  #current: Promise<void> | undefined;
  #inHand: Promise<void> | undefined;
  #closed = false;
  #held = false;
  #waiting: (() => void)[] = [];
  /** Records that wait, without those of the batch in hand. */
  records = 0;
  /** Theirs. */
  bytes = 0;

  /** `failed`: what `handIn` rejected with; nothing is handed in after that. */
  constructor(handIn: (batch: RecordBatch) => Promise<void>, failed: (error: unknown) => void) {
    this.#handIn = handIn;
    this.#failed = failed;
  }

  get idle(): boolean {
    return this.#current === undefined && this.#batches.length === 0;
  }

  add(waiting: WaitingBatch): void {
    if (this.#closed) return;
    this.#batches.push(waiting);
    this.#count(waiting, 1);
    if (!this.#held) this.#current ??= this.#work();
  }

  /** What is added waits until `release`. Resolves when the batch in hand is done. */
  async hold(): Promise<void> {
    this.#held = true;
    await this.#inHand;
  }

  release(): void {
    this.#held = false;
    if (this.#batches.length > 0 && !this.#closed) this.#current ??= this.#work();
  }

  /** Takes out what waits of these partitions; resolves when the batch in hand is done, whichever it is of. */
  async drop(keys: ReadonlySet<string>): Promise<void> {
    this.#batches = this.#batches.filter((waiting) => {
      const { topic, partition } = waiting.batch;
      const stays = !keys.has(partitionKey(topic, partition));
      if (!stays) this.#count(waiting, -1);
      return stays;
    });
    await this.#inHand;
  }

  /** Hands in nothing more. Resolves when the batch in hand is done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#batches = [];
    this.records = 0;
    this.bytes = 0;
    await this.#inHand;
  }

  /** Resolves when nothing waits and nothing is in hand, or after `withinMs`, or at `nudge`. */
  settled(withinMs: number): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.nudge(), withinMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Ends every `settled` that waits. */
  nudge(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #count({ batch, bytes }: WaitingBatch, sign: 1 | -1): void {
    this.records += sign * batch.records.length;
    this.bytes += sign * bytes;
  }

  async #work(): Promise<void> {
    try {
      while (!this.#held) {
        const waiting = this.#batches.shift();
        if (waiting === undefined) break;
        this.#count(waiting, -1);
        const handed = this.#handIn(waiting.batch);
        this.#inHand = handed.catch(() => undefined);
        await handed;
      }
    } catch (error) {
      this.#closed = true;
      this.#batches = [];
      this.#failed(error);
    } finally {
      this.#current = undefined;
      this.#inHand = undefined;
      this.nudge();
    }
  }
}
