/**
 * Decoded records, as columns: slots x rows. Rules compile to the list of fields anyone reads (`FieldPlan`); a decoder fills those
 * slots and nothing else. A stage asks for a slot, never for a name, and takes text, number or hash from it as it needs.
 */

import type { RecordBatch } from '../record.ts';
import { hashBytes, hashText } from '../sketch/hash.ts';
import { widen } from '../typed-arrays.ts';
import { TextCache } from './text-cache.ts';
import { bufferOf } from './text-of.ts';

export const Kind = { absent: 0, text: 1, number: 2, boolean: 3, null: 4, list: 5 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];
export type Scalar = string | number | boolean | null;

/** The fields that somebody reads, each with its slot. Built while rules compile, then frozen. */
export class FieldPlan {
  private readonly slots = new Map<string, number>();

  /** The slot of a field, a new one if nobody asked for it yet. */
  slot(field: string): number {
    const known = this.slots.get(field);
    if (known !== undefined) return known;
    this.slots.set(field, this.slots.size);
    return this.slots.size - 1;
  }

  /** Field names in slot order. */
  get fields(): string[] {
    return [...this.slots.keys()];
  }

  get size(): number {
    return this.slots.size;
  }
}

/**
 * Rows are filled by a decoder (`startRow`, `set…`, `commitRow`) and read by the match stage. The batch is reused: `reset` forgets the
 * rows and keeps the memory. Values are valid until the next `reset`; whoever keeps one copies it.
 */
export class EventBatch {
  length = 0;
  /** Event time, ms since the epoch, per row. */
  timeMs: Float64Array;
  /** Which record of the `RecordBatch` a row came from (a record may hold several events). */
  recordIndex: Uint32Array;
  /** Messages the sender says it lost before this event (Logplex L10 and its kin), per row. */
  lost: Uint32Array;
  /** Since when they were being lost, ms; NaN where the sender does not say, per row. */
  lostSinceMs: Float64Array;
  /** Dataset of each row. */
  dataset: string[] = [];
  records!: RecordBatch;

  /** Texts made of bytes. */
  readonly texts = new TextCache();

  private kinds: Uint8Array;
  private numbers: Float64Array;
  private values: (string | readonly Scalar[] | undefined)[];
  /** Where a text lies in its record's value, if it was left there: end 0 says that it was not. */
  private starts: Uint32Array;
  private ends: Uint32Array;
  private hashes: Uint32Array;
  private hashed: Uint8Array;
  private readonly slotCount: number;
  private capacity: number;
  readonly plan: FieldPlan;
  private readonly hashKey: Uint32Array;

  /** @param hashKey the two 32-bit halves of the 8-byte key of every hash taken here. */
  constructor(plan: FieldPlan, hashKey: Uint32Array, capacity = 1024) {
    this.plan = plan;
    this.hashKey = hashKey;
    this.slotCount = Math.max(1, plan.size);
    this.capacity = capacity;
    this.timeMs = new Float64Array(capacity);
    this.recordIndex = new Uint32Array(capacity);
    this.lost = new Uint32Array(capacity);
    this.lostSinceMs = new Float64Array(capacity);
    const cells = capacity * this.slotCount;
    this.kinds = new Uint8Array(cells);
    this.numbers = new Float64Array(cells);
    this.values = new Array(cells);
    this.starts = new Uint32Array(cells);
    this.ends = new Uint32Array(cells);
    this.hashes = new Uint32Array(cells * 2);
    this.hashed = new Uint8Array(cells);
  }

  reset(records: RecordBatch): void {
    this.records = records;
    this.length = 0;
  }

  /** Opens the next row with every slot absent; it does not count until `commitRow`. A row that is not committed is overwritten. */
  startRow(recordIndex: number): number {
    if (this.length === this.capacity) this.grow();
    const row = this.length;
    const first = row * this.slotCount;
    const end = first + this.slotCount;
    // A loop: for the few slots of a row the call of `fill` costs more than its work.
    for (let cell = first; cell < end; cell++) {
      this.kinds[cell] = Kind.absent;
      this.hashed[cell] = 0;
    }
    this.timeMs[row] = Number.NaN;
    this.lost[row] = 0;
    this.lostSinceMs[row] = Number.NaN;
    this.recordIndex[row] = recordIndex;
    this.dataset[row] = this.records.dataset;
    return row;
  }

  commitRow(): void {
    this.length++;
  }

  setText(slot: number, row: number, value: string): void {
    const cell = row * this.slotCount + slot;
    this.kinds[cell] = Kind.text;
    this.values[cell] = value;
    this.ends[cell] = 0;
  }

