/** `streamgauge doctor`: tries every edge the config names, the way a run would use it, and says what to do about what fails. */
import { constants, existsSync } from 'node:fs';
import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pino } from 'pino';
import type { Config, LokiSinkConfig } from '../config.ts';
import { ExitCode } from '../errors.ts';
import { printable } from '../printable.ts';
import { loadRules } from '../rules.ts';
import { listFiles } from '../source/file/file-list.ts';
import { lokiWriterOf } from '../wiring.ts';
import { kafkaChecks } from './kafka.ts';

export interface Check {
  readonly what: string;
  /** Resolves to a remark if all is well but something is worth knowing; rejects if it is not well. */
  readonly run: () => Promise<string | undefined>;
}

/** Prints a line a check. Returns 3 if any failed. */
export async function doctor(config: Config, out: Writable): Promise<number> {
  let failed = 0;
  for (const { what, run } of checksOf(config)) {
    try {
      const remark = await run();
      out.write(`${remark === undefined ? 'ok  ' : 'note'} ${printable(what)}${remark === undefined ? '' : `: ${printable(remark)}`}\n`);
    } catch (error) {
      failed++;
      out.write(`FAIL ${printable(what)}: ${printable(error instanceof Error ? error.message : String(error))}\n`);
    }
  }
  out.write(failed === 0 ? 'everything the config names can be used\n' : `${failed} checks failed\n`);
  return failed === 0 ? ExitCode.fine : ExitCode.unreachable;
}

function checksOf(config: Config): Check[] {
  const log = pino({ level: 'silent' });
  return [
    { what: `rules ${config.rules.join(', ')}`, run: () => rulesAreThere(config) },
    { what: 'hash key', run: async () => hashKeyRemark(config) },
    { what: `state folder ${config.state.dir}`, run: () => canWrite(config.state.dir) },
    { what: `http ${config.http.host}:${config.http.port}`, run: () => canListen(config.http.host, config.http.port) },
    ...config.sources.flatMap((source): Check[] => {
      if (source.kind === 'kafka') return kafkaChecks.source(source, log);
      if (source.kind === 'drain') {
        const behind = source.to === 'engine' ? [] : kafkaChecks.topicToWrite(source.to, log, `what ${source.path} takes`);
        return [{ what: `drain ${source.path}`, run: async () => drainRemark(source.credentials.length) }, ...behind];
      }
      return [{ what: `files ${source.paths.join(', ')}`, run: () => filesAreThere(source.paths, source.follow) }];
    }),
    ...config.sinks.flatMap((sink): Check[] => {
      if (sink.kind === 'kafka') return kafkaChecks.topicToWrite(sink, log, 'findings');
      if (sink.kind === 'loki') return [{ what: `loki ${sink.url}`, run: () => lokiAnswers(sink) }];
      if (sink.kind === 'file') return [{ what: `findings file ${sink.path}`, run: () => canWrite(dirname(sink.path)) }];
      return [];
    }),
    ...(config.deadLetter.kind === 'kafka'
      ? kafkaChecks.topicToWrite(config.deadLetter, log, 'dead letters')
      : [
          {
            what: `dead letter ${config.deadLetter.path}`,
            run: () => canWrite(dirname(String(config.deadLetter.kind === 'file' && config.deadLetter.path))),
          },
        ]),
  ];
}

async function rulesAreThere(config: Config): Promise<string | undefined> {
  const rules = await loadRules(config.rules, config.overrides, { latenessMs: config.time.latenessMs });
  const running = rules.filter(({ status }) => status === 'live' || status === 'shadow');
  const dormant = rules.filter(({ status }) => status === 'dormant').map(({ id }) => id);
  if (running.length === 0)
    throw new Error('no rule is live or in shadow, so nothing would be found; add a folder of rules, or override a status');
  return dormant.length === 0 ? undefined : `${running.length} run; dormant until their status is changed: ${dormant.join(', ')}`;
}

function hashKeyRemark(config: Config): string | undefined {
  if (config.hashKey !== undefined) return undefined;
  return 'the published key is used: whoever chooses the values that are counted can steer the sketches; set hashKey to a secret of your own';
}

function drainRemark(credentials: number): string | undefined {
  return credentials === 0 ? 'it has no credentials: anybody who can reach it can send to it' : undefined;
}

/** Reads only: a test line would be a finding that is none. A right to push alone is told by the first push. */
async function lokiAnswers(config: LokiSinkConfig): Promise<undefined> {
  const writer = lokiWriterOf(config, pino({ level: 'silent' }));
  try {
    await writer.check();
  } finally {
    await writer.close();
  }
}

async function canWrite(folder: string): Promise<undefined> {
  const probe = join(folder, `.streamgauge-doctor-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(probe, 'x', { flush: true });
    await rm(probe);
  } catch (error) {
    throw new Error(`cannot write into ${folder}: ${(error as Error).message}; name another folder, or give this user the right`);
  }
  return undefined;
}

async function filesAreThere(paths: readonly string[], follow: boolean): Promise<string | undefined> {
  if (paths.includes('-')) return undefined;
  const listed = await listFiles(paths, process.cwd());
  // A path without a pattern is listed whether or not the file is there.
  const files = listed.filter(({ path }) => existsSync(path));
  for (const { path } of files) await mustBeReadable(path);
  if (files.length === 0 && follow) return 'no such file yet; it is waited for';
  if (files.length === 0 || (!follow && files.length < listed.length)) {
    const missing = files.length === 0 ? paths : listed.filter((file) => !files.includes(file)).map(({ path }) => path);
    throw new Error(`expected files at ${missing.join(', ')}, found none; correct the path in the config`);
  }
  return undefined;
}

async function mustBeReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}; give this user the right`);
  }
}

function canListen(host: string, port: number): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(error.code === 'EADDRINUSE' ? 'another program has the port; choose one with http.listen' : error.message)),
    );
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}
