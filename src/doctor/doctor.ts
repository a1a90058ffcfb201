/** `streamgauge doctor`: tries every edge the config names, the way a run would use it, and says what to do about what fails. */
import { dirname } from 'node:path';
import { type Logger, pino } from 'pino';
import type { Rule } from '../../processors/rule.ts';
import type { Config, DrainSourceConfig, LokiSinkConfig } from '../config.ts';
import { isLoopback } from '../config-faults.ts';
import { ExitCode, UsageError } from '../errors.ts';
import { printable } from '../printable.ts';
import { loadRules } from '../rules.ts';
import { checkpointsOf, lokiWriterOf } from '../wiring.ts';
import type { Check } from './check.ts';
import { clockRemarks } from './clock.ts';
import { canWrite, filesAreThere, stateFolder } from './disk.ts';
import { drainRemarks } from './drain.ts';
import { canListen } from './http.ts';
import { kafkaChecks } from './kafka.ts';
import { longestReach, writtenRemarks } from './topic-remarks.ts';

/** Prints a line a check. Returns 3 if any failed, 2 if one of those is a mistake in a rule or in the config. */
export async function doctor(config: Config, out: { write(text: string): void }): Promise<number> {
  let failed = 0;
  let mistaken = false;
  const rules = await loadRules(config.rules, config.overrides, { latenessMs: config.time.latenessMs }).catch((error: unknown) => error);
  for (const { what, run } of checksOf(config, rules)) {
    try {
      const remarks = await run();
      out.write(remarks.length === 0 ? `ok   ${printable(what)}\n` : `note ${printable(what)}: ${printable(remarks.join('; '))}\n`);
    } catch (error) {
      failed++;
      mistaken ||= error instanceof UsageError;
      out.write(`FAIL ${printable(what)}: ${printable(error instanceof Error ? error.message : String(error))}\n`);
    }
  }
  out.write(failed === 0 ? 'everything the config names can be used\n' : `${failed} checks failed\n`);
  return failed === 0 ? ExitCode.fine : mistaken ? ExitCode.usage : ExitCode.unreachable;
}

/** @param rules what came of reading them: the rules, or why not. */
function checksOf(config: Config, rules: unknown): Check[] {
  const log = pino({ level: 'silent' });
  const running = Array.isArray(rules) ? (rules as Rule[]).filter(({ status }) => status === 'live' || status === 'shadow') : [];
  const expected = { reach: longestReach(running), futureSkewMs: config.time.futureSkewMs };
  const { host, port } = config.http;
  return [
    { what: `rules ${config.rules.join(', ')}`, run: async () => ruleRemarks(rules, running.length) },
    { what: 'hash key', run: async () => hashKeyRemarks(config) },
    { what: `state folder ${config.state.dir}`, run: () => stateFolder(config) },
    ...(config.state.kafka === undefined ? [] : kafkaChecks.topicToWrite(config.state.kafka, log, 'state')),
    { what: `checkpoint in ${config.state.kafka?.topic ?? config.state.dir}`, run: () => checkpointRemarks(config, log) },
    { what: `http ${host}:${port}`, run: () => canListen(host, port) },
    ...config.sources.flatMap((source): Check[] => {
      if (source.kind === 'kafka') return kafkaChecks.source(source, log, expected);
      if (source.kind === 'drain') return drainChecks(source, host, log);
      return [{ what: `files ${source.paths.join(', ')}`, run: () => filesAreThere(source.paths, source.follow) }];
    }),
    ...config.sinks.flatMap((sink): Check[] => {
      if (sink.kind === 'kafka') return kafkaChecks.topicToWrite(sink, log, 'findings', writtenRemarks);
      if (sink.kind === 'loki') return [{ what: `loki ${sink.url}`, run: () => lokiAnswers(sink, log) }];
      if (sink.kind === 'file') return [{ what: `findings file ${sink.path}`, run: () => canWrite(dirname(sink.path)) }];
      return [];
    }),
    ...deadLetterChecks(config.deadLetter, log),
  ];
}

function drainChecks(drain: DrainSourceConfig, host: string, log: Logger): Check[] {
  const own = { what: `drain ${drain.path}`, run: async () => drainRemarks(drain, host, isLoopback(host)) };
  return drain.to === 'engine' ? [own] : [own, ...kafkaChecks.topicToWrite(drain.to, log, `what ${drain.path} takes`)];
}

function deadLetterChecks(deadLetter: Config['deadLetter'], log: Logger): Check[] {
  if (deadLetter.kind === 'kafka') return kafkaChecks.topicToWrite(deadLetter, log, 'dead letters');
  return [{ what: `dead letter ${deadLetter.path}`, run: () => canWrite(dirname(deadLetter.path)) }];
}

function ruleRemarks(rules: unknown, running: number): string[] {
  if (!Array.isArray(rules)) throw rules;
  if (running === 0)
    throw new Error('no rule is live or in shadow, so nothing would be found; add a folder of rules, or override a status');
  const dormant = (rules as Rule[]).filter(({ status }) => status === 'dormant').map(({ id }) => id);
  return dormant.length === 0 ? [] : [`${running} run; dormant until their status is changed: ${dormant.join(', ')}`];
}

function hashKeyRemarks(config: Config): string[] {
  if (config.hashKey !== undefined) return [];
  return [
    'the published key is used: whoever chooses the values that are counted can steer the sketches; set hashKey to a secret of your own',
  ];
}

/** Whether a start would go on from what is there: not with another hash key, a later version's, or a topic that is not compacted. */
async function checkpointRemarks(config: Config, log: Logger): Promise<readonly string[]> {
  const checkpoints = checkpointsOf(config, log);
  try {
    await checkpoints.load();
  } finally {
    await checkpoints.close?.();
  }
  return [];
}

/** Asks, and pushes nothing: a test line would be a finding that is none. */
async function lokiAnswers(config: LokiSinkConfig, log: Logger): Promise<readonly string[]> {
  const writer = lokiWriterOf(config, log);
  try {
    return clockRemarks('Loki', (await writer.check()) - Date.now());
  } finally {
    await writer.close();
  }
}
