/**
 * OTLP/HTTP logs as protobuf -> the records of `otlp-records.ts`, by way of the JSON mapping, so that both encodings of a request give
 * the same bytes. Field numbers: opentelemetry-proto `collector/logs/v1`, `logs/v1`, `common/v1`, `resource/v1` (stable since 1.0).
 */
import {
  type Fields,
  maxDepth,
  maxOtlpParts,
  OtlpCollector,
  OtlpError,
  type OtlpLimits,
  type OtlpRecords,
  resourceOf,
} from './otlp-records.ts';
import { ProtobufError, ProtobufReader, protobufBytes, protobufVarint, TooManyFieldsError, Wire } from './protobuf.ts';

const tag = (field: number, wire: number): number => field * 8 + wire;

const inRequest = { resourceLogs: tag(1, Wire.bytes) };
const inResourceLogs = { resource: tag(1, Wire.bytes), scopeLogs: tag(2, Wire.bytes) };
const inResource = { attributes: tag(1, Wire.bytes) };
const inScopeLogs = { scope: tag(1, Wire.bytes), logRecords: tag(2, Wire.bytes) };
const inScope = { name: tag(1, Wire.bytes) };
const inKeyValue = { key: tag(1, Wire.bytes), value: tag(2, Wire.bytes) };
const inList = { values: tag(1, Wire.bytes) };
const inLogRecord = {
  time: tag(1, Wire.fixed64),
  severityNumber: tag(2, Wire.varint),
  severityText: tag(3, Wire.bytes),
  body: tag(5, Wire.bytes),
  attributes: tag(6, Wire.bytes),
  traceId: tag(9, Wire.bytes),
  spanId: tag(10, Wire.bytes),
  observedTime: tag(11, Wire.fixed64),
  eventName: tag(12, Wire.bytes),
};
const inAnyValue = {
  string: tag(1, Wire.bytes),
  bool: tag(2, Wire.varint),
  int: tag(3, Wire.varint),
  double: tag(4, Wire.fixed64),
  array: tag(5, Wire.bytes),
  kvlist: tag(6, Wire.bytes),
  bytes: tag(7, Wire.bytes),
};

/** Reads a whole request. Throws an `OtlpError` if the body is no message or has over `maxOtlpParts`; unknown fields are stepped over. */
export function otlpProtobufRecords(body: Buffer, limits: OtlpLimits): OtlpRecords {
  const collected = new OtlpCollector(limits);
  try {
    const request = ProtobufReader.of(body, maxOtlpParts);
    while (request.next()) if (request.tag === inRequest.resourceLogs) readResourceLogs(request, collected);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    if (error instanceof TooManyFieldsError) throw new OtlpError(`the body has ${error.message}; send fewer at once`, 413);
    throw new OtlpError(`the body is not an ExportLogsServiceRequest in protobuf: ${error.message}`);
  }
  return collected;
}

/** A resource, or a scope, may be written after what belongs to it: it is looked for first. */
function readResourceLogs(parent: ProtobufReader, collected: OtlpCollector): void {
  let resource: Fields = resourceOf(undefined);
  for (const fields = parent.message(); fields.next(); ) {
    if (fields.tag === inResourceLogs.resource) resource = resourceOf(keyValues(fields.message(), inResource.attributes, 0));
  }
  for (const fields = parent.message(); fields.next(); ) {
    if (fields.tag === inResourceLogs.scopeLogs) readScopeLogs(fields, resource, collected);
  }
}

function readScopeLogs(parent: ProtobufReader, resource: Fields, collected: OtlpCollector): void {
  const scope: Fields = {};
  for (const fields = parent.message(); fields.next(); ) {
    if (fields.tag !== inScopeLogs.scope) continue;
    for (const inner = fields.message(); inner.next(); ) if (inner.tag === inScope.name) scope.name = inner.text();
  }
  const fields = parent.message();
  while (fields.next()) {
    if (fields.tag !== inScopeLogs.logRecords || !collected.takesNext()) continue;
    collected.add(readLogRecord(fields.message()), resource, scope);
  }
}

function readLogRecord(fields: ProtobufReader): Fields {
  const logRecord: Fields = {};
  const attributes: Fields[] = [];
  while (fields.next()) {
    switch (fields.tag) {
      case inLogRecord.time:
        logRecord.timeUnixNano = fields.fixed64();
        break;
      case inLogRecord.observedTime:
        logRecord.observedTimeUnixNano = fields.fixed64();
        break;
      case inLogRecord.severityNumber:
        logRecord.severityNumber = fields.integer();
        break;
      case inLogRecord.severityText:
        logRecord.severityText = fields.text();
        break;
      case inLogRecord.body:
        logRecord.body = anyValue(fields.message(), 0);
        break;
      case inLogRecord.attributes:
        attributes.push(keyValue(fields.message(), 0));
        break;
      case inLogRecord.traceId:
        logRecord.traceId = fields.encoded('hex');
        break;
      case inLogRecord.spanId:
        logRecord.spanId = fields.encoded('hex');
        break;
      case inLogRecord.eventName:
        logRecord.eventName = fields.text();
        break;
    }
  }
  logRecord.attributes = attributes;
  return logRecord;
}

/** An AnyValue in its JSON mapping. Past `maxDepth` it is not read: whoever takes it refuses the log record for its depth. */
function anyValue(fields: ProtobufReader, depth: number): Fields {
  const value: Fields = {};
  if (depth > maxDepth + 1) return value;
  while (fields.next()) {
    switch (fields.tag) {
      case inAnyValue.string:
        value.stringValue = fields.text();
        break;
      case inAnyValue.bool:
        value.boolValue = fields.integer() !== 0;
        break;
      case inAnyValue.int:
        value.intValue = fields.integer();
        break;
      case inAnyValue.double:
        value.doubleValue = fields.double();
        break;
      case inAnyValue.bytes:
        value.bytesValue = fields.encoded('base64');
        break;
      case inAnyValue.array: {
        const values: Fields[] = [];
        for (const inner = fields.message(); inner.next(); )
          if (inner.tag === inList.values) values.push(anyValue(inner.message(), depth + 1));
        value.arrayValue = { values };
        break;
      }
      case inAnyValue.kvlist:
        value.kvlistValue = { values: keyValues(fields.message(), inList.values, depth + 1) };
        break;
    }
  }
  return value;
}

function keyValues(fields: ProtobufReader, wanted: number, depth: number): Fields[] {
  const pairs: Fields[] = [];
  while (fields.next()) if (fields.tag === wanted) pairs.push(keyValue(fields.message(), depth));
  return pairs;
}

function keyValue(fields: ProtobufReader, depth: number): Fields {
  const pair: Fields = {};
  while (fields.next()) {
    if (fields.tag === inKeyValue.key) pair.key = fields.text();
    else if (fields.tag === inKeyValue.value) pair.value = anyValue(fields.message(), depth);
  }
  return pair;
}

/** `ExportLogsServiceResponse`: nothing where all was taken. */
export function otlpProtobufAnswer(rejected: number, problem: string | undefined): Buffer {
  if (rejected === 0) return Buffer.alloc(0);
  return protobufBytes(1, Buffer.concat([protobufVarint(1, rejected), protobufBytes(2, Buffer.from(problem ?? ''))]));
}

/** `google.rpc.Status` with a message only. */
export function otlpProtobufStatus(message: string): Buffer {
  return protobufBytes(2, Buffer.from(message));
}
