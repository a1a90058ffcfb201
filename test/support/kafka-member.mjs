/**
 * A process that is a member of a group, for suites that kill one: an engine between two topics, with a session and checkpoints shorter than a
 * config may ask for. `node kafka-member.mjs <dist> <options as JSON>` (`member`: more options of the source); its log goes to standard output; SIGTERM stops it in order.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, json] = process.argv.slice(2);
const { brokers, driver, topic, group, findings, state, rule, member } = JSON.parse(json);
const load = (path) => import(pathToFileURL(join(dist, path)).href);
const [{ Engine }, { Pipeline }, { parseRule }, { KafkaSource }, { KafkaSink }, { createLocalCheckpoints }, pino] = await Promise.all([
  load('src/engine.js'),
  load('processors/pipeline.js'),
  load('schemas/rule.js'),
  load('src/source/kafka/kafka.js'),
  load('src/sink/kafka.js'),
  load('src/checkpoint/local.js'),
  import('pino'),
]);

const log = pino.default({ base: { pid: process.pid } }, pino.default.destination({ fd: 1, sync: true }));
const parsed = parseRule(rule, 'rule.yaml');
const pipeline = new Pipeline([parsed.rule]);
const options = { topics: [topic], group, dataset: 'app', format: 'json', sessionTimeoutMs: 2_000, rebalanceTimeoutMs: 10_000, ...member };
const engine = new Engine(
  {
    pipeline,
    sources: [new KafkaSource({ brokers, driver, log, ...options })],
    sinks: [new KafkaSink({ brokers, driver, log, topic: findings })],
    checkpoints: createLocalCheckpoints({ dir: state, identity: 'test' }),
    log,
    clock: Date.now,
  },
  { checkpointEveryMs: 200 },
);
process.once('SIGTERM', () => engine.stop());
await engine.run();
