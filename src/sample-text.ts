/**
 * Reads the records that led to a finding once more, when the finding opens: the batch at hand first, then the source. Cut to 1 KiB;
 * what cannot be read says so.
 */
import type { Finding, Sample } from '../processors/detect/finding.ts';
import type { RecordBatch } from '../processors/record.ts';
import type { Source } from './source/source.ts';

const maxSampleBytes = 1024;
const decoder = new TextDecoder();

export class SampleText {
  private readonly sourceOf: (topic: string) => Source | undefined;

  constructor(sourceOf: (topic: string) => Source | undefined) {
    this.sourceOf = sourceOf;
  }

  /** Fills in the text of every sample of the openings among `findings`; other findings carry only where the records lie. */
  async fill(findings: readonly Finding[], batch: RecordBatch | undefined): Promise<void> {
    const wanted = findings.filter(({ activity }) => activity === 'open').flatMap(({ samples }) => samples);
    await Promise.all(wanted.map((sample) => this.fillOne(sample, batch)));
  }

  private async fillOne(sample: Sample, batch: RecordBatch | undefined): Promise<void> {
    try {
      const bytes = inBatch(sample, batch) ?? (await this.sourceOf(sample.topic)?.read(sample.topic, sample.partition, sample.offset));
      if (bytes === undefined || bytes === null) sample.unreadable = 'the record is gone from its source';
      else sample.text = cut(bytes);
    } catch (error) {
      sample.unreadable = error instanceof Error ? error.message : String(error);
    }
  }
}

function inBatch(sample: Sample, batch: RecordBatch | undefined): Uint8Array | null | undefined {
  if (batch === undefined || batch.topic !== sample.topic || batch.partition !== sample.partition) return undefined;
  const { records } = batch;
  let low = 0;
  let high = records.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (records[middle].offset === sample.offset) return records[middle].value;
    if (records[middle].offset < sample.offset) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

/** At most 1 KiB, never in the middle of a character. */
function cut(bytes: Uint8Array): string {
  let end = Math.min(bytes.length, maxSampleBytes);
  if (end < bytes.length) while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
  return decoder.decode(bytes.subarray(0, end));
}
