import type { SourceRecord } from '../record.ts';
import type { EventBatch } from './event-batch.ts';
import { type FieldNames, type FieldNode, Special } from './field-table.ts';
import { afterBlanks, afterLiteral, afterNumber, afterString, afterValue, numberOf, odd } from './json-bytes.ts';
import { maxDepth, type RowWriter } from './row-writer.ts';

/** What stands for an object where only its being one matters. */
const anObject = {};

/**
 * Reads one JSON object where it lies: walks its bytes once, puts the values that somebody wants and makes nothing of the others. It says
 * the same as parsing the text and walking the result. What is odd (no JSON, escapes in a key, a wanted key twice, a line in an envelope,
 * OTLP) it leaves to the parser: it returns false, and the row it opened leaves no trace.
 */
export class JsonScanner {
  private readonly writer: RowWriter;
  private readonly names: FieldNames;
  /** Counts the records, so that a wanted name can tell whether it was there in this one. */
  private scans = 0;

  constructor(writer: RowWriter, names: FieldNames) {
    this.writer = writer;
    this.names = names;
  }

  /** @param bytes the record's value. True: the row is committed. */
  scan(bytes: Buffer, record: SourceRecord, recordIndex: number, out: EventBatch): boolean {
    const end = bytes.length;
    const start = afterBlanks(bytes, 0, end);
    if (start === end || bytes[start] !== 123) return false;
    const row = this.writer;
    row.open(out, recordIndex, record);
    this.scans++;
    const at = this.object(bytes, start + 1, end, this.names, maxDepth - 1);
    if (at === odd || afterBlanks(bytes, at, end) !== end || row.isEnvelope) return false;
    row.commit();
    return true;
  }

  /** @param from after the opening brace. @param depth how many containers may still open in it. */
  private object(bytes: Buffer, from: number, end: number, { keys }: FieldNames, depth: number): number {
    let at = afterBlanks(bytes, from, end);
    if (at < end && bytes[at] === 125) return at + 1;
    for (let place = 0; ; place++) {
      if (at >= end || bytes[at] !== 34) return odd;
      at = keys.read(place, bytes, at + 1, end);
      if (at === odd) return odd;
      if (at < end && bytes[at] === 58) at++;
      else {
        at = afterBlanks(bytes, at, end);
        if (at >= end || bytes[at] !== 58) return odd;
        at++;
      }
      if (at < end && bytes[at] === 32) at = afterBlanks(bytes, at, end);
      const { node } = keys;
      at = node === undefined ? afterValue(bytes, at, end, depth) : this.value(bytes, at, end, node, depth);
      if (at === odd) return odd;
      if (at < end && bytes[at] !== 44) {
        at = afterBlanks(bytes, at, end);
        if (at < end && bytes[at] === 125) return at + 1;
      }
      if (at >= end || bytes[at] !== 44) return odd;
      at++;
      if (at < end && bytes[at] !== 34) at = afterBlanks(bytes, at, end);
    }
  }

  /** The value of a name that somebody wants, or that holds such names. */
  private value(bytes: Buffer, from: number, end: number, node: FieldNode, depth: number): number {
    // A second value of the same name replaces the first one, which has been put already.
    if (node.seenIn === this.scans) return odd;
    node.seenIn = this.scans;
    if (from >= end) return odd;
    const { targets } = node;
    const { writer } = this;
    const byte = bytes[from];
    if (byte === 34) {
      const after = afterString(bytes, from + 1, end);
      if (after !== odd && targets !== undefined) writer.putBytes(targets, bytes, from + 1, after - 1);
      // What has shown itself as an envelope need not be walked to its end.
      return writer.isEnvelope ? odd : after;
    }
    if (byte === 45 || (byte >= 48 && byte <= 57)) {
      const after = afterNumber(bytes, from, end);
      if (after !== odd && targets !== undefined) writer.put(targets, numberOf(bytes, from, after));
      return after;
    }
    if (byte === 123) {
      if (depth === 0) return odd;
      if (targets !== undefined) writer.put(targets, anObject);
      return node.children === undefined
        ? afterValue(bytes, from, end, depth)
        : this.object(bytes, from + 1, end, node.children, depth - 1);
    }
    if (byte === 91) {
      // A request holds lines of its own.
      if (targets?.some(({ slot }) => slot === Special.otlp)) return odd;
      const after = afterValue(bytes, from, end, depth);
      if (after !== odd && targets !== undefined) writer.put(targets, JSON.parse(bytes.toString('utf8', from, after)));
      return after;
    }
    const after = afterLiteral(bytes, from, end);
    if (after !== odd && targets !== undefined) writer.put(targets, byte === 110 ? null : byte === 116);
    return after;
  }
}
