import { partitionKey, type SourceRecord } from '../record.ts';
import type { RejectReason } from './decoder.ts';
import type { EventBatch } from './event-batch.ts';
import type { HeldLine, HeldLines } from './held-lines.ts';
import type { LineDecoder } from './line-decoder.ts';
import type { RowWriter } from './row-writer.ts';
import { bufferOf, textOf, withoutLineBreak } from './text-of.ts';
import { isoTimeAt, textTimeMs, timeEnd } from './time.ts';

/**
 * Lines of container runtimes: CRI `TIME stdout|stderr P|F TEXT` and Docker's json-file. A line longer than 16 KiB comes
 * in parts; they are joined per (topic, partition, stream), for such a line names no container, and the joined line is decoded like any
 * other, with the first part's time.
 */
export class ContainerDecoder {
  private readonly row: RowWriter;
  private readonly lines: LineDecoder;
  private readonly held: HeldLines;
  // The record being decoded, for `flush`, which is made once instead of per record.
  private record!: SourceRecord;
  private recordIndex = 0;
  private out!: EventBatch;
  private readonly flush = (line: HeldLine): void => {
    this.write(Buffer.concat(line.parts), line.id, line.timeMs);
  };

  constructor(row: RowWriter, lines: LineDecoder, held: HeldLines) {
    this.row = row;
    this.lines = lines;
    this.held = held;
  }

  /** One CRI line. `bad_cri` if it is none; then nothing has changed. */
  decodeCri(text: string, record: SourceRecord, recordIndex: number, out: EventBatch): RejectReason | undefined {
    const timeMs = isoTimeAt(text, 0);
    const at = timeEnd + 1;
    if (Number.isNaN(timeMs) || !isStreamAt(text, at)) return 'bad_cri';
    const stream = text.slice(at, at + 6);
    const tag = text.charCodeAt(at + 7);
    // Tags are separated by colons; only the first counts.
    const end = text.indexOf(' ', at + 7);
    const after = text.charCodeAt(at + 8);
    if ((tag !== 80 && tag !== 70) || (after !== 32 && after !== 58 && after > 32)) return 'bad_cri';
    // The header is ASCII, so its length in characters is its length in bytes; a byte-order mark is not in the text.
    const mark = record.value![0] === 0xef ? 3 : 0;
    const bytes = bufferOf(record.value!).subarray(mark + (end < 0 ? text.length : end + 1));
    this.take(record, recordIndex, out);
    this.part(withoutLineBreakBytes(bytes), stream, timeMs, tag === 80);
    return undefined;
  }

  /** An object that `isDocker` said is a line of Docker's json-file. */
  decodeDocker(line: DockerLine, record: SourceRecord, recordIndex: number, out: EventBatch): void {
    const parsed = textTimeMs(line.time);
    this.take(record, recordIndex, out);
    const partial = !line.log.endsWith('\n');
    this.part(Buffer.from(withoutLineBreak(line.log)), line.stream, parsed, partial);
  }

  private take(record: SourceRecord, recordIndex: number, out: EventBatch): void {
    this.record = record;
    this.recordIndex = recordIndex;
    this.out = out;
  }

  private part(bytes: Buffer, stream: string, timeMs: number, partial: boolean): void {
    const key = partitionKey(this.out.records.topic, this.out.records.partition);
    if (!Number.isNaN(timeMs)) this.held.expire(key, timeMs, this.flush);
    if (partial) {
      this.held.add(key, stream, timeMs, bytes, this.flush);
      return;
    }
    const first = this.held.take(key, stream);
    if (first === undefined) this.write(bytes, stream, timeMs);
    else this.write(Buffer.concat([...first.parts, bytes]), stream, first.timeMs);
  }

  private write(bytes: Buffer, stream: string, timeMs: number): void {
    const { row } = this;
    row.open(this.out, this.recordIndex, this.record);
    row.from('envelope');
    row.time(timeMs);
    row.text('log.iostream', stream);
    row.from('own');
    this.lines.fill(bytes.length === 0 ? '' : textOf(bytes), row);
    row.commit();
  }
}

export interface DockerLine {
  readonly log: string;
  readonly stream: string;
  readonly time: string;
}

/** Whether an object is a line of Docker's json-file: `log`, `stream` and `time`, and at most `attrs` beside them. */
export function isDocker(value: object): value is DockerLine {
  const { log, stream, time } = value as Partial<DockerLine>;
  if (typeof log !== 'string' || (stream !== 'stdout' && stream !== 'stderr') || typeof time !== 'string') return false;
  for (const key in value) if (key !== 'log' && key !== 'stream' && key !== 'time' && key !== 'attrs') return false;
  return true;
}

/** Whether a text begins like a CRI line: an ISO time, then `stdout` or `stderr`. */
export function isCri(text: string): boolean {
  if (text.charCodeAt(10) !== 84) return false;
  const space = text.indexOf(' ', 19);
  return space > 0 && space < 40 && isStreamAt(text, space + 1);
}

function isStreamAt(text: string, at: number): boolean {
  return (text.startsWith('stdout ', at) || text.startsWith('stderr ', at)) && text.charCodeAt(at - 1) === 32;
}

function withoutLineBreakBytes(bytes: Buffer): Buffer {
  return bytes.length > 0 && bytes[bytes.length - 1] === 10 ? bytes.subarray(0, bytes.length - 1) : bytes;
}
