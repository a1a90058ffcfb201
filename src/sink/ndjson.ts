/** Findings as NDJSON, one OCSF object a line: into a file, or to stdout. */
import type { Finding } from '../../processors/detect/finding.ts';
import { findingJson } from '../../processors/detect/ocsf.ts';
import { DependencyError } from '../errors.ts';
import { AppendFile, type AppendFileOptions } from './append-file.ts';
import type { Sink, SinkHealth } from './sink.ts';

/** The reader of our output went away (`… | head`): nothing is wrong, and nothing more is wanted. Stop, and exit with 0. */
export class OutputClosedError extends Error {
  override name = 'OutputClosedError';
}

/** Appends; a finding that comes again after a restart is written again, with the same uid. */
export function createFileSink(options: AppendFileOptions): Sink {
  const file = new AppendFile(options);
  return {
    name: `file:${options.path}`,
    open: () => file.open(),
    write: async (findings) => {
      if (findings.length > 0) await file.append(lines(findings));
    },
    close: () => file.close(),
    health: (): SinkHealth =>
      file.trouble ? { ok: false, reason: file.trouble, retries: file.retries } : { ok: true, retries: file.retries },
  };
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
