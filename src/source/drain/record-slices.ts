/** Records that lie in one piece of memory, as a body brings them: of each there are two numbers, and no object until somebody asks. */
import type { JournalRecord } from './journal-record.ts';

type Headers = Readonly<Record<string, string>>;

export class RecordSlices {
  readonly bytes: Buffer;
  readonly timestampMs: number;
  /** Start and end of each, in `bytes`. */
  readonly bounds: number[] = [];
  /** What records may have for headers; undefined: none. The first is what most have. */
  readonly headerSets: (Headers | undefined)[];
  /** Of the records that have another set than the first: which. */
  readonly otherSets = new Map<number, number>();

  constructor(bytes: Buffer, timestampMs: number, headers: Headers | undefined) {
    this.bytes = bytes;
    this.timestampMs = timestampMs;
    this.headerSets = [headers];
  }

  get length(): number {
    return this.bounds.length / 2;
  }

  add(start: number, end: number): void {
    this.bounds.push(start, end);
  }

  /** Adds headers that some records have, and gives their number for `setHeaders`. */
  addHeaderSet(headers: Headers): number {
    return this.headerSets.push(headers) - 1;
  }

  setHeaders(record: number, set: number): void {
    this.otherSets.set(record, set);
  }

  headersOf(record: number): Headers | undefined {
    return this.headerSets[this.otherSets.get(record) ?? 0];
  }

  /** Each as a record of its own; values are views of `bytes`. */
  toRecords(): JournalRecord[] {
    const records: JournalRecord[] = [];
    for (let i = 0; i < this.length; i++) {
      const value = this.bytes.subarray(this.bounds[2 * i], this.bounds[2 * i + 1]);
      records.push({ value, timestampMs: this.timestampMs, headers: this.headersOf(i) });
    }
    return records;
  }
}
