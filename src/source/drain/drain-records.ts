/** What a drain's body becomes: records for the journal, by the drain's kind. Pure. */
import { missingHeader, rejectHeader } from '../../../processors/decode/reject-header.ts';
import type { JournalRecord } from './journal.ts';
import { splitJson, splitLines } from './json-body.ts';
import { parseLogplexBody } from './logplex-body.ts';
import { otlpRecords } from './otlp-json.ts';
import { otlpProtobufRecords } from './otlp-protobuf.ts';
import { OtlpError } from './otlp-records.ts';

export type DrainKind = 'logplex' | 'json' | 'otlp';

/** The drain a Logplex batch came through: one per app, so the name of the tenant. */
export const tokenHeader = 'logplex-drain-token';
/** The batch's name over resends; kept so that repeats are still told after a restart. */
export const frameIdHeader = 'logplex-frame-id';

export interface DrainBody {
  readonly records: JournalRecord[];
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
  /** Kept with every record; one object, stored once. */
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
      return plain(
        pieces.map(({ start, end }) => body.subarray(start, end)),
        context,
      );
    }
    case 'otlp': {
      const read = context.mediaType === 'application/x-protobuf' ? otlpProtobufRecords : otlpRecords;
      const { records, rejected, problem } = read(body, context);
      const kept = plain(records, context);
      // The sender is told and will not send them again, so the windows must know too.
      if (rejected > 0) markMissing(kept.records, { ...context, claimed: records.length + rejected });
      return { ...kept, refused: rejected, problem };
    }
  }
}

/**
 * A body that could not even be opened (a broken gzip, an encoding nobody knows), as the one record it is. Of OTLP, whose senders are
 * told, an `OtlpError`.
 */
export function unreadableBody(body: Buffer, context: BodyContext, problem: string): DrainBody {
  if (context.kind === 'otlp') throw new OtlpError(problem);
  const record = { value: body, timestampMs: context.arrivedMs, headers: rejectHeaders(context)('bad_frame') };
  return { records: [record], rejects: 1, refused: 0, problem: undefined };
}

function plain(values: readonly Buffer[], context: BodyContext): DrainBody {
  const records = values.map((value) => ({ value, timestampMs: context.arrivedMs, headers: context.headers }));
  return { records, rejects: 0, refused: 0, problem: undefined };
}

function logplexRecords(body: Buffer, context: BodyContext): DrainBody {
  const frames = parseLogplexBody(body);
  const records: JournalRecord[] = [];
  const headersOf = rejectHeaders(context);
  let rejects = 0;
  for (let i = 0; i < frames.length; i++) {
    const { start, end, reject } = frames[i];
    if (i === context.maxRecords - 1 && i < frames.length - 1) {
      rejects++;
      records.push({ value: body.subarray(start), timestampMs: context.arrivedMs, headers: headersOf('too_long') });
      break;
    }
    if (reject !== undefined) {
      rejects++;
      records.push({ value: body.subarray(start, end), timestampMs: context.arrivedMs, headers: headersOf(reject) });
    } else {
      records.push({ value: body.subarray(start, end), timestampMs: context.arrivedMs, headers: context.headers });
    }
  }
  markMissing(records, context);
  const countDiffers = context.claimed !== undefined && context.claimed !== records.length - rejects;
  return { records, rejects, refused: 0, problem: undefined, countDiffers };
}

/**
 * The last record says how many messages should have come with it and did not: the windows around it must know. A claim of more than any
 * body may hold is no claim.
 */
function markMissing(records: JournalRecord[], { claimed = 0, headers, arrivedMs, maxRecords }: BodyContext): void {
  const missing = claimed - records.length;
  if (missing <= 0 || claimed > maxRecords) return;
  if (records.length === 0) records.push({ value: Buffer.alloc(0), timestampMs: arrivedMs, headers });
  const last = records[records.length - 1];
  records[records.length - 1] = { ...last, headers: { ...last.headers, [missingHeader]: String(missing) } };
}

type FrameReject = 'bad_frame' | 'too_long';

/** One object for each reason: a journal holds some 65,000 sets of headers in one append, and a body may hold more bad frames. */
function rejectHeaders({ headers }: BodyContext): (reason: FrameReject) => Readonly<Record<string, string>> {
  const sets: { [reason in FrameReject]?: Readonly<Record<string, string>> } = {};
  return (reason) => {
    sets[reason] ??= { ...headers, [rejectHeader]: reason };
    return sets[reason];
  };
}
