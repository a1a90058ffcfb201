/**
 * The bytes of a journal: entries, one per `append`, so that what one request brought is kept whole or not at all.
 *
 * Entry, little-endian: magic u32 | payload bytes u32 | CRC-32 of the payload u32 | payload.
 * Payload: first sequence f64 | records u32 | header sets u16 | header sets (bytes u32, JSON) | records (timestampMs f64, header set u16,
 * bytes u32, value). Header set 0xffff = none; 0xffff header sets = records in one piece (`journal-slices.ts`). The sequence is in the entry so that a damaged neighbour cannot shift it.
 */
import { crc32 } from 'node:zlib';
import type { JournalRecord, PreparedEntry, StoredRecord } from './journal-record.ts';
import { readSlices, SlicesEntry } from './journal-slices.ts';
import { RecordSlices } from './record-slices.ts';

export const entryHeadBytes = 12;
/** "SGJ1": what a search for the next whole entry looks for. */
const magic = 0x314a4753;
export const magicBytes = Buffer.from([0x53, 0x47, 0x4a, 0x31]);
/** Follows what was written last: no entry begins like that. */
export const endMark = Buffer.alloc(entryHeadBytes);
const payloadHeadBytes = 14;
const recordHeadBytes = 14;
const noHeaders = 0xffff;
/** In place of the number of header sets: the payload is that of `journal-slices.ts`. */
const inOnePiece = 0xffff;
/** More header sets than this in one append would not fit their index. */
const maxHeaderSets = 0xfffd;

/** Whole size on disk. */
export function entryBytes(entry: PreparedEntry): number {
  return entryHeadBytes + payloadHeadBytes + entry.payloadBytes;
}

/** Measures an append. Throws a `RangeError` for one that does not fit an entry (more than 65,533 different header sets). */
export function prepareEntry(records: readonly JournalRecord[] | RecordSlices): PreparedEntry {
  return records instanceof RecordSlices ? new SlicesEntry(records) : new ListEntry(records);
}

class ListEntry implements PreparedEntry {
  readonly payloadBytes: number;
  readonly headerSets: Buffer[] = [];
  private readonly records: readonly JournalRecord[];
  private readonly setOfRecord: readonly number[];

  constructor(records: readonly JournalRecord[]) {
    const sets = new Map<object, number>();
    let bytes = 0;
    this.records = records;
    this.setOfRecord = records.map((record) => {
      bytes += recordHeadBytes + record.value.length;
      if (record.headers === undefined) return noHeaders;
      const known = sets.get(record.headers);
      if (known !== undefined) return known;
      const text = Buffer.from(JSON.stringify(record.headers));
      bytes += 4 + text.length;
      sets.set(record.headers, this.headerSets.length);
      this.headerSets.push(text);
      return this.headerSets.length - 1;
    });
    this.payloadBytes = bytes;
    if (this.headerSets.length <= maxHeaderSets) return;
    throw new RangeError(
      `journal: ${this.headerSets.length} header sets in one append, at most ${maxHeaderSets}; share the object among records`,
    );
  }

  get count(): number {
    return this.records.length;
  }

  writePayload(out: Buffer, at: number): number {
    let i = at;
    for (const set of this.headerSets) {
      i = out.writeUInt32LE(set.length, i);
      out.set(set, i);
      i += set.length;
    }
    for (let r = 0; r < this.records.length; r++) {
      const record = this.records[r];
      i = out.writeDoubleLE(record.timestampMs, i);
      i = out.writeUInt16LE(this.setOfRecord[r], i);
      i = out.writeUInt32LE(record.value.length, i);
      out.set(record.value, i);
      i += record.value.length;
    }
    return i;
  }
}

/** Writes an entry at `at` of `out` and returns where it ends. */
export function writeEntry(entry: PreparedEntry, firstSequence: number, out: Buffer, at: number): number {
  const payload = at + entryHeadBytes;
  let i = out.writeDoubleLE(firstSequence, payload);
  i = out.writeUInt32LE(entry.count, i);
  i = out.writeUInt16LE(entry instanceof ListEntry ? entry.headerSets.length : inOnePiece, i);
  i = entry.writePayload(out, i);
  out.writeUInt32LE(magic, at);
  out.writeUInt32LE(i - payload, at + 4);
  out.writeUInt32LE(crc32(out.subarray(payload, i)), at + 8);
  return i;
}

/** Size on disk an entry head at `at` claims, or -1 if no head is there. Needs `entryHeadBytes` bytes. */
export function claimedBytes(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) === magic ? entryHeadBytes + bytes.readUInt32LE(at + 4) : -1;
}

/** Whether the entry of `size` bytes at `at` is what was written there. */
export function isWhole(bytes: Buffer, at: number, size: number): boolean {
  return size >= entryHeadBytes + payloadHeadBytes && crc32(bytes.subarray(at + entryHeadBytes, at + size)) === bytes.readUInt32LE(at + 8);
}

export function firstSequenceOf(bytes: Buffer, at: number): number {
  return bytes.readDoubleLE(at + entryHeadBytes);
}

export function recordCountOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + entryHeadBytes + 8);
}

/** The records of a whole entry at `at`; values are views of `bytes`. */
export function recordsOf(bytes: Buffer, at: number, into: StoredRecord[], fromSequence: number): void {
  const first = firstSequenceOf(bytes, at);
  const count = recordCountOf(bytes, at);
  const setCount = bytes.readUInt16LE(at + entryHeadBytes + 12);
  let i = at + entryHeadBytes + payloadHeadBytes;
  if (setCount === inOnePiece) {
    readSlices(bytes, i, first, count, into, fromSequence);
    return;
  }
  const sets: Record<string, string>[] = [];
  for (let s = 0; s < setCount; s++) {
    const length = bytes.readUInt32LE(i);
    sets.push(JSON.parse(bytes.toString('utf8', i + 4, i + 4 + length)));
    i += 4 + length;
  }
  for (let r = 0; r < count; r++) {
    const timestampMs = bytes.readDoubleLE(i);
    const set = bytes.readUInt16LE(i + 8);
    const length = bytes.readUInt32LE(i + 10);
    i += recordHeadBytes;
    if (first + r >= fromSequence) {
      into.push({
        value: bytes.subarray(i, i + length),
        timestampMs,
        headers: set === noHeaders ? undefined : sets[set],
        offset: first + r,
      });
    }
    i += length;
  }
}
