import type { RecordBatch, SourceRecord } from '../record.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { fillAccessLog } from './access-log.ts';
import { ContainerDecoder, isCri } from './container.ts';
import type { Decoder, RejectReason, Rejects } from './decoder.ts';
import type { EventBatch, FieldPlan } from './event-batch.ts';
import { type ExtractorOptions, Extractors } from './extractors.ts';
import { compileFields } from './field-table.ts';
import { routerNames, senderNames } from './fields.ts';
import { HeldLines } from './held-lines.ts';
import { JsonDecoder } from './json.ts';
import { JsonScanner } from './json-scanner.ts';
import { LineDecoder } from './line-decoder.ts';
import { JsonParts } from './partial-json.ts';
import { fillPlain } from './plain.ts';
import { rejectedBySource } from './reject-header.ts';
import { RowWriter } from './row-writer.ts';
import { bufferOf, skipBlanks, textOf, withoutLineBreak } from './text-of.ts';

export interface DecodeOptions {
  readonly plan: FieldPlan;
  /** Sender's name -> OpenTelemetry name, before the built-in table; a form may follow the sender's name (`took|ms`). */
  readonly fields?: Readonly<Record<string, string>>;
  readonly extractors?: readonly ExtractorOptions[];
  /** Longer records are refused as `too_long`; joined container lines are cut there. Default 1 MiB. */
  readonly maxRecordBytes?: number;
}

/** What `RecordBatch.format` may be. */
export const formats = ['auto', 'json', 'logfmt', 'logplex', 'syslog', 'cri', 'docker', 'access', 'plain'] as const;
export type Format = (typeof formats)[number];

/**
 * Makes the decoder of a pipeline, which goes by the `format` of each batch; one that is not in `formats` is taken as `auto` (the config
 * refuses it long before). The field plan must be complete. Throws an Error for an extractor or a form of a value that does not exist.
 */
export function createDecoder(options: DecodeOptions): Decoder {
  return new FormatDecoder(options);
}

/** Formats whose records are JSON objects. */
const jsonFormats: ReadonlySet<string> = new Set<Format>(['json', 'docker']);

type DecodeText = (text: string, record: SourceRecord, index: number, out: EventBatch) => RejectReason | undefined;

class FormatDecoder implements Decoder {
  private readonly row: RowWriter;
  private readonly lines: LineDecoder;
  private readonly containers: ContainerDecoder;
  private readonly held: HeldLines;
  private readonly parts: JsonParts;
  private readonly json: JsonDecoder;
  private readonly scanner: JsonScanner;
  private readonly maxRecordBytes: number;
  private readonly auto: DecodeText;
  private readonly byFormat: ReadonlyMap<string, DecodeText>;

  constructor(options: DecodeOptions) {
    const { plan } = options;
    const extractors = new Extractors(options.extractors ?? []);
    const names = compileFields(plan, senderNames, { additions: options.fields, wantsMessage: !extractors.isEmpty, wholeRecords: true });
    this.maxRecordBytes = options.maxRecordBytes ?? 1 << 20;
    this.row = new RowWriter(names, plan.size, extractors.isEmpty ? undefined : extractors);
    this.lines = new LineDecoder(compileFields(plan, routerNames, { additions: options.fields }));
    this.held = new HeldLines(this.maxRecordBytes);
    this.containers = new ContainerDecoder(this.row, this.lines, this.held);
    this.json = new JsonDecoder(this.row, this.lines, this.containers);
    this.parts = new JsonParts(this.held, (text, record, index, out) => this.json.decode(text, record, index, out));
    this.scanner = new JsonScanner(this.row, names);
    this.auto = (text, record, index, out) => this.decodeAny(text, record, index, out);
    this.byFormat = this.decoders();
  }

  decode(records: RecordBatch, out: EventBatch, rejects: Rejects): void {
    const decodeText = this.byFormat.get(records.format) ?? this.auto;
    const mayBeJson = decodeText === this.auto || jsonFormats.has(records.format);
    const list = records.records;
    for (let index = 0; index < list.length; index++) {
      const { value } = list[index];
      let reason: RejectReason | undefined;
      if (value === null || value.length === 0) reason = 'empty';
      else if (value.length > this.maxRecordBytes) reason = 'too_long';
      else {
        reason = rejectedBySource(list[index]);
        const isDone =
          reason !== undefined ||
          (mayBeJson && (this.parts.take(list[index], index, out) || this.scanner.scan(bufferOf(value), list[index], index, out)));
        if (!isDone) reason = decodeText(textOf(value), list[index], index, out);
      }
      if (reason !== undefined) rejects.add(index, reason);
    }
  }

  snapshot(out: SnapshotWriter): void {
    out.section('decode');
    this.held.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('decode');
    this.held.restore(from);
  }

  private decoders(): Map<string, DecodeText> {
    const { lines } = this;
    return new Map<Format, DecodeText>([
      ['auto', this.auto],
      ['json', (text, record, index, out) => this.json.decode(text, record, index, out)],
      ['docker', (text, record, index, out) => this.json.decode(text, record, index, out)],
      ['cri', (text, record, index, out) => this.containers.decodeCri(text, record, index, out)],
      ['logplex', this.perLine('bad_frame', (text, row) => lines.fillFrame(text, row, true))],
      ['syslog', this.perLine('bad_syslog', (text, row) => lines.fillSyslog(text, row))],
      ['logfmt', this.perLine('bad_logfmt', (text, row) => lines.logfmt(text, row))],
      ['access', this.perLine('bad_access_log', fillAccessLog)],
      [
        'plain',
        this.perLine('empty', (text, row) => {
          fillPlain(text, row);
          return true;
        }),
      ],
    ]);
  }

  /** A format that is named is not guessed: what is not of it is refused with its reason. */
  private perLine(reason: RejectReason, fill: (text: string, row: RowWriter) => boolean): DecodeText {
    return (text, record, index, out) => {
      const line = withoutLineBreak(text);
      if (skipBlanks(line, 0) === line.length) return 'empty';
      this.row.open(out, index, record);
      if (!fill(line, this.row)) return reason;
      this.row.commit();
      return undefined;
    };
  }

  /** Recognises one record by its first characters. */
  private decodeAny(text: string, record: SourceRecord, index: number, out: EventBatch): RejectReason | undefined {
    const at = skipBlanks(text, 0);
    if (at === text.length) return 'empty';
    const code = text.charCodeAt(at);
    if (code === 123 && isJsonStart(text, at)) return this.json.decode(text, record, index, out);
    if (code === 91 && isArrayOfObjects(text, at)) return this.json.decode(text, record, index, out);
    if (code >= 48 && code <= 57 && isCri(text)) {
      const reason = this.containers.decodeCri(text, record, index, out);
      if (reason === undefined) return undefined;
    }
    this.row.open(out, index, record);
    const { headers } = record;
    const fromDrain = headers !== undefined && headers['logplex-drain-token'] !== undefined;
    if (!fromDrain || !this.lines.fillFrame(withoutLineBreak(text), this.row, true)) this.lines.fill(text, this.row);
    this.row.commit();
    return undefined;
  }
}

/** `{"` and `{}`, blanks between; a Go struct in braces is a message, not broken JSON. */
function isJsonStart(text: string, at: number): boolean {
  const code = text.charCodeAt(skipBlanks(text, at + 1));
  return code === 34 || code === 125 || Number.isNaN(code);
}

/** `[{` and `[]`; other brackets open the time or the level of a plain line. */
function isArrayOfObjects(text: string, at: number): boolean {
  const code = text.charCodeAt(skipBlanks(text, at + 1));
  return code === 123 || code === 93;
}
