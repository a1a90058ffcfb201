/**
 * OTLP log records -> one JSON object each, keys under their OpenTelemetry names: resource and record attributes flat, `time` in ms,
 * `log.level`, `severity_number`, `message`, `trace_id`, `span_id`, `event.name`. Log records come in their JSON mapping
 * (opentelemetry-proto `docs/specification.md`): 64-bit integers as text or number, ids as hex, empty means absent.
 */

export interface OtlpRecords {
  readonly records: readonly Buffer[];
  /** Log records that could not be made one. */
  readonly rejected: number;
  /** What was wrong with the first of them. */
  readonly problem: string | undefined;
}

/** The body is no `ExportLogsServiceRequest`, or holds more than any sender means; with the status that says so. */
export class OtlpError extends Error {
  override name = 'OtlpError';
  readonly status: 400 | 413;

  constructor(message: string, status: 400 | 413 = 400) {
    super(message);
    this.status = status;
  }
}

export type Fields = Record<string, unknown>;
/** Attribute values nest; nothing real nests as deep as this. */
export const maxDepth = 32;
/** Attributes of one log record or resource, or fields of one map. SDKs stop at 128; an object of a million keys takes ten times their bytes. */
const maxAttributes = 10_000;
/**
 * Values, lists and objects of one request. The small ones cost many times their bytes (`{},` in JSON 19 times), so a body's bytes do not
 * bound what it becomes. Ten thousand log records of fifty attributes have as many: a collector's batch has 8,192 records, an SDK's 512.
 * At the bound, the worst shapes take some 150 MB for as long as they are read.
 */
export const maxOtlpParts = 2_000_000;

export interface OtlpLimits {
  /** Log records, those that cannot be made a record included. */
  readonly maxRecords: number;
  /** Of all records of a request: each repeats what its resource says, so they can be far more than the body. */
  readonly maxBytes: number;
}

/** Collects the records of one request, within its limits; what is past them, or is no log record, is counted. */
export class OtlpCollector implements OtlpRecords {
  readonly records: Buffer[] = [];
  rejected = 0;
  problem: string | undefined;
  private bytes = 0;
  private readonly limits: OtlpLimits;

  constructor(limits: OtlpLimits) {
    this.limits = limits;
  }

  /** Whether the next log record may be read. If not, it is counted and there is nothing more to do with it. */
  takesNext(): boolean {
    const { maxRecords, maxBytes } = this.limits;
    if (this.records.length + this.rejected < maxRecords && this.bytes < maxBytes) return true;
    if (this.bytes >= maxBytes) this.reject(`more than ${maxBytes} bytes of log records in one request`);
    else this.reject(`more than ${maxRecords} log records in one request`);
    return false;
  }

  /** A log record in its JSON mapping; `takesNext` was asked. */
  add(logRecord: unknown, resource: Fields, scope: Fields): void {
    const record = recordOf(logRecord, resource, scope);
    if (typeof record === 'string') {
      this.reject(record);
      return;
    }
    this.bytes += record.length;
    this.records.push(record);
  }

  private reject(problem: string): void {
    this.rejected++;
    this.problem ??= problem;
  }
}

/** The record, or what is wrong with it. */
function recordOf(logRecord: unknown, resource: Fields, scope: Fields): Buffer | string {
  if (!isObject(logRecord)) return 'a log record is not an object';
  const attributes = attributesOf(logRecord.attributes);
  const body = bodyOf(logRecord.body);
  // Before the resource is copied, which may be long: a log record that is refused costs its own bytes only.
  if (attributes === undefined || body === undefined) return tooMuch;
  const fields: Fields = Object.assign(Object.create(null), resource);
  if (text(scope.name) !== undefined) fields['otel.scope.name'] = scope.name;
  Object.assign(fields, attributes, body);
  const timeMs = milliseconds(logRecord.timeUnixNano) ?? milliseconds(logRecord.observedTimeUnixNano);
  if (timeMs !== undefined) fields.time = timeMs;
  const severity = Number(logRecord.severityNumber ?? 0);
  if (Number.isInteger(severity) && severity > 0) fields.severity_number = severity;
  const level = text(logRecord.severityText) ?? levelOf(severity);
  if (level !== undefined) fields['log.level'] = level;
  put(fields, 'trace_id', text(logRecord.traceId)?.toLowerCase());
  put(fields, 'span_id', text(logRecord.spanId)?.toLowerCase());
  put(fields, 'event.name', text(logRecord.eventName));
  return Buffer.from(JSON.stringify(fields));
}

