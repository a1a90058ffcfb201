/**
 * `npm run torture`: faults on the built command, between topics of a real broker, with load on it. Prints how many faults were done and
 * what was compared, and exits with 1 on any difference. `npm run torture -- --seed 7 kills broker` repeats a seed, or runs some alone.
 */
import { parseArgs } from 'node:util';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { machine } from '../bench/figure.ts';
import { randomOf } from '../bench/lines.ts';
import { kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { kafkaDrivers } from '../support/kafka-drivers.ts';
import { clockJumps } from './clock.ts';
import { embedded } from './embedded.ts';
import { fullFindingsDisk, fullStateDisk } from './full-disk.ts';
import { brokerFaults, kills } from './kills.ts';
import { lokiAway } from './loki-away.ts';
import { resume } from './resume.ts';
import { between, lineOf, type Report, type Torture } from './scenario.ts';
import { sigterms } from './sigterm.ts';

type Scenario = (torture: Torture) => Promise<(Report | undefined)[]>;

const best = kafkaDrivers[kafkaDrivers.length - 1];

/** Once with each client that is here. */
async function withEach(run: (driver: KafkaDriver) => Promise<Report | undefined>): Promise<(Report | undefined)[]> {
  const reports: (Report | undefined)[] = [];
  for (const driver of kafkaDrivers) reports.push(await run(driver));
  return reports;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  kills: async (torture) => [await kills(torture, { driver: best, kills: 100 })],
  // Without static membership the one that comes after waits for the session of the one that was killed, 30 s: thirty times would be a
  // quarter of an hour of waiting, so the broker is told at once that the member is gone, and four times it is left to find out.
  eager: async (torture) => [
    await kills(torture, { driver: 'kafkajs', kills: 30, dismissed: true }),
    await kills(torture, { driver: 'kafkajs', kills: 4, lifeMs: (random) => between(random, 25_000, 45_000) }),
  ],
  topic: async (torture) => [await kills(torture, { driver: best, kills: 30, stateInTopic: true })],
  embedded: async (torture) => [await embedded(torture, { kills: 30, fullDisks: 6 })],
  broker: (torture) =>
    withEach((driver) => brokerFaults(torture, { driver, signals: ['SIGTERM', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGKILL'] })),
  sigterm: (torture) => withEach((driver) => sigterms(torture, { driver, each: driver === 'kafkajs' ? 3 : 9 })),
  clock: (torture) => withEach((driver) => clockJumps(torture, { driver, lives: 2, lifeMs: 20_000 })),
  disk: async (torture) => [
    await fullStateDisk(torture, { driver: best, times: 4 }),
    await fullFindingsDisk(torture, { driver: best, times: 4 }),
  ],
  resume: async (torture) => [
    await resume(torture, { driver: best, keys: 100_000, times: 10 }),
    ...(best === 'kafkajs' ? [] : [await resume(torture, { driver: 'kafkajs', keys: 100_000, times: 2 })]),
  ],
  loki: async (torture) => [await lokiAway(torture, { driver: best, awayMs: Number(process.env.TORTURE_LOKI_AWAY_MS ?? 600_000) })],
};

/** They mostly wait, so they run beside each other, each lane with a broker of its own. */
const lanes: readonly (readonly string[])[] = [
  ['kills', 'topic', 'resume', 'disk'],
  ['eager', 'embedded', 'sigterm', 'broker', 'clock'],
  ['loki'],
];

/** On one broker, one after the other. What a scenario cannot go on with is a failure of it, and the next one runs. */
async function inTurn(names: readonly string[], seed: number): Promise<(Report | Failure)[]> {
  if (names.length === 0) return [];
  const broker = await startKafka();
  const torture: Torture = { broker, random: randomOf(seed), print: (line) => console.log(line) };
  const reports: (Report | Failure)[] = [];
  try {
    for (const name of names) {
      console.log(`${name}:`);
      try {
        for (const report of await scenarios[name](torture)) {
          if (report === undefined) continue;
          console.log(lineOf(report));
          reports.push(report);
        }
      } catch (error) {
        const failure = error instanceof Error ? error.message : String(error);
        console.log(`${name}: FAILED: ${failure}`);
        reports.push({ name, failure });
        // It may have been away.
        await broker.halt('SIGKILL');
        await broker.resume();
      }
    }
  } finally {
    await broker.stop();
  }
  return reports;
}

interface Failure {
  readonly name: string;
  readonly failure: string;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true });
  const unknown = positionals.filter((name) => !(name in scenarios));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}: there are ${Object.keys(scenarios).join(', ')}`);
  const unavailable = kafkaUnavailable();
  if (unavailable !== undefined) throw new Error(unavailable);
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  console.log(`${machine()}; seed ${seed}`);
  const names = positionals.length > 0 ? positionals : Object.keys(scenarios);
  const reports = (
    await Promise.all(
      lanes.map((lane) =>
        inTurn(
          lane.filter((name) => names.includes(name)),
          seed,
        ),
      ),
    )
  ).flat();
  const whole = reports.filter((report): report is Report => !('failure' in report));
  const sum = (of: (report: Report) => number) => whole.reduce((total, report) => total + of(report), 0);
  const wrong = reports.filter((report) => 'failure' in report || report.wrong.length > 0);
  const overs = [...new Set(whole.map(({ over }) => over))];
  const killed = overs.map((over) => `${sum((report) => (report.over === over ? report.kills : 0))} over ${over}`);
  console.log(
    `${sum(({ faults }) => faults)} faults, of them kill -9: ${killed.join(', ')}; ${sum(({ comparison }) => comparison.found)} findings compared with ` +
      `${sum(({ comparison }) => comparison.expected)} of undisturbed runs by finding, activity and sequence, ` +
      `${sum(({ comparison }) => comparison.values)} of them by value (${sum(({ comparison }) => comparison.degraded.length)} were degraded), ${sum(({ offsetChecks }) => offsetChecks)} times commits with ` +
      `checkpoints; ${wrong.length === 0 ? 'no difference' : `wrong: ${wrong.map(({ name }) => name).join(', ')}`} (seed ${seed})`,
  );
  if (wrong.length > 0) process.exitCode = 1;
}

await main();
