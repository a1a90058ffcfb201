/** kafkajs' messages as source records. */
import type { KafkaMessage } from 'kafkajs';
import type { SourceRecord } from '../../../processors/record.ts';

/** `messages[start..end)` as records. The bytes are kafkajs' own: valid while the batch is being processed. Throws as `safeOffset` does. */
export function toRecords(topic: string, partition: number, messages: readonly KafkaMessage[], start: number, end: number): SourceRecord[] {
  const records: SourceRecord[] = new Array(end - start);
  for (let i = start; i < end; i++) records[i - start] = toRecord(topic, partition, messages[i]);
  return records;
}

function toRecord(topic: string, partition: number, message: KafkaMessage): SourceRecord {
  const offset = safeOffset(topic, partition, message.offset);
  const headers = message.headers === undefined ? undefined : headersAsText(message.headers);
  // Kafka says -1 where a producer gave no time.
  const stampMs = digitsOf(message.timestamp);
  const timestampMs = stampMs >= 0 ? stampMs : Number.NaN;
  return headers === undefined ? { value: message.value, offset, timestampMs } : { value: message.value, offset, timestampMs, headers };
}

/** Of a header that comes more than once the last counts, as in CloudEvents' and most readers' maps. Undefined for none. */
function headersAsText(headers: NonNullable<KafkaMessage['headers']>): Record<string, string> | undefined {
  // A name like `__proto__` is a name.
  let entries: [string, string][] | undefined;
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value[value.length - 1] : value;
    entries ??= [];
    entries.push([name, last?.toString() ?? '']);
  }
  return entries === undefined ? undefined : Object.fromEntries(entries);
}

/** What `Number` gives, a few times quicker for what kafkajs writes as text with every record: digits, and few enough to be exact. */
function digitsOf(text: string): number {
  const { length } = text;
  if (length === 0 || length > 15) return Number(text);
  let value = 0;
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return Number(text);
    value = value * 10 + digit;
  }
  return value;
}

/**
 * An offset as a number. Throws a RangeError past 2^53 - 1, where numbers would begin to skip offsets: at a million records a second that
 * takes a partition 285 years.
 */
export function safeOffset(topic: string, partition: number, offset: string): number {
  const value = digitsOf(offset);
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(
      `${topic}/${partition}: expected an offset of at most ${Number.MAX_SAFE_INTEGER}, found ${offset}; recreate the topic`,
    );
  }
  return value;
}
