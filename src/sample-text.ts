/**
 * Reads the records that led to a finding once more, when the finding opens: the batch at hand first, then the source. Cut to 1 KiB;
 * what cannot be read says so.
 *
 * Many findings that open at once must not hold up what comes after them: a record is read once for all of them, the first sample of each
 * comes before the second of any, and there is an end to how many are read and to how long it may take. The others keep their place, where
 * they can be looked up.
 */
import type { Finding, Sample } from '../processors/detect/finding.ts';
import type { RecordBatch } from '../processors/record.ts';
import type { Source } from './source/source.ts';

const maxSampleBytes = 1024;
/** Records read for the findings of one write. */
const maxReads = 32;
const maxReadingMs = 2_000;
const decoder = new TextDecoder();

export class SampleText {
  private readonly sourceOf: (topic: string) => Source | undefined;
  private readonly clock: () => number;

  /** @param clock milliseconds that only pass */
  constructor(sourceOf: (topic: string) => Source | undefined, clock: () => number) {
    this.sourceOf = sourceOf;
    this.clock = clock;
  }

  /** Fills in the text of the samples of the openings among `findings`; other findings carry only where the records lie. */
  async fill(findings: readonly Finding[], batch: RecordBatch | undefined): Promise<void> {
    const opened = findings.filter(({ activity }) => activity === 'open');
    const records = sameRecords(opened, batch);
    const left = records.splice(maxReads);
    tell(left, `not read: ${records.length + left.length} records were wanted at once, ${maxReads} are read`);
    const deadlineMs = this.clock() + maxReadingMs;
    for (const [i, samples] of records.sort(inOrder).entries()) {
      if (this.clock() > deadlineMs) return tell(records.slice(i), `not read within ${maxReadingMs} ms`);
      await this.read(samples);
    }
  }

  private async read(samples: readonly Sample[]): Promise<void> {
    const [{ topic, partition, offset }] = samples;
    try {
      const bytes = await this.sourceOf(topic)?.read(topic, partition, offset);
      for (const sample of samples) fillIn(sample, bytes);
    } catch (error) {
      tell([samples], error instanceof Error ? error.message : String(error));
    }
  }
}

/** The samples that are not in the batch at hand, by record: the first of every finding, then the second of every finding, and so on. */
function sameRecords(findings: readonly Finding[], batch: RecordBatch | undefined): Sample[][] {
  const byPlace = new Map<string, Sample[]>();
  const most = findings.reduce((longest, { samples }) => Math.max(longest, samples.length), 0);
  for (let i = 0; i < most; i++) {
    for (const sample of findings.flatMap(({ samples }) => samples[i] ?? [])) {
      const bytes = inBatch(sample, batch);
      if (bytes !== undefined) {
        fillIn(sample, bytes);
        continue;
      }
      const place = `${sample.topic}/${sample.partition}/${sample.offset}`;
      const same = byPlace.get(place);
      if (same === undefined) byPlace.set(place, [sample]);
      else same.push(sample);
    }
  }
  return [...byPlace.values()];
}

/** Neighbours one after the other: a source may have read the second along with the first. */
function inOrder([a]: readonly Sample[], [b]: readonly Sample[]): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.partition - b.partition || a.offset - b.offset;
}

function fillIn(sample: Sample, bytes: Uint8Array | null | undefined): void {
  if (bytes === undefined || bytes === null) sample.unreadable = 'the record is gone from its source';
  else sample.text = cut(bytes);
}

function tell(records: readonly (readonly Sample[])[], reason: string): void {
  for (const sample of records.flat()) sample.unreadable = reason;
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
