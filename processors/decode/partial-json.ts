import { partitionKey, type SourceRecord } from '../record.ts';
import type { EventBatch } from './event-batch.ts';
import type { HeldLine, HeldLines } from './held-lines.ts';
import { bufferOf, textOf } from './text-of.ts';
import { textTimeMs } from './time.ts';

/**
 * Lines that a runtime split (containerd and Docker at 16 KiB, conmon at 8), as Fluent Bit and Vector send them on: each part an object of
 * its own that says it is one (`logtag` or `_p` P, `_partial`, Docker's `partial_message`), the last one marked as such or not at all. They
 * are joined per container and stream, as far as the sender names it, and decoded as one object with the first part's fields.
 *
 * A record is looked at only when it is as long as a part, or a line of its partition waits and it names that one's container: all others
 * cost a comparison.
 */
export class JsonParts {
  private readonly held: HeldLines;
  private readonly decode: DecodeJson;
  // The record being decoded, for `flush`, which is made once instead of per record.
  private record!: SourceRecord;
  private recordIndex = 0;
  private out!: EventBatch;
  private readonly flush = (line: HeldLine): void => {
    this.decode(joined(line, ''), this.record, this.recordIndex, this.out);
  };

  /** `decode` is called with the text of a whole line, and with that of parts whose end never came. */
  constructor(held: HeldLines, decode: DecodeJson) {
    this.held = held;
    this.decode = decode;
  }

  /** Whether the record was a part of a line, or the end of one: then it has been seen to. */
  take(record: SourceRecord, recordIndex: number, out: EventBatch): boolean {
    const value = record.value as Uint8Array;
    // Nearly always neither.
    if (value.length < leastPartBytes && this.held.isEmpty) return false;
    const { topic, partition } = out.records;
    const key = `${partitionKey(topic, partition)}${ours}`;
    const waiting = this.held.of(key);
    if (value.length < leastPartBytes && waiting === undefined) return false;
    this.record = record;
    this.recordIndex = recordIndex;
    this.out = out;
    if (!Number.isNaN(record.timestampMs)) this.held.expire(key, record.timestampMs, this.flush);
    const bytes = bufferOf(value);
    if (!mayBePart(bytes) && !namesOne(bytes, waiting)) return false;
    const object = parsed(value);
    return object !== undefined && this.takeObject(object, key);
  }

  private takeObject(object: Fields, key: string): boolean {
    const field = typeof object.log === 'string' ? 'log' : 'message';
    const text = object[field];
    if (typeof text !== 'string') return false;
    const id = idOf(object);
    if (!isPart(object)) {
      const line = this.held.take(key, id);
      if (line === undefined) return false;
      this.decode(joined(line, text), this.record, this.recordIndex, this.out);
      return true;
    }
    const ownMs = this.record.timestampMs;
    const timeMs = Number.isNaN(ownMs) ? timeOf(object) : ownMs;
    const waits = this.held.of(key)?.has(id) ?? false;
    const part = waits ? text : `${JSON.stringify({ field, object: { ...object, [field]: undefined } })}\n${text}`;
    const bytes = Buffer.from(part);
    if (Number.isNaN(ownMs) && !Number.isNaN(timeMs)) this.held.expire(key, timeMs, this.flush);
    this.held.add(key, id, timeMs, bytes, this.flush);
    return true;
  }
}

type DecodeJson = (text: string, record: SourceRecord, recordIndex: number, out: EventBatch) => unknown;
type Fields = Record<string, unknown>;

/** Below every runtime's part. */
const leastPartBytes = 8000;
/** What Docker reads of a line at once. */
const dockerPartBytes = 16 * 1024;
const markers = ['"logtag"', '"_p"', '"_partial"', '"partial_message"'].map((text) => Buffer.from(text));

/** Sets lines of ours apart from those that are no JSON. */
const ours = ' json';

function parsed(value: Uint8Array): Fields | undefined {
  try {
    const object: unknown = JSON.parse(textOf(value));
    return isFields(object) ? object : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mayBePart(bytes: Buffer): boolean {
  if (bytes.length < leastPartBytes) return false;
  return markers.some((marker) => bytes.includes(marker)) || (bytes.length > dockerPartBytes && bytes.includes('"log"'));
}

function isPart({ logtag, _p, _partial, partial_message, partial_last, log }: Fields): boolean {
  const tag = logtag ?? _p;
  // Tags are separated by colons; only the first counts.
  if (typeof tag === 'string') return tag === 'P' || tag.startsWith('P:');
  if (partial_message !== undefined) return isTrue(partial_message) && !isTrue(partial_last);
  // Docker's file, passed on with fields around it: a part is as long as its buffer and has no line break. Not just long: a sender that
  // takes line breaks off would have its long lines joined to the next.
  return isTrue(_partial) || (typeof log === 'string' && !log.endsWith('\n') && Buffer.byteLength(log) === dockerPartBytes);
}

function isTrue(value: unknown): boolean {
  return value === true || value === 'true';
}

/** Container and stream of a line, by the best name the sender gives: pod and container, the container's id, its file. */
function idOf(object: Fields): string {
  const kubernetes = isFields(object.kubernetes) ? object.kubernetes : {};
  const pod = text(kubernetes.pod_uid) ?? text(kubernetes.pod_id) ?? text(kubernetes.pod_name);
  const container =
    pod === undefined
      ? (text(object.container_id) ?? text(kubernetes.container_id) ?? text(kubernetes.docker_id) ?? text(object.file) ?? '')
      : pod;
  return `${container}\n${text(kubernetes.container_name) ?? ''}\n${text(object.stream) ?? ''}\n${text(object.partial_id) ?? ''}`;
}

/** Whether a record names the container of a line that waits: it may be the end of it. */
function namesOne(bytes: Buffer, waiting: ReadonlyMap<string, HeldLine> | undefined): boolean {
  if (waiting === undefined) return false;
  for (const id of waiting.keys()) if (bytes.includes(id.slice(0, id.indexOf('\n')))) return true;
  return false;
}

/** One object with the fields of the first part and the whole text, without what said that it was a part. */
function joined(line: HeldLine, end: string): string {
  const bytes = Buffer.concat(line.parts);
  // The first part's object is JSON, which holds no line break of its own.
  const at = bytes.indexOf(10);
  const { field, object } = JSON.parse(bytes.toString('utf8', 0, at)) as { field: string; object: Fields };
  const { logtag, _p, _partial, partial_message, partial_last, partial_id, partial_ordinal, ...rest } = object;
  return JSON.stringify({ ...rest, [field]: bytes.toString('utf8', at + 1) + end });
}

function timeOf({ time, timestamp, '@timestamp': at, date }: Fields): number {
  const given = time ?? timestamp ?? at ?? date;
  if (typeof given === 'string') return textTimeMs(given);
  return typeof given === 'number' && given > 0 ? given * (given < 1e11 ? 1000 : 1) : Number.NaN;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
