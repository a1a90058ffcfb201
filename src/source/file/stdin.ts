/** A stream as a source (`--from -`): one partition whose offsets are byte positions since the stream began. */
import type { Readable } from 'node:stream';
import { partitionKey, type SourceRecord } from '../../../processors/record.ts';
import { DependencyError } from '../../errors.ts';
import type { Positions, RecordIntake, Source, SourceHealth } from '../source.ts';
import { defaultMaxLineBytes, LineSplitter } from './line-splitter.ts';

export interface StdinSourceOptions {
  /** Default the process's own stdin. */
  readonly input?: Readable;
  /** The dataset of lines that do not name their own. */
  readonly dataset: string;
  /** A decoder's name; default `auto`. */
  readonly format?: string;
  /** A longer line is handed in cut; default 1 MiB. */
  readonly maxLineBytes?: number;
  /** How much of what went by can be read again; default 8 MiB. */
  readonly maxRecentBytes?: number;
}

const topic = 'stdin';
const maxBatchLines = 1000;
const maxBatchBytes = 256 * 1024;

export function createStdinSource(options: StdinSourceOptions): Source {
  return new StdinSource(options);
}

class StdinSource implements Source {
  readonly name = 'stdin';
  private readonly options: StdinSourceOptions;
  private readonly input: Readable;
  private readonly maxLineBytes: number;
  private readonly recent: RecentBytes;
  private stopping = false;
  private reason: string | undefined;

  constructor(options: StdinSourceOptions) {
    this.options = options;
    this.input = options.input ?? process.stdin;
    this.maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes;
    this.recent = new RecentBytes(options.maxRecentBytes ?? 8 * 1024 * 1024);
  }

  /** A pipe cannot be read again: after a restart its numbers go on where they stood, so that no two records share one. */
  async run(positions: Positions, into: RecordIntake): Promise<void> {
    const key = partitionKey(topic, 0);
    const startOffset = positions[key] ?? 0;
    const lines = new LineSplitter({ maxLineBytes: this.maxLineBytes, startOffset });
    this.recent.start(startOffset);
    if (this.stopping) return;
    into.partitions([key]);
    try {
      for await (const chunk of this.input) {
        const bytes = Buffer.from(chunk as Uint8Array | string);
        this.recent.add(bytes);
        lines.feed(bytes);
        for (let taken = lines.take(maxBatchLines, maxBatchBytes); taken.length > 0; taken = lines.take(maxBatchLines, maxBatchBytes)) {
          if (this.stopping) return;
          await this.handIn(taken, into);
        }
        if (this.stopping) return;
      }
    } catch (error) {
      if (this.stopping && (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') return;
      if ((error as NodeJS.ErrnoException).syscall === 'read') {
        throw new DependencyError(`stdin cannot be read after byte ${lines.nextOffset}: ${(error as Error).message}`, { cause: error });
      }
      throw error;
    } finally {
      this.reason = this.stopping ? 'stopped' : 'end of input';
    }
    if (this.stopping) return;
    const last = lines.end();
    if (last) await this.handIn([last], into);
    if (!this.stopping) into.ended(key);
  }

  private async handIn(records: readonly SourceRecord[], into: RecordIntake): Promise<void> {
    const { dataset, format = 'auto' } = this.options;
    await into.batch({ topic, partition: 0, dataset, format, records });
  }

  reads(name: string): boolean {
    return name === topic;
  }

  /** Nothing upstream remembers for us. */
  async commit(): Promise<void> {}

  async read(wantedTopic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    if (wantedTopic !== topic || partition !== 0) return null;
    return this.recent.line(offset, this.maxLineBytes);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    // Ends a read that waits for a writer that says nothing.
    this.input.destroy();
  }

  health(): SourceHealth {
    return this.reason ? { ok: true, reason: this.reason } : { ok: true };
  }
}

/** The last bytes that went by, as the chunks they came in: nothing is copied until a line is asked for. */
class RecentBytes {
  private readonly maxBytes: number;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private firstOffset = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  start(offset: number): void {
    this.firstOffset = offset;
  }

  add(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    while (this.bytes > this.maxBytes && this.chunks.length > 1) {
      const gone = this.chunks.shift()!;
      this.bytes -= gone.length;
      this.firstOffset += gone.length;
    }
  }

  /** The line that begins at `offset`; null where it went by too long ago, or no line begins there. */
  line(offset: number, maxLineBytes: number): Uint8Array | null {
    if (offset < this.firstOffset || offset >= this.firstOffset + this.bytes) return null;
    const splitter = new LineSplitter({ maxLineBytes, startOffset: offset });
    let chunkOffset = this.firstOffset;
    let before: number | undefined;
    for (const chunk of this.chunks) {
      const from = offset - chunkOffset;
      chunkOffset += chunk.length;
      if (from > 0 && from <= chunk.length) before = chunk[from - 1];
      if (from >= chunk.length) continue;
      if (before !== undefined && before !== 10) return null;
      splitter.feed(from > 0 ? chunk.subarray(from) : chunk);
      const [line] = splitter.take(1, 1);
      if (line) return Buffer.from(line.value!);
    }
    return splitter.end()?.value ?? null;
  }
}
