import { expect, test } from 'vitest';
import { createDecoder } from '../../../processors/decode/create-decoder.ts';
import { Rejects } from '../../../processors/decode/decoder.ts';
import { EventBatch, FieldPlan } from '../../../processors/decode/event-batch.ts';
import { rejectHeader } from '../../../processors/decode/reject-header.ts';

test('a record its source rejected ends in the rejects with its reason, under any format; other values of the header say nothing', () => {
  const plan = new FieldPlan();
  plan.slot('message');
  const decoder = createDecoder({ plan });
  const value = Buffer.from('10 <190>1 2022-12-05T20:26:20+00:00 host app web.1 - wrong length\n');
  const reasons = ['bad_frame', 'too_long', 'nonsense', undefined];
  for (const format of ['logplex', 'json', 'auto', 'plain']) {
    const records = reasons.map((reason, offset) => ({ value, offset, timestampMs: 1, headers: reason && { [rejectHeader]: reason } }));
    const batch = { topic: '/drain/logplex', partition: 0, dataset: 'heroku', format, records: records as never };
    const out = new EventBatch(plan, new Uint32Array(2));
    const rejects = new Rejects();
    out.reset(batch);
    decoder.decode(batch, out, rejects);
    expect(rejects.recordIndexes.slice(0, 2)).toEqual([0, 1]);
    expect(rejects.reasons.slice(0, 2)).toEqual(['bad_frame', 'too_long']);
    expect(out.recordIndex.slice(0, out.length)).not.toContain(0);
    expect(rejects.reasons.length + out.length).toBe(4);
  }
});
