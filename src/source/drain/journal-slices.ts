/**
 * An entry of records that lie in one piece of memory: their bytes are copied at once, with what a sender put between them.
 *
 * Payload after its head: timestampMs f64 | header sets u16 | header sets (bytes u32, JSON; no bytes = none) | piece bytes u32 | piece |
 * start and end in the piece of each record, u32 | records of other header sets than the first u32 | record and header set of each, u32.
 */
import type { PreparedEntry, StoredRecord } from './journal-record.ts';
import type { RecordSlices } from './record-slices.ts';

export class SlicesEntry implements PreparedEntry {
  readonly count: number;
  readonly payloadBytes: number;
  private readonly slices: RecordSlices;
  private readonly piece: Buffer;
  private readonly pieceStart: number;
  /** As JSON; empty: none. */
  private readonly headerSets: readonly string[];

  constructor(slices: RecordSlices) {
    const { bounds, headerSets, otherSets } = slices;
    this.slices = slices;
    this.count = slices.length;
    // They come in order, so the first begins and the last ends the piece.
    this.pieceStart = bounds[0];
    this.piece = slices.bytes.subarray(bounds[0], bounds[bounds.length - 1]);
    this.headerSets = headerSets.map((set) => (set === undefined ? '' : JSON.stringify(set)));
    const setBytes = this.headerSets.reduce((sum, set) => sum + 4 + Buffer.byteLength(set), 0);
    this.payloadBytes = 8 + 2 + setBytes + 4 + this.piece.length + 4 * bounds.length + 4 + 8 * otherSets.size;
  }

  writePayload(out: Buffer, at: number): number {
    const { bounds, otherSets, timestampMs } = this.slices;
    let i = out.writeDoubleLE(timestampMs, at);
    i = out.writeUInt16LE(this.headerSets.length, i);
    for (const set of this.headerSets) {
      const bytes = out.write(set, i + 4);
      i = out.writeUInt32LE(bytes, i) + bytes;
    }
    i = out.writeUInt32LE(this.piece.length, i);
    out.set(this.piece, i);
    i += this.piece.length;
    // By hand: there are two for each record, and `writeUInt32LE` looks at its arguments each time.
    for (let b = 0; b < bounds.length; b++) {
      const bound = bounds[b] - this.pieceStart;
      out[i++] = bound;
      out[i++] = bound >>> 8;
      out[i++] = bound >>> 16;
      out[i++] = bound >>> 24;
    }
    i = out.writeUInt32LE(otherSets.size, i);
    for (const [record, set] of otherSets) i = out.writeUInt32LE(set, out.writeUInt32LE(record, i));
    return i;
  }
}

/** The records whose payload, after its head, is at `at`; values are views of `bytes`. */
export function readSlices(bytes: Buffer, at: number, first: number, count: number, into: StoredRecord[], fromSequence: number): void {
  const timestampMs = bytes.readDoubleLE(at);
  const setCount = bytes.readUInt16LE(at + 8);
  const sets: (Record<string, string> | undefined)[] = [];
  let i = at + 10;
  for (let s = 0; s < setCount; s++) {
    const length = bytes.readUInt32LE(i);
    sets.push(length === 0 ? undefined : JSON.parse(bytes.toString('utf8', i + 4, i + 4 + length)));
    i += 4 + length;
  }
  const piece = i + 4;
  i = piece + bytes.readUInt32LE(i);
  const others = i + 8 * count;
  const otherSets = new Map<number, number>();
  for (let o = bytes.readUInt32LE(others), p = others + 4; o > 0; o--, p += 8)
    otherSets.set(bytes.readUInt32LE(p), bytes.readUInt32LE(p + 4));
  for (let r = Math.max(0, fromSequence - first); r < count; r++) {
    const start = piece + bytes.readUInt32LE(i + 8 * r);
    const end = piece + bytes.readUInt32LE(i + 8 * r + 4);
    const headers = otherSets.size === 0 ? sets[0] : sets[otherSets.get(r) ?? 0];
    into.push({ value: bytes.subarray(start, end), timestampMs, headers, offset: first + r });
  }
}
