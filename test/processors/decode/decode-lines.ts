import { createDecoder, type DecodeOptions } from '../../../processors/decode/create-decoder.ts';
import { type Decoder, Rejects } from '../../../processors/decode/decoder.ts';
import { EventBatch, FieldPlan, Kind, type Scalar } from '../../../processors/decode/event-batch.ts';
import type { RecordBatch } from '../../../processors/record.ts';
import { hashKeyOf, publishedHashKey } from '../../../processors/sketch/hash.ts';

export type Value = Scalar | readonly Scalar[] | undefined;
export interface Row {
  readonly timeMs: number;
  readonly time: string;
  readonly dataset: string;
  readonly lost: number;
  readonly record: number;
  readonly fields: Readonly<Record<string, Value>>;
}

export interface Setup extends Omit<DecodeOptions, 'plan' | 'fields'> {
  /** The fields somebody reads. */
  readonly fields: readonly string[];
  readonly names?: Readonly<Record<string, string>>;
}

/** A decoder with its batch, and what came of the records given to it. */
export class Harness {
  readonly decoder: Decoder;
  readonly rejects = new Rejects();
  readonly out: EventBatch;
  private readonly plan = new FieldPlan();

  constructor(setup: Setup) {
    for (const field of setup.fields) this.plan.slot(field);
    const { fields: _, names, ...rest } = setup;
    this.decoder = createDecoder({ ...rest, plan: this.plan, fields: names });
    this.out = new EventBatch(this.plan, hashKeyOf(publishedHashKey), 2);
  }

  decode(
    lines: readonly (string | Uint8Array | null)[],
    batch: Partial<RecordBatch> & { timestampMs?: number; headers?: Record<string, string> } = {},
  ): Row[] {
    const records: RecordBatch = {
      topic: 'logs',
      partition: 0,
      dataset: 'app',
      format: 'auto',
      ...batch,
      records: lines.map((line, offset) => ({
        value: typeof line === 'string' ? Buffer.from(line) : line,
        offset,
        timestampMs: batch.timestampMs ?? Number.NaN,
        headers: batch.headers,
      })),
    };
    this.rejects.reset();
    this.out.reset(records);
    this.decoder.decode(records, this.out, this.rejects);
    const rows: Row[] = [];
    for (let row = 0; row < this.out.length; row++) rows.push(this.row(row));
    return rows;
  }

  private row(row: number): Row {
    const fields: Record<string, Value> = {};
    for (const field of this.plan.fields) {
      const value = this.value(this.plan.slot(field), row);
      if (value !== undefined) fields[field] = value;
    }
    const timeMs = this.out.timeMs[row];
    return {
      timeMs,
      time: Number.isNaN(timeMs) ? 'none' : new Date(timeMs).toISOString(),
      dataset: this.out.dataset[row],
      lost: this.out.lost[row],
      record: this.out.recordIndex[row],
      fields,
    };
  }

  private value(slot: number, row: number): Value {
    switch (this.out.kind(slot, row)) {
      case Kind.text:
        return this.out.text(slot, row);
      case Kind.number:
        return this.out.number(slot, row);
      case Kind.boolean:
        return this.out.text(slot, row) === 'true';
      case Kind.null:
        return null;
      case Kind.list:
        return this.out.list(slot, row);
      default:
        return undefined;
    }
  }
}

/** Decodes one line that must give one row. */
export function decodeOne(line: string | Uint8Array, fields: readonly string[], batch: Parameters<Harness['decode']>[1] = {}): Row {
  const harness = new Harness({ fields });
  const rows = harness.decode([line], batch);
  if (rows.length !== 1)
    throw new Error(`expected one row, got ${rows.length}; rejected: ${harness.rejects.reasons.join(', ') || 'nothing'}`);
  return rows[0];
}
