/** OTLP/HTTP logs in JSON -> the records of `otlp-records.ts`. */
import { hasMoreParts } from './json-parts.ts';
import { isObject, maxOtlpParts, OtlpCollector, OtlpError, type OtlpLimits, type OtlpRecords, resourceOf } from './otlp-records.ts';

/**
 * Reads a whole request. Throws an `OtlpError` if the body is not JSON, has no `resourceLogs` list where it must be one, or has more than
 * `maxOtlpParts`.
 */
export function otlpRecords(body: Buffer, limits: OtlpLimits): OtlpRecords {
  if (hasMoreParts(body, maxOtlpParts)) throw new OtlpError(`the body has more than ${maxOtlpParts} values; send fewer at once`, 413);
  let request: unknown;
  try {
    request = JSON.parse(body.toString());
  } catch (cause) {
    throw new OtlpError(`the body is not JSON: ${(cause as Error).message}`);
  }
  if (!isObject(request)) throw new OtlpError('the body is not an ExportLogsServiceRequest: expected an object with resourceLogs');
  const collected = new OtlpCollector(limits);
  for (const resourceLogs of list(request.resourceLogs, 'resourceLogs')) {
    const resource = resourceOf(isObject(resourceLogs) && isObject(resourceLogs.resource) ? resourceLogs.resource.attributes : undefined);
    for (const scopeLogs of list(isObject(resourceLogs) ? resourceLogs.scopeLogs : undefined, 'scopeLogs')) {
      const scope = isObject(scopeLogs) && isObject(scopeLogs.scope) ? scopeLogs.scope : {};
      for (const logRecord of list(isObject(scopeLogs) ? scopeLogs.logRecords : undefined, 'logRecords')) {
        if (collected.takesNext()) collected.add(logRecord, resource, scope);
      }
    }
  }
  return collected;
}

function list(value: unknown, name: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new OtlpError(`${name}: expected a list, found ${typeof value}`);
  return value;
}
