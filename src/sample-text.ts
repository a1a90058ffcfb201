/**
 * Reads the records that led to a finding once more, when the finding opens: the batch at hand first, then the source. Cut to 1 KiB;
 * what cannot be read says so.
 *
 * Many findings that open at once must not hold up what comes after them. So there is an end to how many records are read for the findings
 * that one rule opens at one time: a bound that is the same in every replay, however input is cut into batches. The first sample of each
 * comes before the second of any; the others keep their place, where they can be looked up. A record is read once for all rules.
 */
import type { Finding, Sample } from '../processors/detect/finding.ts';
import type { RecordBatch } from '../processors/record.ts';
import type { Source } from './source/source.ts';

const maxSampleBytes = 1024;
/** Records read for the findings that one rule opens at one time. */
const maxReads = 16;
/** Of all findings of one write: only a source that hardly answers takes longer. */
const maxReadingMs = 5_000;
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
    const wanted = together(opened).flatMap((findings) => firstSamples(findings));
    const records = sameRecords(wanted.filter((sample) => !fillFrom(batch, sample)));
    const deadlineMs = this.clock() + maxReadingMs;
    for (const [i, samples] of records.sort(inOrder).entries()) {
      if (this.clock() > deadlineMs) return tell(records.slice(i).flat(), `not read within ${maxReadingMs} ms`);
      await this.read(samples);
    }
  }

  private async read(samples: readonly Sample[]): Promise<void> {
    const [{ topic, partition, offset }] = samples;
    try {
      const bytes = await this.sourceOf(topic)?.read(topic, partition, offset);
      for (const sample of samples) fillIn(sample, bytes);
    } catch (error) {
      tell(samples, error instanceof Error ? error.message : String(error));
    }
  }
}

/** The findings of one rule at one time, which one write always holds together. */
function together(findings: readonly Finding[]): Finding[][] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) addTo(groups, `${finding.timeMs} ${finding.rule}`, finding);
  return [...groups.values()];
}

/** Those whose text is wanted, of at most `maxReads` records; the others are told so. */
function firstSamples(findings: readonly Finding[]): Sample[] {
  const byPlace = new Map<string, Sample[]>();
  const most = findings.reduce((longest, { samples }) => Math.max(longest, samples.length), 0);
  for (let i = 0; i < most; i++) {
    for (const sample of findings.flatMap(({ samples }) => samples[i] ?? [])) addTo(byPlace, placeOf(sample), sample);
  }
  const records = [...byPlace.values()];
  const left = records.splice(maxReads);
  tell(left.flat(), `not read: ${records.length + left.length} records were wanted at once, ${maxReads} are read`);
  return records.flat();
}

/** The samples of each record, whichever findings they are of. */
function sameRecords(samples: readonly Sample[]): Sample[][] {
  const byPlace = new Map<string, Sample[]>();
  for (const sample of samples) addTo(byPlace, placeOf(sample), sample);
  return [...byPlace.values()];
}

function placeOf({ topic, partition, offset }: Sample): string {
  return `${topic}/${partition}/${offset}`;
}

function addTo<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
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

function tell(samples: readonly Sample[], reason: string): void {
  for (const sample of samples) sample.unreadable = reason;
}

/** Whether the batch holds it. */
function fillFrom(batch: RecordBatch | undefined, sample: Sample): boolean {
  const bytes = inBatch(sample, batch);
  if (bytes !== undefined) fillIn(sample, bytes);
  return bytes !== undefined;
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
