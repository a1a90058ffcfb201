/**
 * Event time per partition, and of the whole pipeline.
 *
 * A partition's newest event time only grows; whether an event is late is judged against its own partition alone, so it is a function
 * of partition order and nothing else. The pipeline's time (`lowMs`) is the smallest newest time over the partitions that are not idle:
 * no event before it can come that is not late. It never goes back.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';

/** The clock's word on a quiet stream: which partitions were silent for long enough to be passed by. */
export interface Tick {
  readonly nowMs: number;
  /** Partition keys, `topic/partition`. */
  readonly idle: readonly string[];
}

export class Watermark {
  /** Event time up to which input is complete, lateness not yet taken off; -Infinity before anything is known. */
  lowMs = Number.NEGATIVE_INFINITY;
  private readonly indexes = new Map<string, number>();
  private readonly names: string[] = [];
  private newestMs = new Float64Array(16);
  private firstMs = new Float64Array(16);
  /** 1 = waits for it; 0 = idle or ended: passed by. */
  private waitedFor = new Uint8Array(16);

  /** The index of a partition; one that is new is waited for from now on. */
  partition(key: string): number {
    const known = this.indexes.get(key);
    if (known !== undefined) return known;
    const index = this.names.length;
    if (index === this.newestMs.length) this.grow();
    this.indexes.set(key, index);
    this.names.push(key);
    this.newestMs[index] = Number.NEGATIVE_INFINITY;
    this.firstMs[index] = Number.POSITIVE_INFINITY;
    this.waitedFor[index] = 1;
    return index;
  }

  /** Waits for a partition (again): it was found, or may have been written to while nobody read it. */
  waitFor(partition: number): void {
    this.waitedFor[partition] = 1;
  }

  name(partition: number): string {
    return this.names[partition];
  }

  /** Newest event time seen in this partition, -Infinity before its first event. */
  newest(partition: number): number {
    return this.newestMs[partition];
  }

  /** Time of the first event seen in this partition, +Infinity before it. */
  first(partition: number): number {
    return this.firstMs[partition];
  }

  observe(partition: number, timeMs: number): void {
    this.waitedFor[partition] = 1;
    const before = this.newestMs[partition];
    if (before === Number.NEGATIVE_INFINITY) this.firstMs[partition] = timeMs;
    if (timeMs <= before) return;
    this.newestMs[partition] = timeMs;
    if (before <= this.lowMs || this.lowMs === Number.NEGATIVE_INFINITY) this.advance();
  }

  /** The partition has no more records: nobody waits for it. */
  end(partition: number): void {
    this.waitedFor[partition] = 0;
    this.advance();
  }

  /** Passes idle partitions by; when all are idle, time follows the clock. */
  tick(tick: Tick): void {
    for (const key of tick.idle) this.waitedFor[this.partition(key)] = 0;
    this.advance();
    if (!this.waitedFor.subarray(0, this.names.length).includes(1)) this.lowMs = Math.max(this.lowMs, tick.nowMs);
  }

  /** Event time of the first event over all partitions: where the watch for silence begins. +Infinity before any. */
  get startMs(): number {
    let start = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.names.length; i++) start = Math.min(start, this.firstMs[i]);
    return start;
  }

  /** Newest event time over all partitions: how far a finished input reaches. */
  get highMs(): number {
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.names.length; i++) high = Math.max(high, this.newestMs[i]);
    return high;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('watermark');
    out.f64(this.lowMs);
    out.u32(this.names.length);
    for (let i = 0; i < this.names.length; i++) {
      out.text(this.names[i]);
      out.f64(this.newestMs[i]);
      out.f64(this.firstMs[i]);
      out.u32(this.waitedFor[i]);
    }
  }

  restore(from: SnapshotReader): void {
    from.section('watermark');
    const lowMs = from.f64();
    const count = from.u32();
    for (let i = 0; i < count; i++) {
      const index = this.partition(from.text());
      this.newestMs[index] = from.f64();
      this.firstMs[index] = from.f64();
      this.waitedFor[index] = from.u32();
    }
    this.lowMs = lowMs;
  }

  private advance(): void {
    let low = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.names.length; i++) {
      if (this.waitedFor[i] === 1 && this.newestMs[i] < low) low = this.newestMs[i];
    }
    if (low !== Number.POSITIVE_INFINITY && low > this.lowMs) this.lowMs = low;
  }

  private grow(): void {
    const length = this.newestMs.length * 2;
    this.newestMs = widen(this.newestMs, new Float64Array(length));
    this.firstMs = widen(this.firstMs, new Float64Array(length));
    this.waitedFor = widen(this.waitedFor, new Uint8Array(length));
  }
}
