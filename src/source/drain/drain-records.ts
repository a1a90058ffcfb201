/** What a drain's body becomes: records for the journal, by the drain's kind. Pure. */
import { missingHeader, rejectHeader } from '../../../processors/decode/reject-header.ts';
import type { DrainRecords } from './drain-keeper.ts';
import type { JournalRecord } from './journal.ts';
import { splitJson, splitLines } from './json-body.ts';
import { LogplexFrames } from './logplex-body.ts';
import { otlpRecords } from './otlp-json.ts';
import { otlpProtobufRecords } from './otlp-protobuf.ts';
import { OtlpError } from './otlp-records.ts';
import { RecordSlices } from './record-slices.ts';

export type DrainKind = 'logplex' | 'json' | 'otlp';

/** The drain a Logplex batch came through: one per app, so the name of the tenant. */
export const tokenHeader = 'logplex-drain-token';
/** The batch's name over resends; kept so that repeats are still told after a restart. */
export const frameIdHeader = 'logplex-frame-id';

export interface DrainBody {
  readonly records: DrainRecords;
  /** Records that are the bytes of a body that could not be cut into any; they carry `rejectHeader`. */
  readonly rejects: number;
  /** OTLP: log records the request held that could not be read, and why. */
  readonly refused: number;
  readonly problem: string | undefined;
  /** The body held another number of messages than its sender said. */
  readonly countDiffers?: boolean;
}

export interface BodyContext {
  readonly kind: DrainKind;
  readonly mediaType: string;
  readonly arrivedMs: number;
  /** Kept with every record; stored once. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** How many messages the sender says there are. */
  readonly claimed?: number;
  readonly maxRecords: number;
  /** Of all records together, where they can be more than the body: OTLP repeats what a resource says in each of its records. */
  readonly maxBytes: number;
}

/** Cuts a body into records. Throws an `OtlpError` for an OTLP body that is none; nothing else throws, whatever the bytes. */
export function drainRecords(body: Buffer, context: BodyContext): DrainBody {
  switch (context.kind) {
    case 'logplex':
      return logplexRecords(body, context);
    case 'json': {
      const byLine = context.mediaType === 'application/x-ndjson' || context.mediaType === 'application/jsonl';
      const pieces = byLine ? splitLines(body, 0, context.maxRecords) : splitJson(body, context.maxRecords);
      const records = new RecordSlices(body, context.arrivedMs, context.headers);
      for (const { start, end } of pieces) records.add(start, end);
      return { records, rejects: 0, refused: 0, problem: undefined };
    }
    case 'otlp': {
      const read = context.mediaType === 'application/x-protobuf' ? otlpProtobufRecords : otlpRecords;
      const { records, rejected, problem } = read(body, context);
      return { records: otlpKept(records, rejected, context), rejects: 0, refused: rejected, problem };
    }
  }
}

/**
 * A body that could not even be opened (a broken gzip, an encoding nobody knows), as the one record it is. Of OTLP, whose senders are
 * told, an `OtlpError`.
 */
export function unreadableBody(body: Buffer, context: BodyContext, problem: string): DrainBody {
  if (context.kind === 'otlp') throw new OtlpError(problem);
  const records = new RecordSlices(body, context.arrivedMs, { ...context.headers, [rejectHeader]: 'bad_frame' });
  records.add(0, body.length);
  return { records, rejects: 1, refused: 0, problem: undefined };
}

/** The sender is told how many were rejected and will not send them again, so the windows must know too. */
function otlpKept(values: readonly Buffer[], rejected: number, { arrivedMs: timestampMs, headers }: BodyContext): DrainRecords {
  const records: JournalRecord[] = values.map((value) => ({ value, timestampMs, headers }));
  if (rejected > 0) {
    const last = records.pop() ?? { value: Buffer.alloc(0), timestampMs, headers };
    records.push({ ...last, headers: { ...headers, [missingHeader]: String(rejected) } });
  }
  return records;
}

function logplexRecords(body: Buffer, context: BodyContext): DrainBody {
  const frames = new LogplexFrames(body);
  const records = new RecordSlices(body, context.arrivedMs, context.headers);
  // One set of headers for each reason: an append has places for some 65,000, and a body may hold more bad frames.
  const setOf: { [reason in 'bad_frame' | 'too_long']?: number } = {};
  let rejects = 0;
  for (let i = 0; i < context.maxRecords && frames.next(); i++) {
    const isRest = i === context.maxRecords - 1 && !frames.atEnd;
    const reject = isRest ? 'too_long' : frames.reject;
    records.add(frames.start, isRest ? body.length : frames.end);
    if (reject !== undefined) {
      rejects++;
      setOf[reject] ??= records.addHeaderSet({ ...context.headers, [rejectHeader]: reject });
      records.setHeaders(i, setOf[reject]);
    }
  }
  const countDiffers = context.claimed !== undefined && context.claimed !== records.length - rejects;
  markMissing(records, context);
  return { records, rejects, refused: 0, problem: undefined, countDiffers };
}

/**
 * The last record says how many messages should have come with it and did not: the windows around it must know. A claim of more than any
 * body may hold is no claim.
 */
function markMissing(records: RecordSlices, { claimed = 0, maxRecords }: BodyContext): void {
  const missing = claimed - records.length;
  if (missing <= 0 || claimed > maxRecords) return;
  if (records.length === 0) records.add(0, 0);
  const last = records.length - 1;
  records.setHeaders(last, records.addHeaderSet({ ...records.headersOf(last), [missingHeader]: String(missing) }));
}
