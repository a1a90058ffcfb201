/** Decoding against the floor: per line Buffer -> string -> JSON.parse. Timed block by block in turn; medians, ns a line. */
import { createDecoder } from '../../processors/decode/create-decoder.ts';
import { Rejects } from '../../processors/decode/decoder.ts';
import { EventBatch, FieldPlan } from '../../processors/decode/event-batch.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { hashKeyOf, publishedHashKey } from '../../processors/sketch/hash.ts';
import { appLines } from './lines.ts';

const blockLines = 10_000;
const batchLines = 1_000;
const slots = ['event.name', 'client.address', 'user.email', 'http.server.request.duration', 'http.response.status_code', 'url.path'];

export interface DecodeFigures {
  readonly floorNs: number;
  readonly decodeNs: number;
  /** Decode time over floor; 1.5 = half a floor on top. Median over blocks. */
  readonly timesFloor: number;
}

/** App JSON into six slots. `lines` defaults to the engine benchmark's. */
export function benchDecode(
  lines: readonly Buffer[] = appLines(300_000, 100_000, 2_000).lines,
  fields: readonly string[] = slots,
): DecodeFigures {
  const plan = new FieldPlan();
  for (const field of fields) plan.slot(field);
  const decoder = createDecoder({ plan });
  const out = new EventBatch(plan, hashKeyOf(publishedHashKey));
  const rejects = new Rejects();
  const floors: number[] = [];
  const decodes: number[] = [];
  for (let from = 0; from + blockLines <= lines.length; from += blockLines) {
    const block = lines.slice(from, from + blockLines);
    const batches: RecordBatch[] = [];
    for (let at = 0; at < block.length; at += batchLines) {
      const records = block
        .slice(at, at + batchLines)
        .map((value, index) => ({ value, offset: from + at + index, timestampMs: Number.NaN }));
      batches.push({ topic: 't', partition: 0, dataset: 'app', format: 'auto', records });
    }
    floors.push(timed(() => parseAll(block)));
    decodes.push(
      timed(() => {
        for (const batch of batches) {
          out.reset(batch);
          decoder.decode(batch, out, rejects);
          if (out.length !== batch.records.length) throw new Error(`expected ${batch.records.length} rows, got ${out.length}`);
        }
      }),
    );
  }
  const warm = 3;
  const ratios = decodes.map((ns, i) => ns / floors[i]).slice(warm);
  return { floorNs: median(floors.slice(warm)), decodeNs: median(decodes.slice(warm)), timesFloor: median(ratios) };
}

function parseAll(block: readonly Buffer[]): void {
  for (const line of block) JSON.parse(line.toString());
}

/** ns a line. */
function timed(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / blockLines;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
