/**
 * docker-compose.yml cannot be run here. It is held against the compose specification's schema, and is at least true to the tree, to the
 * Dockerfile, to the files it mounts and to itself.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { Pipeline } from '../../processors/pipeline.ts';
import { check } from '../../src/check.ts';
import { parseConfig } from '../../src/config.ts';
import { engineDefaults } from '../../src/engine-parts.ts';
import { loadRules } from '../../src/rules.ts';
import { root } from '../support/build.ts';
import { composeJudge } from '../support/published-schema.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');

const service = z.object({
  image: z.string(),
  build: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  command: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), z.object({ condition: z.string() }))]).default([]),
  network_mode: z.string().optional(),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  read_only: z.boolean().default(false),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
  mem_limit: z.string().optional(),
  stop_grace_period: z.string().optional(),
});
const parsed: unknown = parse(read('docker-compose.yml'), { merge: true });
const compose = z.object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) }).parse(parsed);
const { kafka, topics, streamgauge, loki, alertmanager, receiver, grafana } = compose.services;
const dockerfile = read('Dockerfile');
const configPath = 'docs/examples/streamgauge.yaml';
const config = parseConfig(read(configPath), join(root, configPath), {});
/** The file of the tree that a service sees at `target`. */
const mountedAt = ({ volumes }: z.infer<typeof service>, target: string) =>
  volumes
    .find((volume) => volume.endsWith(`:${target}:ro`))
    ?.split(':')[0]
    .slice('./'.length);
/** The folders a service may write to. */
const written = ({ volumes }: z.infer<typeof service>) =>
  volumes.filter((volume) => !volume.startsWith('.')).map((volume) => volume.split(':')[1]);

test('the compose file is as the compose specification has it; a mistake in it would be seen', () => {
  const judge = composeJudge();
  expect(judge(parsed)).toEqual([]);
  const services = (parsed as { services: Record<string, object> }).services;
  const wrong = { services: { ...services, loki: { ...services.loki, healthchek: {}, ports: 3100 } } };
  expect(judge(wrong).join('\n')).toMatch(/healthchek/);
  expect(judge(wrong).join('\n')).toMatch(/\/services\/loki\/ports: must be array/);
});

test('it names services, volumes and files that are there, and opens ports to this machine alone', () => {
  const published: string[] = [];
  for (const { depends_on, volumes, ports, network_mode } of Object.values(compose.services)) {
    const others = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on);
    for (const name of others) expect(Object.keys(compose.services)).toContain(name);
    if (network_mode !== undefined) expect(Object.keys(compose.services)).toContain(network_mode.replace('service:', ''));
    for (const [from, , mode] of volumes.map((volume) => volume.split(':'))) {
      if (from.startsWith('.')) {
        expect(existsSync(join(root, from)), from).toBe(true);
        expect(mode).toBe('ro');
      } else expect(Object.keys(compose.volumes)).toContain(from);
    }
    // Nothing here asks for a password.
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    published.push(...ports);
  }
  expect(new Set(published).size).toBe(published.length);
  const used = Object.values(compose.services).flatMap(({ volumes }) => volumes.map((volume) => volume.split(':')[0]));
  for (const volume of Object.keys(compose.volumes)) expect(used, volume).toContain(volume);
});

test('every service that waits for another to be healthy waits for one that can say so', () => {
  for (const { depends_on } of Object.values(compose.services)) {
    if (Array.isArray(depends_on)) continue;
    for (const [name, { condition }] of Object.entries(depends_on)) {
      if (condition === 'service_healthy') expect(compose.services[name].healthcheck, name).toBeDefined();
    }
  }
  // Neither a shell nor wget is in Loki's image since 3.6.
  expect(loki.healthcheck?.test).toEqual(['CMD', '/usr/bin/loki', '-health']);
});

