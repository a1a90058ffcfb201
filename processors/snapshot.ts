/**
 * The binary form of state: named, length-prefixed sections of numbers, text and typed arrays, little-endian. Readers name the section
 * they expect, so a snapshot of other rules, or one cut short, is refused by name and never half loaded.
 */

/** The bytes of a state, in pieces: where one ends and the next begins means nothing. Nobody changes them. */
export type Snapshot = readonly Uint8Array[];

export class SnapshotError extends Error {
  override name = 'SnapshotError';
}

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Stands for a length that does not fit; the length follows as f64. */
const longLength = 0xffffffff;

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
    this.copied(encoder.encode(value));
  }

  /** Writes the bytes of a typed array, its length first. */
  array(value: Numbers): void {
    this.copied(value);
  }

  /** Calls `write` with each value in turn; it writes to this writer. For lists that may be long: see `PartsWriter`. */
  each<T>(values: Iterable<T>, write: (value: T) => void): void {
    for (const value of values) write(value);
  }

  /** Whole numbers below 2^32, to be read as `u32s`. */
  u32s(values: readonly number[] | ReadonlySet<number>): void {
    this.length(4 * ('size' in values ? values.size : values.length));
    this.each(values, (value) => this.u32(value));
  }

  /** Keys and values in turn, to be read as `f64s`. */
  f64Pairs(values: ReadonlyMap<number, number>): void {
    this.length(16 * values.size);
    this.each(values, ([key, value]) => {
      this.f64(key);
      this.f64(value);
    });
  }

  /** What `write` writes, its length first: `SnapshotReader.nested` reads it. */
  nested(write: (out: SnapshotWriter) => void): void {
    const inner = new SnapshotWriter();
    write(inner);
    this.copied(inner.done());
  }

  /** Forgets what was written and keeps the memory. */
  reset(): void {
    this.at = 0;
  }

  /** A view of what was written; valid until the next write. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  /** The length of what follows, in bytes. */
  protected length(bytes: number): void {
    this.u32(Math.min(bytes, longLength));
    if (bytes >= longLength) this.f64(bytes);
  }

  private copied(value: Numbers): void {
    this.length(value.byteLength);
    this.room(value.byteLength);
    this.bytes.set(bytesOf(value), this.at);
    this.at += value.byteLength;
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
  private readonly parts: Snapshot;
  private readonly totalBytes: number;
  private view: DataView = new DataView(new ArrayBuffer(0));
  /** Of the part that comes next. */
  private index = 0;
  /** In the part that is being read, and where that one begins. */
  private at = 0;
  private partStart = 0;

  constructor(bytes: Uint8Array | Snapshot) {
    this.parts = bytes instanceof Uint8Array ? [bytes] : bytes;
    this.totalBytes = bytesIn(this.parts);
  }

  /** Throws `SnapshotError` unless the section that comes next has this name. */
  section(name: string): void {
    const found = this.text();
    if (found !== name) throw new SnapshotError(`the snapshot holds "${found.slice(0, 80)}" where "${name}" was expected`);
  }

  u32(): number {
    if (this.at + 4 > this.view.byteLength) return viewOf(this.take(4)).getUint32(0, true);
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  f64(): number {
    if (this.at + 8 > this.view.byteLength) return viewOf(this.take(8)).getFloat64(0, true);
    this.at += 8;
    return this.view.getFloat64(this.at - 8, true);
  }

  text(): string {
    return decoder.decode(this.take(this.length()));
  }

  u8s(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.take(this.length()));
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

  /** A reader of what `SnapshotWriter.nested` or `array` wrote, over the same memory. */
  nested(): SnapshotReader {
    const pieces: Uint8Array[] = [];
    let bytes = this.length();
    this.need(bytes);
    for (; bytes > 0; bytes -= pieces[pieces.length - 1].length) {
      this.enter();
      pieces.push(this.take(Math.min(bytes, this.view.byteLength - this.at)));
    }
    return new SnapshotReader(pieces);
  }

  get finished(): boolean {
    return this.offset === this.totalBytes;
  }

  private get offset(): number {
    return this.partStart + this.at;
  }

  private length(): number {
    const bytes = this.u32();
    return bytes === longLength ? this.f64() : bytes;
  }

  /** The next bytes: a view where they lie in one part, else a copy. */
  private take(bytes: number): Uint8Array {
    this.need(bytes);
    if (this.at === this.view.byteLength && bytes > 0) this.enter();
    const there = this.rest(bytes);
    if (there.length === bytes) return there;
    const whole = new Uint8Array(bytes);
    whole.set(there);
    for (let filled = there.length; filled < bytes; ) {
      this.enter();
      const more = this.rest(bytes - filled);
      whole.set(more, filled);
      filled += more.length;
    }
    return whole;
  }

  /** Up to so many bytes of the part that is being read. */
  private rest(bytes: number): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.view;
    const piece = new Uint8Array(buffer, byteOffset + this.at, Math.min(bytes, byteLength - this.at));
    this.at += piece.length;
    return piece;
  }

  /** Goes on to the next part that holds something, if this one is at its end. */
  private enter(): void {
    while (this.at === this.view.byteLength && this.index < this.parts.length) {
      this.partStart += this.at;
      this.view = viewOf(this.parts[this.index++]);
      this.at = 0;
    }
  }

  private need(bytes: number): void {
    if (this.offset + bytes > this.totalBytes) {
      throw new SnapshotError(`the snapshot ends after ${this.totalBytes} bytes, in the middle of a value at byte ${this.offset}`);
    }
  }
}

/** How long it is, all parts together. */
export function bytesIn(snapshot: Snapshot): number {
  return snapshot.reduce((sum, part) => sum + part.length, 0);
}

/** The same memory as bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: Numbers): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
