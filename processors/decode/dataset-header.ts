import type { RecordBatch, SourceRecord } from '../record.ts';

/**
 * The dataset of a record that reaches its source by way of a topic: what the drain that wrote it was told. It takes the place of the
 * source's own; what the event says of itself goes before both.
 */
export const datasetHeader = 'streamgauge-dataset';

const maxLength = 128;

/** Whether a text may be the value of that header: 1 to 128 characters of printable ASCII, without spaces, as a rule's `from` has them. */
export function isDatasetName(text: string): boolean {
  const { length } = text;
  if (length === 0 || length > maxLength) return false;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code < 33 || code > 126) return false;
  }
  return true;
}

/** The dataset of a record's events that do not name their own. Anybody may send a header: one that names none says nothing. */
export function datasetOf({ headers }: SourceRecord, { dataset }: RecordBatch): string {
  if (headers === undefined) return dataset;
  const named = headers[datasetHeader];
  return named !== undefined && isDatasetName(named) ? named : dataset;
}
