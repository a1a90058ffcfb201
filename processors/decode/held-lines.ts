import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/** How long after its last part a line is still waited for, in event time (Vector's figure). */
export const maxHoldMs = 30_000;

/** The first parts of a line that came in pieces. Bytes, not text: a split can cut a code point. */
export interface HeldLine {
  readonly key: string;
  readonly stream: string;
  /** Time of the first part, ms. */
  readonly timeMs: number;
  /** Time of the newest part, ms. */
  lastMs: number;
  parts: Buffer[];
  bytes: number;
}

/**
 * The lines that wait for their last part, one for each stream of a partition: the only state of a decoder. Bounded by `maxBytes` a line,
 * and by the partitions there are.
 */
export class HeldLines {
  private readonly byPartition = new Map<string, Map<string, HeldLine>>();
  private readonly maxBytes: number;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /**
   * Adds a part; the parts before it are flushed first where they and this one would pass the byte cap. `key` names the partition,
   * `bytes` are copied.
   */
  add(key: string, stream: string, timeMs: number, bytes: Buffer, flush: (line: HeldLine) => void): void {
    let streams = this.byPartition.get(key);
    if (streams === undefined) {
      streams = new Map();
      this.byPartition.set(key, streams);
    }
    let line = streams.get(stream);
    if (line !== undefined && line.bytes + bytes.length > this.maxBytes) {
      flush(line);
      line = undefined;
    }
    if (line === undefined) {
      line = { key, stream, timeMs, lastMs: timeMs, parts: [], bytes: 0 };
      streams.set(stream, line);
    }
    line.lastMs = Math.max(line.lastMs, timeMs);
    line.parts.push(Buffer.from(bytes));
    line.bytes += bytes.length;
  }

  /** Takes the parts that wait for a last one; undefined if there are none. */
  take(key: string, stream: string): HeldLine | undefined {
    const streams = this.byPartition.get(key);
    const line = streams?.get(stream);
    if (streams === undefined || line === undefined) return undefined;
    streams.delete(stream);
    if (streams.size === 0) this.byPartition.delete(key);
    return line;
  }

  /** Flushes the lines of a partition whose last part is missing: their newest part is more than `maxHoldMs` older than `nowMs`. */
  expire(key: string, nowMs: number, flush: (line: HeldLine) => void): void {
    if (this.byPartition.size === 0) return;
    const streams = this.byPartition.get(key);
    if (streams === undefined) return;
    for (const line of [...streams.values()]) {
      if (nowMs - line.lastMs <= maxHoldMs) continue;
      this.take(key, line.stream);
      flush(line);
    }
  }

  snapshot(out: SnapshotWriter): void {
    const lines = [...this.byPartition.values()].flatMap((streams) => [...streams.values()]);
    // Sorted: the same state gives the same bytes whatever order the partitions came in.
    lines.sort((a, b) => (a.key === b.key ? (a.stream < b.stream ? -1 : 1) : a.key < b.key ? -1 : 1));
    out.section('held-lines');
    out.u32(lines.length);
    for (const line of lines) {
      out.text(line.key);
      out.text(line.stream);
      out.f64(line.timeMs);
      out.f64(line.lastMs);
      out.array(Buffer.concat(line.parts));
    }
  }

  restore(from: SnapshotReader): void {
    from.section('held-lines');
    this.byPartition.clear();
    for (let left = from.u32(); left > 0; left--) {
      const key = from.text();
      const stream = from.text();
      const timeMs = from.f64();
      const lastMs = from.f64();
      const bytes = Buffer.from(from.u8s());
      const streams = this.byPartition.get(key) ?? new Map<string, HeldLine>();
      streams.set(stream, { key, stream, timeMs, lastMs, parts: [bytes], bytes: bytes.length });
      this.byPartition.set(key, streams);
    }
  }
}
