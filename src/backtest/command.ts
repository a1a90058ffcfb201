import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { Logger } from 'pino';
import { formats } from '../../processors/decode/create-decoder.ts';
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import { Progress } from '../progress.ts';
import { loadRules } from '../rules.ts';
import { createFileSink, createStdoutSink } from '../sink/ndjson.ts';
import type { Sink } from '../sink/sink.ts';
import { createFileSource } from '../source/file/file.ts';
import { createStdinSource } from '../source/file/stdin.ts';
import { KafkaSource } from '../source/kafka/kafka.ts';
import type { Source } from '../source/source.ts';
import { connectionOf, pipelineOptionsOf } from '../wiring.ts';
import { backtest, backtestSummary } from './backtest.ts';

interface BacktestFlags {
  readonly config?: string;
  readonly rules?: string[];
  readonly from: string[];
  readonly since?: string;
  readonly until?: string;
  readonly dataset: string;
  readonly format: string;
  readonly brokers?: string;
  readonly out: string;
  readonly scores?: string;
}

type ReadConfig = (file: string | undefined) => Promise<Config>;

export function backtestCommand(program: Command, logger: (level: string) => Logger, configOf: ReadConfig, stop: AbortSignal): void {
  program
    .command('backtest')
    .description('recorded input through the same pipeline as a live run; findings and scores as NDJSON')
    .option('-c, --config <file>', 'a config, for its rules, overrides, fields, hash key and Kafka connection')
    .option('--rules <dir...>', 'folders of rules (default: those of the config, else the ones that ship)')
    .requiredOption('--from <input...>', 'kafka:TOPIC, files or globs (.gz too), or - for standard input')
    .option('--since <time>', 'only events from this time on (ISO 8601)')
    .option('--until <time>', 'only events before this time')
    .option('--dataset <name>', 'the dataset of records that do not name their own', 'app')
    .addOption(new Option('--format <name>', 'how records are written').choices(formats).default('auto'))
    .option('--brokers <list>', 'Kafka brokers, with commas (default: those of the config)')
    .option('--out <place>', 'a folder for findings.jsonl, or - for standard output', '-')
    .option('--scores <file>', 'one row per evaluated window and key')
    .action(async (flags: BacktestFlags) => runBacktest(flags, await configOf(flags.config), logger('warn'), stop));
}

async function runBacktest(flags: BacktestFlags, config: Config, log: Logger, stop: AbortSignal): Promise<void> {
  const span = spanOf(flags);
  if (flags.scores === '-' && flags.out === '-') {
    throw new UsageError(['--scores -: expected findings to go elsewhere (--out DIR), found both on standard output']);
  }
  const defaults = { latenessMs: config.time.latenessMs };
  const rules = await loadRules(flags.rules ?? config.rules, flags.rules === undefined ? config.overrides : {}, defaults);
  const sink = flags.out === '-' ? createStdoutSink() : await freshFile(flags.out);
  const result = await backtest({
    rules: rules.filter(({ status }) => status !== 'retired'),
    sources: sourcesOf(flags, config, span, log),
    sinks: [sink] satisfies Sink[],
    scores: flags.scores,
    pipeline: { ...pipelineOptionsOf(config), span },
    log,
    progress: new Progress(process.stderr),
    stop,
  });
  process.stderr.write(`${backtestSummary(result)}\n`);
}

/** A backtest's findings are of that backtest alone, and must not take the place of others: a run's state folder looks the same. */
async function freshFile(folder: string): Promise<Sink> {
  const path = join(folder, 'findings.jsonl');
  if (existsSync(path)) {
    throw new UsageError([`--out ${folder}: expected a folder without findings.jsonl, found one: move it away, or choose another folder`]);
  }
  return createFileSink({ path });
}

function sourcesOf(flags: BacktestFlags, config: Config, span: Span, log: Logger): Source[] {
  const { dataset, format } = flags;
  const topics = flags.from.filter((input) => input.startsWith('kafka:')).map((input) => input.slice('kafka:'.length));
  const files = flags.from.filter((input) => input !== '-' && !input.startsWith('kafka:'));
  const sources: Source[] = [];
  if (flags.from.includes('-')) sources.push(createStdinSource({ dataset, format }));
  if (files.length > 0) sources.push(createFileSource({ path: files, dataset, format }));
  if (topics.length > 0) {
    sources.push(
      new KafkaSource({
        ...kafkaOf(flags, config, log),
        topics,
        group: 'streamgauge-backtest',
        from: Number.isFinite(span.fromMs) ? { timestampMs: span.fromMs } : 'earliest',
        until: 'end',
        dataset,
        format,
      }),
    );
  }
  return sources;
}

function kafkaOf(flags: BacktestFlags, config: Config, log: Logger) {
  if (flags.brokers !== undefined) return { brokers: flags.brokers.split(',').map((broker) => broker.trim()), log };
  const configured = config.sources.find((source) => source.kind === 'kafka');
  if (configured === undefined) {
    throw new UsageError(['--from kafka:TOPIC: expected brokers, by --brokers HOST:PORT or a config with a Kafka source, found none']);
  }
  return connectionOf(configured, log);
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

function spanOf(flags: BacktestFlags): Span {
  const problems: string[] = [];
  const timeOf = (name: 'since' | 'until', otherwise: number) => {
    const text = flags[name];
    if (text === undefined) return otherwise;
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) problems.push(`--${name}: expected an ISO 8601 time such as 2026-11-01T00:00:00Z, found "${text}"`);
    return ms;
  };
  const span = { fromMs: timeOf('since', Number.NEGATIVE_INFINITY), toMs: timeOf('until', Number.POSITIVE_INFINITY) };
  if (span.fromMs >= span.toMs) problems.push(`--since ${flags.since}: expected a time before --until ${flags.until}`);
  if (problems.length > 0) throw new UsageError(problems);
  return span;
}
