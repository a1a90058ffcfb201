import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/** How long after its last part a line is still waited for (Vector's figure). */
export const maxHoldMs = 30_000;
/** Lines of one partition that wait at once: containers whose newest line is being written in parts. */
const maxLines = 256;
/** Bytes of one partition's parts, in lines of the largest size. */
const maxWholeLines = 4;

/** The first parts of a line that came in pieces. Bytes, not text: a split can cut a code point. */
export interface HeldLine {
  readonly key: string;
  /** Which of its partition: what the decoder calls it. */
  readonly id: string;
  /** Time of the first part, ms. */
  readonly timeMs: number;
  /** Time of the newest part, ms. */
  lastMs: number;
  parts: Buffer[];
  bytes: number;
}

type Flush = (line: HeldLine) => void;

interface Held {
  /** In the order of their first parts. */
  readonly lines: Map<string, HeldLine>;
  bytes: number;
}

/**
 * The lines that wait for their last part: the only state of a decoder. Bounded in each partition by the lines and the bytes of them all;
 * past that the oldest goes. What happens depends on the order within the partition alone.
 */
export class HeldLines {
  private readonly byPartition = new Map<string, Held>();
  private readonly maxBytes: number;

  /** `maxBytes` of one line. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /**
   * Adds a part; the parts before it are flushed first where they and this one would pass the byte cap. `key` names the partition
   * (and whose lines of it, where two hold some), `bytes` are copied.
   */
  add(key: string, id: string, timeMs: number, bytes: Buffer, flush: Flush): void {
    const before = this.byPartition.get(key)?.lines.get(id);
    if (before !== undefined && before.bytes + bytes.length > this.maxBytes) this.flush(before, flush);
    const held = this.byPartition.get(key) ?? { lines: new Map<string, HeldLine>(), bytes: 0 };
    this.byPartition.set(key, held);
    let line = held.lines.get(id);
    if (line === undefined) {
      line = { key, id, timeMs, lastMs: timeMs, parts: [], bytes: 0 };
      held.lines.set(id, line);
    }
    line.lastMs = Math.max(line.lastMs, timeMs);
    line.parts.push(Buffer.from(bytes));
    line.bytes += bytes.length;
    held.bytes += bytes.length;
    while (held.lines.size > maxLines || (held.lines.size > 1 && held.bytes > maxWholeLines * this.maxBytes)) {
      const [oldest] = held.lines.values();
      this.flush(oldest, flush);
    }
  }

  get isEmpty(): boolean {
    return this.byPartition.size === 0;
  }

  /** The lines of a partition that wait; undefined if there are none. */
  of(key: string): ReadonlyMap<string, HeldLine> | undefined {
    return this.byPartition.size === 0 ? undefined : this.byPartition.get(key)?.lines;
  }

  /** Takes the parts that wait for a last one; undefined if there are none. */
  take(key: string, id: string): HeldLine | undefined {
    const held = this.byPartition.get(key);
    const line = held?.lines.get(id);
    if (held === undefined || line === undefined) return undefined;
    held.lines.delete(id);
    held.bytes -= line.bytes;
    if (held.lines.size === 0) this.byPartition.delete(key);
    return line;
  }

  /** Flushes the lines of a partition whose last part is missing: their newest part is more than `maxHoldMs` older than `nowMs`. */
  expire(key: string, nowMs: number, flush: Flush): void {
    const lines = this.of(key);
    if (lines === undefined) return;
    for (const line of [...lines.values()]) if (nowMs - line.lastMs > maxHoldMs) this.flush(line, flush);
  }

  snapshot(out: SnapshotWriter): void {
    // Sorted: the same state gives the same bytes whatever order the partitions came in. Within one the order is state.
    const partitions = [...this.byPartition].sort(([a], [b]) => (a < b ? -1 : 1));
    const lines = partitions.flatMap(([, held]) => [...held.lines.values()]);
    out.section('held-lines');
    out.u32(lines.length);
    for (const line of lines) {
      out.text(line.key);
      out.text(line.id);
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
      const id = from.text();
      const timeMs = from.f64();
      const lastMs = from.f64();
      const bytes = Buffer.from(from.u8s());
      const held = this.byPartition.get(key) ?? { lines: new Map<string, HeldLine>(), bytes: 0 };
      held.lines.set(id, { key, id, timeMs, lastMs, parts: [bytes], bytes: bytes.length });
      held.bytes += bytes.length;
      this.byPartition.set(key, held);
    }
  }

  private flush(line: HeldLine, flush: Flush): void {
    this.take(line.key, line.id);
    flush(line);
  }
}
