/**
 * Key text by slot, as UTF-8 in one growing buffer: a JavaScript string per key would cost more than the key's counts. Freed text
 * leaves a hole; the arena is packed anew when holes are more than half of it.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class TextArena {
  private bytes = new Uint8Array(1024);
  private used = 0;
  private holes = 0;
  private starts = new Uint32Array(64);
  private lengths = new Uint32Array(64);

  set(slot: number, text: string): void {
    if (slot >= this.starts.length) this.growSlots(slot + 1);
    this.room(text.length * 3);
    const { written } = encoder.encodeInto(text, this.bytes.subarray(this.used));
    this.starts[slot] = this.used;
    this.lengths[slot] = written;
    this.used += written;
  }

  get(slot: number): string {
    return decoder.decode(this.bytes.subarray(this.starts[slot], this.starts[slot] + this.lengths[slot]));
  }

  free(slot: number): void {
    this.holes += this.lengths[slot];
    this.lengths[slot] = 0;
  }

  /** Bytes held, slack included. */
  byteLength(): number {
    return this.bytes.byteLength + this.starts.byteLength + this.lengths.byteLength;
  }

  snapshot(out: SnapshotWriter): void {
    this.pack(this.bytes.length);
    out.array(this.bytes.subarray(0, this.used));
    out.array(this.starts);
    out.array(this.lengths);
  }

  restore(from: SnapshotReader): void {
    this.bytes = from.u8s();
    this.used = this.bytes.length;
    this.holes = 0;
    this.starts = from.u32s();
    this.lengths = from.u32s();
  }

  private room(bytes: number): void {
    if (this.used + bytes <= this.bytes.length) return;
    if (this.holes > this.used / 2) this.pack(this.bytes.length);
    if (this.used + bytes > this.bytes.length) this.pack(Math.max(this.bytes.length * 2, this.used + bytes));
  }

  private pack(capacity: number): void {
    const packed = new Uint8Array(capacity);
    let at = 0;
    for (let slot = 0; slot < this.starts.length; slot++) {
      const start = this.starts[slot];
      packed.set(this.bytes.subarray(start, start + this.lengths[slot]), at);
      this.starts[slot] = at;
      at += this.lengths[slot];
    }
    this.bytes = packed;
    this.used = at;
    this.holes = 0;
  }

  private growSlots(needed: number): void {
    const length = Math.max(needed, this.starts.length * 2);
    const starts = new Uint32Array(length);
    const lengths = new Uint32Array(length);
    starts.set(this.starts);
    lengths.set(this.lengths);
    this.starts = starts;
    this.lengths = lengths;
  }
}
