#!/usr/bin/env node
/** Commands only: reads flags, picks parts, maps failures to exit codes (0 fine, 1 findings of a failed check, 2 bad usage or config, 3 a dependency unreachable). */
import { Command, CommanderError, Option } from 'commander';
import { type Logger, pino } from 'pino';
import { backtestCommand } from './backtest/command.ts';
import { check } from './check.ts';
import { buildOf, type Config, loadConfig } from './config.ts';
import { demoCommand } from './demo/command.ts';
import { doctor } from './doctor/doctor.ts';
import { DependencyError, ExitCode, UsageError } from './errors.ts';
import { packageVersion } from './package-info.ts';
import { printable } from './printable.ts';
import { run } from './run.ts';
import { secrets } from './secret-mask.ts';
import { OutputClosedError } from './sink/ndjson.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Once asks, twice insists.
    if (stop.signal.aborted) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stop.abort();
  });
}

/** The config, its secrets hidden from now on in whatever is said to the outside. */
async function configOf(file: string | undefined): Promise<Config> {
  const config = await loadConfig(file);
  secrets.learn(config);
  return config;
}

/** To standard error: standard output belongs to findings. */
function logger(level: string): Logger {
  return pino({ level, hooks: { streamWrite: (line) => secrets.mask(line) } }, pino.destination(2));
}

/** After a command has done its work. */
const lingerMs = 10_000;

const program = new Command('streamgauge')
  .description('Reads log streams, keeps sliding windows per key, and says when one rises in a way it never does.')
  .version(packageVersion())
  .exitOverride()
  .showHelpAfterError('(streamgauge --help lists commands and flags)');

program
  .command('run')
  .description('sources -> findings, with health, metrics and drains over HTTP')
  .option('-c, --config <file>', 'the config (default: ./streamgauge.yaml if it is there)')
  .addOption(new Option('--log-level <level>', 'how much to log').choices(['trace', 'debug', 'info', 'warn', 'error']).default('info'))
  .action(async ({ config: file, logLevel }: { config?: string; logLevel: string }) => {
    const config = await configOf(file);
    const version = { version: packageVersion(), ...buildOf() };
    await run({ config, log: logger(logLevel), version, stop: stop.signal, reread: () => configOf(file) });
  });

demoCommand(program, logger, stop.signal);
backtestCommand(program, logger, configOf, stop.signal);

program
  .command('check')
  .description("parse rules and run each one's own test")
  .argument('[dir...]', 'folders of rules; `builtin` are the ones that ship', ['builtin'])
  .action(async (folders: string[]) => {
    process.exitCode = await check(folders, process.stdout);
  });

program
  .command('doctor')
  .description('can everything the config names be reached, read and written?')
  .option('-c, --config <file>', 'the config (default: ./streamgauge.yaml if it is there)')
  .action(async ({ config: file }: { config?: string }) => {
    process.exitCode = await doctor(await configOf(file), { write: (text) => process.stdout.write(secrets.mask(text)) });
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
} finally {
  // A client that still tries to leave a broker which is away, or forgot a socket, would keep the process; nobody waits for it.
  setTimeout(() => process.exit(), lingerMs).unref();
}

function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosedError) return ExitCode.fine;
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.fine : ExitCode.usage;
  if (error instanceof UsageError) {
    for (const problem of error.problems) process.stderr.write(`${secrets.mask(printable(problem))}\n`);
    return ExitCode.usage;
  }
  if (error instanceof DependencyError) {
    process.stderr.write(`${secrets.mask(printable(error.message))}\n`);
    return ExitCode.unreachable;
  }
  process.stderr.write(`${secrets.mask(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
  return 70;
}
