/** Where records go that could not be decoded: kept with their place and the reason, to be looked at and replayed. */
import { isUtf8 } from 'node:buffer';
import { AppendFile } from './append-file.ts';
import type { SinkHealth } from './sink.ts';

export interface DeadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** A `RejectReason`, or another one in the same form. */
  readonly reason: string;
  /** Copied or written before `write` resolves. */
  readonly value: Uint8Array | null;
  /** The record's whole length where `value` holds only its beginning. */
  readonly cutFromBytes?: number;
}

/** Duties: `write` resolves when the records are kept; it retries with a bound, then rejects with a `DependencyError`. Repeats are harmless. */
export interface DeadLetter {
  /** As the user knows it: `file:./data/dead-letter.jsonl`. */
  readonly name: string;
  open(): Promise<void>;
  write(records: readonly DeadRecord[]): Promise<void>;
  close(): Promise<void>;
  health(): SinkHealth;
}

export interface DeadLetterFileOptions {
  readonly path: string;
  /** A file of this size is moved to `<path>.1`, over the one before: at most about twice this much is kept. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Ms since the epoch, for the `time` of an entry; default the system's clock. */
  readonly now?: () => number;
  /** As for findings: see `AppendFileOptions`. */
  readonly retryDelaysMs?: readonly number[];
}

/** One line a record: `{topic, partition, offset, reason, time, text | base64, cutFromBytes?}`; base64 where the bytes are not UTF-8. */
export function createDeadLetterFile(options: DeadLetterFileOptions): DeadLetter {
  const maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
  const now = options.now ?? Date.now;
  const file = new AppendFile({ path: options.path, retryDelaysMs: options.retryDelaysMs });
  let bytes = 0;
  let rotations = 0;
  /** One at a time: the size decides where the next one goes. */
  let last: Promise<void> = Promise.resolve();

  const write = async (records: readonly DeadRecord[]): Promise<void> => {
    const time = new Date(now()).toISOString();
    let text = '';
    for (const record of records) text += `${JSON.stringify(entry(record, time))}\n`;
    const length = Buffer.byteLength(text);
    if (bytes > 0 && bytes + length > maxBytes) {
      await file.rotate(`${options.path}.1`);
      rotations++;
      bytes = 0;
    }
    await file.append(text);
    bytes += length;
  };

  return {
    name: `file:${options.path}`,
    open: async () => {
      await file.open();
      bytes = await file.size();
    },
    write: (records) => {
      if (records.length === 0) return Promise.resolve();
      const done = last.then(() => write(records));
      last = done.catch(() => {});
      return done;
    },
    close: async () => {
      await last;
      await file.close();
    },
    health: (): SinkHealth => {
      if (file.trouble) return { ok: false, reason: file.trouble, retries: file.retries };
      if (rotations > 1)
        return { ok: true, reason: `${rotations - 1} times the oldest ${maxBytes} bytes were let go`, retries: file.retries };
      return { ok: true, retries: file.retries };
    },
  };
}

function entry(record: DeadRecord, time: string): object {
  const { topic, partition, offset, reason, value, cutFromBytes } = record;
  const place = { topic, partition, offset, reason, time, cutFromBytes };
  if (value === null) return { ...place, text: null };
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return isUtf8(bytes) ? { ...place, text: bytes.toString('utf8') } : { ...place, base64: bytes.toString('base64') };
}