const tooMuch = `a value nests deeper than ${maxDepth}, or has more than ${maxAttributes} attributes`;
const nothing: Fields = {};

/** A text is the message; a map's fields are the event's, as an application that logs objects means them. Undefined: nests too deep, or has too many fields. */
function bodyOf(body: unknown): Fields | undefined {
  if (!isObject(body)) return nothing;
  if (isObject(body.kvlistValue)) return attributesOf(body.kvlistValue.values);
  const value = plainValue(body, 0);
  if (value === undefined) return undefined;
  if (value === null) return nothing;
  return { message: typeof value === 'object' ? JSON.stringify(value) : String(value) };
}

/** The attributes of a resource. Throws an `OtlpError` where they nest too deep or are too many: all records would have them. */
export function resourceOf(attributes: unknown): Fields {
  const fields = attributesOf(attributes);
  if (fields === undefined) throw new OtlpError(`resource.attributes: ${tooMuch}`);
  return fields;
}

/** Undefined: a value nests too deep, or they are too many. */
function attributesOf(attributes: unknown): Fields | undefined {
  return keyValues(attributes, 0);
}

function keyValues(pairs: unknown, depth: number): Fields | undefined {
  // No prototype: an attribute may be called `__proto__`.
  const fields: Fields = Object.create(null);
  if (!Array.isArray(pairs)) return fields;
  if (pairs.length > maxAttributes) return undefined;
  for (const pair of pairs) {
    if (!isObject(pair) || typeof pair.key !== 'string' || pair.key === '') continue;
    const value = plainValue(pair.value, depth);
    if (value === undefined) return undefined;
    fields[pair.key] = value;
  }
  return fields;
}

/**
 * An AnyValue as plain JSON; an integer past 2^53 stays text, so that it stays itself. Undefined: it nests too deep, or is too large. That is no exception,
 * which would cost far more than the value: a request may hold a hundred thousand of them.
 */
function plainValue(value: unknown, depth: number): unknown {
  if (depth > maxDepth) return undefined;
  if (!isObject(value)) return null;
  if (typeof value.stringValue === 'string') return value.stringValue;
  if (typeof value.boolValue === 'boolean') return value.boolValue;
  // Some exporters write null for a number JSON has not, NaN: as any null in that mapping, it is no value.
  if (value.intValue !== undefined && value.intValue !== null) {
    const number = Number(value.intValue);
    return Number.isSafeInteger(number) ? number : String(value.intValue);
  }
  if (value.doubleValue !== undefined && value.doubleValue !== null) {
    const number = Number(value.doubleValue);
    return Number.isFinite(number) ? number : String(value.doubleValue);
  }
  if (typeof value.bytesValue === 'string') return value.bytesValue;
  if (isObject(value.arrayValue)) return plainList(value.arrayValue.values, depth + 1);
  if (isObject(value.kvlistValue)) return keyValues(value.kvlistValue.values, depth + 1);
  return null;
}

function plainList(values: unknown, depth: number): unknown[] | undefined {
  const list: unknown[] = [];
  if (!Array.isArray(values)) return list;
  for (const each of values) {
    const value = plainValue(each, depth);
    if (value === undefined) return undefined;
    list.push(value);
  }
  return list;
}

/** Nanoseconds, as decimal text or number, in whole ms; undefined for 0, which means unknown. */
function milliseconds(nanoseconds: unknown): number | undefined {
  if (typeof nanoseconds === 'number') return nanoseconds > 0 ? Math.floor(nanoseconds / 1e6) : undefined;
  if (typeof nanoseconds !== 'string' || nanoseconds.length < 7) return undefined;
  const ms = Number(nanoseconds.slice(0, -6));
  return Number.isSafeInteger(ms) && ms > 0 ? ms : undefined;
}

/** 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal; 0 is unset. */
function levelOf(severity: number): string | undefined {
  return ['trace', 'debug', 'info', 'warn', 'error', 'fatal'][Math.ceil(severity / 4) - 1];
}

function put(fields: Fields, name: string, value: string | undefined): void {
  if (value !== undefined) fields[name] = value;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