  /** The text is the ASCII bytes `[start, end)` of the record's value; `end` is not 0. */
  setBytes(slot: number, row: number, start: number, end: number): void {
    const cell = row * this.slotCount + slot;
    this.kinds[cell] = Kind.text;
    this.starts[cell] = start;
    this.ends[cell] = end;
  }

  setNumber(slot: number, row: number, value: number): void {
    const cell = row * this.slotCount + slot;
    this.kinds[cell] = Kind.number;
    this.numbers[cell] = value;
  }

  setBoolean(slot: number, row: number, value: boolean): void {
    const cell = row * this.slotCount + slot;
    this.kinds[cell] = Kind.boolean;
    this.numbers[cell] = value ? 1 : 0;
  }

  setNull(slot: number, row: number): void {
    this.kinds[row * this.slotCount + slot] = Kind.null;
  }

  setList(slot: number, row: number, value: readonly Scalar[]): void {
    const cell = row * this.slotCount + slot;
    this.kinds[cell] = Kind.list;
    this.values[cell] = value;
  }

  kind(slot: number, row: number): Kind {
    return this.kinds[row * this.slotCount + slot] as Kind;
  }

  /** The value as text; numbers and booleans as they are written, null as ''. Undefined where the slot is absent or a list. */
  text(slot: number, row: number): string | undefined {
    const cell = row * this.slotCount + slot;
    switch (this.kinds[cell]) {
      case Kind.text:
        return this.textAt(cell, row);
      case Kind.number:
        return String(this.numbers[cell]);
      case Kind.boolean:
        return this.numbers[cell] === 1 ? 'true' : 'false';
      case Kind.null:
        return '';
      default:
        return undefined;
    }
  }

  /** The value as a number; text that is a decimal number counts as one. NaN where there is none. */
  number(slot: number, row: number): number {
    const cell = row * this.slotCount + slot;
    switch (this.kinds[cell]) {
      case Kind.number:
        return this.numbers[cell];
      case Kind.text: {
        const text = this.textAt(cell, row);
        return text.trim() === '' ? Number.NaN : Number(text);
      }
      default:
        return Number.NaN;
    }
  }

  /** The elements of a list; undefined where the slot holds none. */
  list(slot: number, row: number): readonly Scalar[] | undefined {
    const cell = row * this.slotCount + slot;
    return this.kinds[cell] === Kind.list ? (this.values[cell] as readonly Scalar[]) : undefined;
  }

  /** Writes the keyed 64-bit hash of the value's text into `out[0]` (low) and `out[1]` (high); taken once per value, however many rules ask. */
  hash(slot: number, row: number, out: Uint32Array): void {
    const cell = row * this.slotCount + slot;
    if (this.hashed[cell] === 0) {
      if (this.kinds[cell] === Kind.text && this.ends[cell] !== 0) {
        hashBytes(this.bytesOf(row), this.starts[cell], this.ends[cell], this.hashKey, out);
      } else hashText(this.text(slot, row) ?? '', this.hashKey, out);
      this.hashes[cell * 2] = out[0];
      this.hashes[cell * 2 + 1] = out[1];
      this.hashed[cell] = 1;
      return;
    }
    out[0] = this.hashes[cell * 2];
    out[1] = this.hashes[cell * 2 + 1];
  }

  /** Whether there is a text in it, and not an empty one. */
  hasText(slot: number, row: number): boolean {
    const cell = row * this.slotCount + slot;
    if (this.kinds[cell] !== Kind.text) return false;
    return this.ends[cell] === 0 ? this.values[cell] !== '' : this.ends[cell] > this.starts[cell];
  }

  private textAt(cell: number, row: number): string {
    if (this.ends[cell] === 0) return this.values[cell] as string;
    return this.texts.of(bufferOf(this.bytesOf(row)), this.starts[cell], this.ends[cell]);
  }

  private bytesOf(row: number): Uint8Array {
    return this.records.records[this.recordIndex[row]].value as Uint8Array;
  }

  private grow(): void {
    this.capacity *= 2;
    const cells = this.capacity * this.slotCount;
    this.timeMs = widen(this.timeMs, new Float64Array(this.capacity));
    this.recordIndex = widen(this.recordIndex, new Uint32Array(this.capacity));
    this.lost = widen(this.lost, new Uint32Array(this.capacity));
    this.lostSinceMs = widen(this.lostSinceMs, new Float64Array(this.capacity));
    this.kinds = widen(this.kinds, new Uint8Array(cells));
    this.numbers = widen(this.numbers, new Float64Array(cells));
    this.hashes = widen(this.hashes, new Uint32Array(cells * 2));
    this.hashed = widen(this.hashed, new Uint8Array(cells));
    this.starts = widen(this.starts, new Uint32Array(cells));
    this.ends = widen(this.ends, new Uint32Array(cells));
    this.values.length = cells;
  }
}
