import { isUtf8 } from 'node:buffer';
import type { SourceRecord } from '../record.ts';
import { type ContainerDecoder, isDocker } from './container.ts';
import type { RejectReason } from './decoder.ts';
import type { EventBatch } from './event-batch.ts';
import type { LineDecoder } from './line-decoder.ts';
import { decodeOtlp, type OtlpRequest } from './otlp.ts';
import type { RowWriter } from './row-writer.ts';

/**
 * JSON records: one object, an array of objects (a row each), an OTLP export. The hot path: parse, then one walk over the object's own
 * keys. Fluent Bit, Vector and Docker put a line inside an object; such a line is decoded into the same row and comes before the
 * metadata around it.
 */
export class JsonDecoder {
  private readonly writer: RowWriter;
  private readonly lines: LineDecoder;
  private readonly containers: ContainerDecoder;

  constructor(writer: RowWriter, lines: LineDecoder, containers: ContainerDecoder) {
    this.writer = writer;
    this.lines = lines;
    this.containers = containers;
  }

  decode(text: string, record: SourceRecord, recordIndex: number, out: EventBatch): RejectReason | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return record.value !== null && !isUtf8(record.value) ? 'bad_utf8' : 'bad_json';
    }
    if (typeof value !== 'object' || value === null) return 'not_an_object';
    const first = out.length;
    const reason = Array.isArray(value) ? this.rows(value, record, recordIndex, out) : this.row(value, record, recordIndex, out);
    // A record that is refused leaves no row, not even of an array's first elements.
    if (reason !== undefined) out.length = first;
    return reason;
  }

  private rows(elements: readonly unknown[], record: SourceRecord, recordIndex: number, out: EventBatch): RejectReason | undefined {
    if (elements.length === 0) return 'empty';
    for (const element of elements) {
      if (typeof element !== 'object' || element === null || Array.isArray(element)) return 'not_an_object';
      const reason = this.row(element, record, recordIndex, out);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  private row(value: object, record: SourceRecord, recordIndex: number, out: EventBatch): RejectReason | undefined {
    const row = this.writer;
    row.open(out, recordIndex, record);
    if (!row.object(value)) return 'too_deep';
    if (row.isOtlp) return decodeOtlp(value as OtlpRequest, row, record, recordIndex, out);
    if (row.isEnvelope && row.innerText !== undefined) {
      if (isDocker(value)) {
        this.containers.decodeDocker(value, record, recordIndex, out);
        return undefined;
      }
      const line = row.innerText;
      row.open(out, recordIndex, record);
      row.from('envelope');
      row.object(value);
      row.from('own');
      this.lines.fill(line, row);
    }
    row.commit();
    return undefined;
  }
}
