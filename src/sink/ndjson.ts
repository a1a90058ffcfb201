/** Findings as NDJSON, one OCSF object a line: into a file, or to stdout. */
import type { Finding } from '../../processors/detect/finding.ts';
import { eventId, findingJson } from '../../processors/detect/ocsf.ts';
import { DependencyError } from '../errors.ts';
import { AppendFile, type AppendFileOptions } from './append-file.ts';
import { Repeats, writtenFinding } from './repeats.ts';
import type { Sink, SinkHealth } from './sink.ts';

/** The reader of our output went away (`… | head`): nothing is wrong, and nothing more is wanted. Stop, and exit with 0. */
export class OutputClosedError extends Error {
  override name = 'OutputClosedError';
}

/** How much of the end of a file is looked at for what may come again: findings say nothing of when they were written. */
const recalledBytes = 64 * 1024 ** 2;

export interface FileSinkOptions extends AppendFileOptions {
  readonly warn?: (message: string) => void;
}

/**
 * Appends. What an earlier life wrote past the checkpoint's mark is read when it goes on, and not written again. The mark is the file's
 * length, and which file it was: of another one (it was rotated) everything counts as past it.
 */
export function createFileSink(options: FileSinkOptions): Sink {
  const file = new AppendFile(options);
  const repeats = new Repeats(options.warn);
  return {
    name: `file:${options.path}`,
    open: () => file.open(),
    write: async (findings) => {
      const missing = findings.filter((finding) => !repeats.take({ ...finding, id: eventId(finding) }));
      if (missing.length === 0) return;
      try {
        await file.append(lines(missing));
      } catch (error) {
        // It is tried again as a whole, and nothing of what was missing is there; what was there still is.
        const written = new Set(missing);
        for (const finding of findings) if (!written.has(finding)) repeats.remember({ ...finding, id: eventId(finding) });
        throw error;
      }
    },
    mark: async () => JSON.stringify({ ...(await file.extent()), owed: repeats.toJson() }),
    resume: async (mark) => {
      if (mark === undefined) return;
      const { bytes, inode, owed } = parseMark(mark, options.path);
      repeats.addJson(owed);
      const now = await file.extent();
      if (now.bytes === 0) return;
      const same = now.inode === inode && now.bytes >= bytes;
      for await (const line of file.linesFrom(same ? bytes : 0)) {
        const written = writtenFinding(line);
        if (written !== undefined) repeats.remember(written);
      }
    },
    recall: async () => {
      const { bytes } = await file.extent();
      if (bytes === 0) return;
      // The first line of a tail may be half a line, which is none.
      for await (const line of file.linesFrom(Math.max(0, bytes - recalledBytes))) {
        const written = writtenFinding(line);
        if (written !== undefined) repeats.remember(written);
      }
    },
    close: () => file.close(),
    health: (): SinkHealth =>
      file.trouble ? { ok: false, reason: file.trouble, retries: file.retries } : { ok: true, retries: file.retries },
  };
}

function parseMark(mark: string, path: string): { bytes: number; inode: number; owed: unknown } {
  try {
    const parsed = JSON.parse(mark) as { bytes: number; inode: number; owed: unknown };
    if (Number.isSafeInteger(parsed.bytes)) return parsed;
  } catch {
    // Said below.
  }
  throw new Error(`file:${path}: the checkpoint's mark is ${JSON.stringify(mark.slice(0, 80))}, expected {bytes, inode, owed}`);
}

export interface StdoutSinkOptions {
  /** Default the process's own stdout. */
  readonly output?: NodeJS.WritableStream;
}

/** `write` resolves when the stream took the lines; it rejects with `OutputClosedError` once nobody reads them any more. */
export function createStdoutSink(options: StdoutSinkOptions = {}): Sink {
  const output = options.output ?? process.stdout;
  let failure: Error | undefined;
  const onError = (error: NodeJS.ErrnoException): void => {
    failure ??= outputFailure(error);
  };
  return {
    name: 'stdout',
    open: async () => {
      output.on('error', onError);
    },
    write: async (findings) => {
      if (failure) throw failure;
      if (findings.length === 0) return;
      await new Promise<void>((resolve, reject) => {
        output.write(lines(findings), (error) => {
          if (!error) return resolve();
          onError(error);
          reject(failure);
        });
      });
    },
    // Not ended: stdout is the process's. The listener stays for a late EPIPE, which would stop the process with a stack trace.
    close: async () => {},
    health: (): SinkHealth => (failure ? { ok: false, reason: failure.message, retries: 0 } : { ok: true, retries: 0 }),
  };
}

function outputFailure(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED' || error.code === 'ERR_STREAM_WRITE_AFTER_END') {
    return new OutputClosedError('stdout was closed by its reader', { cause: error });
  }
  return new DependencyError(`stdout cannot be written: ${error.message}`, { cause: error });
}

function lines(findings: readonly Finding[]): string {
  let text = '';
  for (const finding of findings) text += `${findingJson(finding)}\n`;
  return text;
}