test('no service has a capability or can gain a privilege; all but Kafka and Grafana write to their volumes alone', () => {
  for (const [name, { cap_drop, security_opt, read_only, image }] of Object.entries(compose.services)) {
    expect(cap_drop, name).toEqual(['ALL']);
    expect(security_opt, name).toEqual(['no-new-privileges:true']);
    expect(read_only, name).toBe(!['kafka', 'topics', 'grafana'].includes(name));
    // A tag that says which: `latest` is another program every month.
    expect(image, name).toMatch(/:(v?\d+(\.\d+)+|20-bookworm-slim|local)$/);
  }
});

test('the config it mounts fits the services: broker, topics, Loki, state, port, and where the image looks for it', async () => {
  const [source, drain] = config.sources;
  const [sink, shipped] = config.sinks;
  if (source.kind !== 'kafka' || drain.kind !== 'drain' || drain.to === 'engine')
    throw new Error('expected Kafka, and a drain with a topic behind it');
  if (sink.kind !== 'kafka' || shipped.kind !== 'loki' || config.deadLetter.kind !== 'kafka')
    throw new Error('expected Kafka and Loki to write to');
  for (const broker of [source, drain.to, sink, config.deadLetter].flatMap(({ brokers }) => brokers))
    expect(kafka.environment.KAFKA_ADVERTISED_LISTENERS).toContain(`://${broker}`);
  expect(source.topics).toContain(drain.to.topic);
  for (const topic of [...source.topics, drain.to.topic, sink.topic, config.deadLetter.topic])
    expect(topics.command.join('\n')).toContain(`--topic ${topic} `);
  const target = /CMD \["run", "-c", "(.+)"\]/.exec(dockerfile)?.[1] ?? '';
  // Its folder: a file by itself would stay the old one once an editor has put another in its place.
  expect(mountedAt(streamgauge, dirname(target))).toBe(dirname(configPath));
  expect(basename(configPath)).toBe(basename(target));
  expect(written(streamgauge)).toEqual([config.state.dir]);
  expect(dockerfile).toContain(`VOLUME ${config.state.dir}\n`);
  expect(config.http).toMatchObject({ host: '0.0.0.0', port: 8080 });
  expect(streamgauge.ports).toEqual([`127.0.0.1:${config.http.port}:${config.http.port}`]);
  expect(shipped.url).toBe(`http://loki:${loki.ports[0].split(':')[2]}`);
  expect(Number.parseInt(streamgauge.stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(engineDefaults.shutdownMs);
  expect(Number.parseInt(streamgauge.mem_limit ?? '', 10) * 2 ** 30).toBeGreaterThan(3 * config.memoryBytes + 400e6);
});

test('the rules to try lie where the config looks for them, pass their own tests, and find what the README posts', async () => {
  const [builtin, own] = config.rules;
  expect([builtin, own]).toEqual(['builtin', join(root, dirname(configPath), 'rules')]);
  const out = new PassThrough();
  expect(await check([own], out), String(out.read())).toBe(0);
  const said = /-d '(\{"level".*?\})'/.exec(read('docs/deploy/README.md'))?.[1] ?? '';
  const records = Array.from({ length: 4 }, (_, offset) => ({ value: Buffer.from(said), offset, timestampMs: 1_750_000_000_000 }));
  const pipeline = new Pipeline(await loadRules(config.rules, config.overrides));
  const batch = { topic: 'logs', partition: 0, dataset: 'app', format: 'auto' as const, records };
  expect([...pipeline.process(batch), ...pipeline.finish()]).toMatchObject([{ rule: 'service_errors', severity: 'critical', value: 4 }]);
});

test('Kafka keeps its log in the volume, and one node is enough for every topic of its own', () => {
  const { environment } = kafka;
  expect(written(kafka)).toEqual([environment.KAFKA_LOG_DIRS]);
  for (const [name, value] of Object.entries(environment)) if (/REPLICATION_FACTOR|MIN_ISR/.test(name)) expect(value, name).toBe('1');
  const names = (list: string) => list.split(',').map((each) => each.split(':')[0]);
  expect(names(environment.KAFKA_LISTENERS)).toEqual(names(environment.KAFKA_LISTENER_SECURITY_PROTOCOL_MAP));
});

test('Loki is given its config and its rules where its config looks for them, and writes to its volume', () => {
  const [, configAt] = /^-config\.file=(.+)$/.exec(loki.command[0]) ?? [];
  const file = mountedAt(loki, configAt ?? '');
  expect(file).toBe('docs/deploy/loki.yaml');
  const { common, ruler, compactor, server } = parse(read(file ?? '')) as {
    common: { path_prefix: string };
    ruler: {
      storage: { local: { directory: string } };
      rule_path: string;
      alertmanager_url: string;
      external_url: string;
      datasource_uid: string;
    };
    compactor: { working_directory: string };
    server: { http_listen_port: number };
  };
  expect(mountedAt(loki, `${ruler.storage.local.directory}/fake/streamgauge.yaml`)).toBe('docs/deploy/loki-rules.yaml');
  for (const folder of [common.path_prefix, ruler.rule_path, compactor.working_directory]) expect(`${folder}/`).toMatch(/^\/loki\//);
  expect(written(loki)).toEqual(['/loki']);
  expect(loki.ports).toEqual([`127.0.0.1:${server.http_listen_port}:${server.http_listen_port}`]);
  expect(ruler.alertmanager_url).toBe(`http://alertmanager:${alertmanager.ports[0].split(':')[2]}`);
  expect(ruler.external_url).toBe(`http://${grafana.ports[0].split(':').slice(0, 2).join(':')}`);
});

test('Alertmanager is given the routes, and the receiver listens where they send to', () => {
  const routesAt = alertmanager.command.find((word) => word.startsWith('--config.file='))?.slice('--config.file='.length) ?? '';
  expect(mountedAt(alertmanager, routesAt)).toBe('docs/deploy/alertmanager.yaml');
  expect(written(alertmanager)).toEqual([
    alertmanager.command.find((word) => word.startsWith('--storage.path='))?.slice('--storage.path='.length),
  ]);
  const hooks = [...read('docs/deploy/alertmanager.yaml').matchAll(/url: 'http:\/\/127\.0\.0\.1:(\d+)\//g)].map(([, port]) => port);
  expect(hooks).toHaveLength(3);
  const script = mountedAt(receiver, receiver.command[1]);
  expect(script).toBe('docs/deploy/print-alerts.mjs');
  for (const port of hooks) expect(read(script ?? '')).toContain(`?? ${port})`);
  expect(receiver.network_mode).toBe('service:alertmanager');
});

test('Grafana is given a data source under the id that dashboard and alerts name, and the folder its dashboards are read from', () => {
  const files = grafana.volumes.filter((volume) => volume.startsWith('.')).map((volume) => volume.split(':'));
  expect(files.map(([from]) => from.slice(2)).sort()).toEqual([
    'docs/deploy/grafana/dashboards.yaml',
    'docs/deploy/grafana/datasources.yaml',
    'docs/deploy/grafana/findings.json',
  ]);
  const sources = z
    .object({
      apiVersion: z.literal(1),
      datasources: z.array(z.object({ uid: z.string(), type: z.literal('loki'), access: z.literal('proxy'), url: z.string() })),
    })
    .parse(parse(read('docs/deploy/grafana/datasources.yaml')));
  expect(sources.datasources.map(({ url }) => url)).toEqual([`http://loki:${loki.ports[0].split(':')[2]}`]);
  const [{ uid }] = sources.datasources;
  const dashboard = read('docs/deploy/grafana/findings.json');
  expect(new Set([...dashboard.matchAll(/"type": "loki",\s+"uid": "([^"]+)"/g)].map(([, id]) => id))).toEqual(new Set([uid]));
  expect(read('docs/deploy/loki.yaml')).toContain(`datasource_uid: ${uid}`);
  const { providers } = z
    .object({
      apiVersion: z.literal(1),
      providers: z.array(z.object({ type: z.literal('file'), options: z.object({ path: z.string() }) })),
    })
    .parse(parse(read('docs/deploy/grafana/dashboards.yaml')));
  const [{ options }] = providers;
  expect(mountedAt(grafana, `${options.path}/findings.json`)).toBe('docs/deploy/grafana/findings.json');
  expect(grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH).toBe(`${options.path}/findings.json`);
});
