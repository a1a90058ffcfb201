/**
 * The binary form of state: named, length-prefixed sections of numbers, text and typed arrays, little-endian. Readers name the section
 * they expect, so a snapshot of other rules, or one cut short, is refused by name and never half loaded.
 */

export class SnapshotError extends Error {
  override name = 'SnapshotError';
}

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class SnapshotWriter {
  private bytes: Uint8Array<ArrayBuffer>;
  private view: DataView;
  private at = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Marks where a part begins; the reader's `section` must give the same name. */
  section(name: string): void {
    this.text(name);
  }

  u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  f64(value: number): void {
    this.room(8);
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  text(value: string): void {
    this.array(encoder.encode(value));
  }

  /** Writes the bytes of a typed array, its length first. */
  array(value: Numbers): void {
    this.u32(value.byteLength);
    this.room(value.byteLength);
    this.bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), this.at);
    this.at += value.byteLength;
  }

  /** Forgets what was written and keeps the memory. */
  reset(): void {
    this.at = 0;
  }

  /** A view of what was written; valid until the next write. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const wider = new Uint8Array(Math.max(this.bytes.length * 2, this.at + bytes));
    wider.set(this.bytes.subarray(0, this.at));
    this.bytes = wider;
    this.view = new DataView(wider.buffer);
  }
}

export class SnapshotReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Throws `SnapshotError` unless the section that comes next has this name. */
  section(name: string): void {
    const found = this.text();
    if (found !== name) throw new SnapshotError(`the snapshot holds "${found.slice(0, 80)}" where "${name}" was expected`);
  }

  u32(): number {
    this.need(4);
    const value = this.view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  f64(): number {
    this.need(8);
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  text(): string {
    return decoder.decode(this.raw());
  }

  u8s(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.raw());
  }

  u16s(): Uint16Array<ArrayBuffer> {
    return new Uint16Array(this.u8s().buffer);
  }

  u32s(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.u8s().buffer);
  }

  f64s(): Float64Array<ArrayBuffer> {
    return new Float64Array(this.u8s().buffer);
  }

  get finished(): boolean {
    return this.at === this.bytes.length;
  }

  private raw(): Uint8Array {
    const length = this.u32();
    this.need(length);
    const value = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return value;
  }

  private need(bytes: number): void {
    if (this.at + bytes > this.bytes.length) {
      throw new SnapshotError(`the snapshot ends after ${this.bytes.length} bytes, in the middle of a value at byte ${this.at}`);
    }
  }
}
