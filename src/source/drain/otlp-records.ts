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

/** The body is no `ExportLogsServiceRequest`. */
export class OtlpError extends Error {
  override name = 'OtlpError';
}

export type Fields = Record<string, unknown>;
/** Attribute values nest; nothing real nests as deep as this. */
export const maxDepth = 32;

export interface OtlpLimits {
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

  /** `read` gives the log record in its JSON mapping; it is not called past the limit. An `OtlpError` of its own is not caught. */
  add(read: () => unknown, resource: Fields, scope: Fields): void {
    const { maxRecords, maxBytes } = this.limits;
    if (this.records.length >= maxRecords || this.bytes >= maxBytes) {
      const limit = this.bytes >= maxBytes ? `${maxBytes} bytes of` : maxRecords;
      this.reject(`more than ${limit} log records in one request`);
      return;
    }
    const logRecord = read();
    try {
      const record = Buffer.from(JSON.stringify(fieldsOf(logRecord, resource, scope)));
      this.bytes += record.length;
      this.records.push(record);
    } catch (error) {
      this.reject((error as Error).message);
    }
  }

  private reject(problem: string): void {
    this.rejected++;
    this.problem ??= problem;
  }
}

function fieldsOf(logRecord: unknown, resource: Fields, scope: Fields): Fields {
  if (!isObject(logRecord)) throw new OtlpError('a log record is not an object');
  const fields: Fields = Object.assign(Object.create(null), resource);
  if (text(scope.name) !== undefined) fields['otel.scope.name'] = scope.name;
  Object.assign(fields, attributesOf(logRecord.attributes));
  addBody(logRecord.body, fields);
  const timeMs = milliseconds(logRecord.timeUnixNano) ?? milliseconds(logRecord.observedTimeUnixNano);
  if (timeMs !== undefined) fields.time = timeMs;
  const severity = Number(logRecord.severityNumber ?? 0);
  if (Number.isInteger(severity) && severity > 0) fields.severity_number = severity;
  const level = text(logRecord.severityText) ?? levelOf(severity);
  if (level !== undefined) fields['log.level'] = level;
  put(fields, 'trace_id', text(logRecord.traceId)?.toLowerCase());
  put(fields, 'span_id', text(logRecord.spanId)?.toLowerCase());
  put(fields, 'event.name', text(logRecord.eventName));
  return fields;
}

/** A text is the message; a map's fields are the event's, as an application that logs objects means them. */
function addBody(body: unknown, fields: Fields): void {
  if (!isObject(body)) return;
  if (isObject(body.kvlistValue)) {
    Object.assign(fields, attributesOf(body.kvlistValue.values));
    return;
  }
  const value = plainValue(body, 0);
  if (value === null) return;
  fields.message = typeof value === 'object' ? JSON.stringify(value) : String(value);
}

export function attributesOf(attributes: unknown): Fields {
  return keyValues(attributes, 0);
}

function keyValues(pairs: unknown, depth: number): Fields {
  // No prototype: an attribute may be called `__proto__`.
  const fields: Fields = Object.create(null);
  if (!Array.isArray(pairs)) return fields;
  for (const pair of pairs) {
    if (isObject(pair) && typeof pair.key === 'string' && pair.key !== '') fields[pair.key] = plainValue(pair.value, depth);
  }
  return fields;
}

/** An AnyValue as plain JSON; an integer past 2^53 stays text, so that it stays itself. */
function plainValue(value: unknown, depth: number): unknown {
  if (depth > maxDepth) throw new OtlpError(`a value nests deeper than ${maxDepth}`);
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
  if (isObject(value.arrayValue)) {
    return Array.isArray(value.arrayValue.values) ? value.arrayValue.values.map((each) => plainValue(each, depth + 1)) : [];
  }
  if (isObject(value.kvlistValue)) return keyValues(value.kvlistValue.values, depth + 1);
  return null;
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
