/**
 * Key text by slot, as UTF-8 in growing buffers: a JavaScript string per key would cost more than the key's counts. Freed text leaves a
 * hole; a segment is packed anew when holes are more than a quarter of it. A segment holds the texts of 4,096 slots, so that no packing or
 * growth takes long, and because slots are handed out in order they do not all grow at once.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { widen } from '../typed-arrays.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const segmentBits = 12;
const segmentMask = (1 << segmentBits) - 1;

export class TextArena {
  private segments: Segment[] = [];

  set(slot: number, text: string): void {
    const segment = slot >>> segmentBits;
    while (segment >= this.segments.length) this.segments.push(new Segment());
    this.segments[segment].set(slot & segmentMask, text);
  }

  get(slot: number): string {
    return this.segments[slot >>> segmentBits].get(slot & segmentMask);
  }

  free(slot: number): void {
    this.segments[slot >>> segmentBits].free(slot & segmentMask);
  }

  /** Bytes held, slack included. */
  byteLength(): number {
    return this.segments.reduce((sum, segment) => sum + segment.byteLength(), 0);
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.segments.length);
    for (const segment of this.segments) segment.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    this.segments = Array.from({ length: from.u32() }, () => new Segment());
    for (const segment of this.segments) segment.restore(from);
  }
}

/** The texts of 4,096 slots. */
class Segment {
  private bytes = new Uint8Array(0);
  private used = 0;
  private holes = 0;
  private starts = new Uint32Array(0);
  private lengths = new Uint16Array(0);

  set(index: number, text: string): void {
    if (index >= this.starts.length) this.growIndex(index + 1);
    this.room(text.length * 3);
    const written = this.writeAscii(text) ? text.length : encoder.encodeInto(text, this.bytes.subarray(this.used)).written;
    this.starts[index] = this.used;
    this.lengths[index] = written;
    this.used += written;
  }

  /** Nearly every key is ASCII, and the encoder's call costs more than its work. False leaves nothing that counts. */
  private writeAscii(text: string): boolean {
    const { bytes, used } = this;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return false;
      bytes[used + i] = code;
    }
    return true;
  }

  get(index: number): string {
    return decoder.decode(this.bytes.subarray(this.starts[index], this.starts[index] + this.lengths[index]));
  }

  free(index: number): void {
    this.holes += this.lengths[index];
    this.lengths[index] = 0;
  }

  byteLength(): number {
    return this.bytes.byteLength + this.starts.byteLength + this.lengths.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    out.u32(this.bytes.length);
    out.u32(this.holes);
    out.array(this.bytes.subarray(0, this.used));
    out.array(this.starts);
    out.array(this.lengths);
  }

  restore(from: SnapshotReader): void {
    const capacity = from.u32();
    this.holes = from.u32();
    const used = from.u8s();
    this.used = used.length;
    this.bytes = widen(used, new Uint8Array(capacity));
    this.starts = from.u32s();
    this.lengths = from.u16s();
  }

  private room(bytes: number): void {
    if (this.used + bytes <= this.bytes.length) return;
    if (this.holes > this.used / 4) this.pack(this.bytes.length);
    if (this.used + bytes > this.bytes.length) this.pack(Math.max(256, Math.floor(this.bytes.length * 1.25), this.used + bytes));
  }

  private pack(capacity: number): void {
    if (this.holes === 0) {
      this.bytes = widen(this.bytes.subarray(0, this.used), new Uint8Array(capacity));
      return;
    }
    const packed = new Uint8Array(capacity);
    let at = 0;
    for (let index = 0; index < this.starts.length; index++) {
      const start = this.starts[index];
      const end = start + this.lengths[index];
      this.starts[index] = at;
      for (let from = start; from < end; from++) packed[at++] = this.bytes[from];
    }
    this.bytes = packed;
    this.used = at;
    this.holes = 0;
  }

  private growIndex(needed: number): void {
    const length = Math.max(needed, Math.floor(this.starts.length * 1.25));
    const starts = new Uint32Array(length);
    const lengths = new Uint16Array(length);
    starts.set(this.starts);
    lengths.set(this.lengths);
    this.starts = starts;
    this.lengths = lengths;
  }
}
