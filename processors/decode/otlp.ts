/** OTLP logs in their JSON mapping: the request of an exporter (`resourceLogs`) gives a row for each log record. */
import type { SourceRecord } from '../record.ts';
import type { RejectReason } from './decoder.ts';
import type { EventBatch } from './event-batch.ts';
import { maxDepth, type RowWriter } from './row-writer.ts';

type Json = Readonly<Record<string, unknown>>;

export type OtlpRequest = Json;

/** Commits the rows; a reason where the request holds no record or nests too deep (the caller takes the rows back). */
export function decodeOtlp(
  request: Json,
  row: RowWriter,
  record: SourceRecord,
  recordIndex: number,
  out: EventBatch,
): RejectReason | undefined {
  const first = out.length;
  for (const resourceLogs of objects(request.resourceLogs)) {
    const resource = own(resourceLogs, 'resource');
    for (const scopeLogs of objects(own(resourceLogs, 'scopeLogs'))) {
      for (const log of objects(own(scopeLogs, 'logRecords'))) {
        row.open(out, recordIndex, record);
        row.from('envelope');
        if (!attributes(own(resource, 'attributes'), row)) return 'too_deep';
        row.from('own');
        if (!fillLogRecord(log, row)) return 'too_deep';
        row.commit();
      }
    }
  }
  return out.length === first ? 'empty' : undefined;
}

function fillLogRecord(log: Json, row: RowWriter): boolean {
  for (const name of ['severityNumber', 'severityText', 'traceId', 'spanId']) {
    const value = own(log, name);
    if (value !== undefined && value !== '') row.value(name, value);
  }
  // Zero means unknown; then the time it was observed stands in.
  for (const name of ['timeUnixNano', 'observedTimeUnixNano']) {
    const value = own(log, name);
    if (value !== undefined) row.value(name, value);
  }
  const body = anyValue(own(log, 'body'), 0);
  if (body === tooDeep) return false;
  if (typeof body === 'string') row.text('message', body);
  else if (typeof body === 'object' && body !== null && !Array.isArray(body)) row.object(body);
  const eventName = own(log, 'eventName');
  if (typeof eventName === 'string' && eventName !== '') row.text('event.name', eventName);
  return attributes(own(log, 'attributes'), row);
}

function attributes(list: unknown, row: RowWriter): boolean {
  for (const attribute of objects(list)) {
    const key = own(attribute, 'key');
    if (typeof key !== 'string') continue;
    const value = anyValue(own(attribute, 'value'), 0);
    if (value === tooDeep || !row.value(key, value)) return false;
  }
  return true;
}

const tooDeep = Symbol('too deep');

/** An AnyValue as plain JSON. 64-bit integers come as text and become numbers. */
function anyValue(value: unknown, depth: number): unknown {
  if (depth > maxDepth) return tooDeep;
  if (typeof value !== 'object' || value === null) return undefined;
  const text = own(value, 'stringValue');
  if (typeof text === 'string') return text;
  for (const name of ['boolValue', 'doubleValue', 'bytesValue']) {
    const plain = own(value, name);
    if (plain !== undefined && typeof plain !== 'object') return plain;
  }
  const integer = own(value, 'intValue');
  if (typeof integer === 'string' || typeof integer === 'number') return Number(integer);
  const elements = own(own(value, 'arrayValue'), 'values');
  if (Array.isArray(elements)) {
    const plain = elements.map((element) => anyValue(element, depth + 1));
    return plain.includes(tooDeep) ? tooDeep : plain;
  }
  const pairs = own(own(value, 'kvlistValue'), 'values');
  if (!Array.isArray(pairs)) return undefined;
  // No prototype: a key such as `__proto__` is a plain field.
  const object: Record<string, unknown> = Object.create(null);
  for (const pair of objects(pairs)) {
    const key = own(pair, 'key');
    const plain = anyValue(own(pair, 'value'), depth + 1);
    if (plain === tooDeep) return tooDeep;
    if (typeof key === 'string') object[key] = plain;
  }
  return object;
}

function own(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Json)[name] : undefined;
}

function* objects(list: unknown): Generator<Json> {
  if (!Array.isArray(list)) return;
  for (const element of list) if (typeof element === 'object' && element !== null) yield element;
}
