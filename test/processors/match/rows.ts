import { EventBatch, FieldPlan, type Scalar } from '../../../processors/decode/event-batch.ts';

export const hashKey = new Uint32Array([0x03020100, 0x07060504]);

/** A batch with these rows; every field anybody compiled for is in the plan already. */
export function batchOf(plan: FieldPlan, rows: readonly Readonly<Record<string, Scalar | readonly Scalar[] | undefined>>[]): EventBatch {
  const batch = new EventBatch(plan, hashKey);
  batch.reset({ topic: 't', partition: 0, dataset: 'app', format: 'auto', records: [] });
  for (const fields of rows) {
    const row = batch.startRow(0);
    for (const [slot, name] of plan.fields.entries()) {
      const value = fields[name];
      if (typeof value === 'string') batch.setText(slot, row, value);
      else if (typeof value === 'number') batch.setNumber(slot, row, value);
      else if (typeof value === 'boolean') batch.setBoolean(slot, row, value);
      else if (value === null) batch.setNull(slot, row);
      else if (value !== undefined) batch.setList(slot, row, value);
    }
    batch.commitRow();
  }
  return batch;
}

export { FieldPlan };
