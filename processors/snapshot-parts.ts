/**
 * Writes down a state of any size without holding others up, and so that what did not change gives the same parts again.
 *
 * Long arrays, lists and nested states are noted while the state is asked what it holds, and taken afterwards, piece by piece, with a
 * pause after each: whoever drives that must see to it that the state does not change until it is done. A long array begins a part of its
 * own, so an array that is as it was gives parts that are as they were, even if what lies before it grew; one that grew at its end gives
 * the same parts but for the last.
 */
import type { Slices } from './slices.ts';
import { bytesIn, bytesOf, type Snapshot, SnapshotWriter } from './snapshot.ts';
import type { SnapshotCopies } from './snapshot-copies.ts';

/** Short enough that little is written for a small change, and long enough that parts are some thousands: a GiB has 16,384. */
export const partBytes = 64 * 1024;
/** Shorter arrays stand among the numbers around them. */
const ownPartBytes = 16 * 1024;
/** Shorter ones are copied right away: noting them costs as much. */
const noteBytes = 1024;
const eachSlice = 1024;

type Step = Uint8Array | ((into: Parts) => Slices<void>);

export class PartsWriter extends SnapshotWriter {
  private readonly steps: Step[] = [];
  private taking = false;
  private readonly copies: SnapshotCopies | undefined;

  /** @param copies of the snapshot before: what changed since is overwritten. Without them everything is copied into memory of its own. */
  constructor(copies?: SnapshotCopies) {
    super();
    this.copies = copies;
  }

  /** The array must not change until its parts were taken. */
  override array(value: Parameters<SnapshotWriter['array']>[0]): void {
    if (this.taking || value.byteLength < noteBytes) {
      super.array(value);
      return;
    }
    this.length(value.byteLength);
    const bytes = bytesOf(value);
    this.later((into) => into.copy(bytes));
  }

  override each<T>(values: Iterable<T>, write: (value: T) => void): void {
    if (this.taking) super.each(values, write);
    else this.later((into) => this.takeEach(values, write, into));
  }

  override nested(write: (out: SnapshotWriter) => void): void {
    if (this.taking) super.nested(write);
    else this.later((into) => this.takeNested(write, into));
  }

  /** Everything that was written, taken in slices of some 10 us; once. */
  *parts(): Slices<Snapshot> {
    this.seal();
    this.taking = true;
    const into = new Parts(this.copies);
    for (const step of this.steps) {
      if (step instanceof Uint8Array) into.append(step);
      else yield* step(into);
      yield;
    }
    into.cut();
    return into.list;
  }

  private later(step: Step): void {
    this.seal();
    this.steps.push(step);
  }

  /** What stands in the buffer comes before what is noted next. */
  private seal(): void {
    const bytes = this.done();
    if (bytes.length > 0) this.steps.push(bytes.slice());
    this.reset();
  }

  private *takeEach<T>(values: Iterable<T>, write: (value: T) => void, into: Parts): Slices<void> {
    let count = 0;
    for (const value of values) {
      write(value);
      if (++count % eachSlice !== 0) continue;
      this.flush(into);
      yield;
    }
    this.flush(into);
  }

  private *takeNested(write: (out: SnapshotWriter) => void, into: Parts): Slices<void> {
    const inner = new PartsWriter(this.copies);
    write(inner);
    yield;
    const list = yield* inner.parts();
    const bytes = bytesIn(list);
    this.length(bytes);
    this.flush(into);
    if (bytes < ownPartBytes) for (const part of list) into.append(part);
    else into.add(list);
  }

  private flush(into: Parts): void {
    into.append(this.done());
    this.reset();
  }
}

class Parts {
  readonly list: Uint8Array[] = [];
  private readonly copies: SnapshotCopies | undefined;
  /** What is written between long arrays; grows up to a part. */
  private open = new Uint8Array(256);
  private used = 0;

  constructor(copies: SnapshotCopies | undefined) {
    this.copies = copies;
  }

  /** Adds to the part that is open. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.used === partBytes) this.cut();
      const length = Math.min(bytes.length - at, partBytes - this.used);
      this.room(this.used + length);
      this.open.set(bytes.subarray(at, at + length), this.used);
      this.used += length;
      at += length;
    }
  }

  *copy(bytes: Uint8Array): Slices<void> {
    if (bytes.length < ownPartBytes) return this.append(bytes);
    this.cut();
    for (let at = 0; at < bytes.length; at += partBytes) {
      const piece = bytes.subarray(at, at + partBytes);
      this.list.push(this.copies?.of(piece) ?? piece.slice());
      yield;
    }
  }

  /** Takes over parts that are nobody else's. */
  add(parts: Snapshot): void {
    this.cut();
    for (const part of parts) this.list.push(part);
  }

  private room(bytes: number): void {
    if (bytes <= this.open.length) return;
    const wider = new Uint8Array(Math.min(partBytes, Math.max(bytes, 2 * this.open.length)));
    wider.set(this.open.subarray(0, this.used));
    this.open = wider;
  }

  /** Ends the part that is open. */
  cut(): void {
    if (this.used > 0) this.list.push(this.open.slice(0, this.used));
    this.used = 0;
  }
}

/** All parts in one piece. */
export function joined(parts: Snapshot): Uint8Array {
  const whole = new Uint8Array(bytesIn(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
