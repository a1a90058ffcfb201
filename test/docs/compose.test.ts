/** What cannot be run here, image and compose file, is at least true to the tree, to the config it mounts and to itself. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { parseConfig } from '../../src/config.ts';
import { engineDefaults } from '../../src/engine.ts';
import tsconfig from '../../tsconfig.build.json' with { type: 'json' };
import { root } from '../support/build.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');

const service = z.object({
  image: z.string().optional(),
  build: z.string().optional(),
  environment: z.record(z.string(), z.string()).optional(),
  command: z.array(z.string()).optional(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  stop_grace_period: z.string().optional(),
});
const compose = z
  .object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
  .parse(parse(read('docker-compose.yml')));
const { kafka, topics, streamgauge } = compose.services;
const dockerfile = read('Dockerfile');
const configPath = 'docs/examples/streamgauge.yaml';
const config = parseConfig(read(configPath), join(root, configPath), {});

test('the compose file names services, volumes and files that are there', () => {
  for (const { depends_on, volumes, ports } of Object.values(compose.services)) {
    for (const name of Object.keys(depends_on)) expect(Object.keys(compose.services)).toContain(name);
    for (const [from] of volumes.map((volume) => volume.split(':'))) {
      if (from.startsWith('.')) expect(existsSync(join(root, from)), from).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(from);
    }
    // Nothing here asks for a password.
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
});

test('the config it mounts fits the services: broker, topics, state, port, and where the image looks for it', () => {
  const [source] = config.sources;
  const [sink] = config.sinks;
  if (source.kind !== 'kafka' || sink.kind !== 'kafka') throw new Error('expected Kafka on both ends');
  for (const broker of [...source.brokers, ...sink.brokers])
    expect(kafka.environment?.KAFKA_ADVERTISED_LISTENERS).toContain(`://${broker}`);
  for (const topic of [...source.topics, sink.topic]) expect(topics.command?.join('\n')).toMatch(new RegExp(`--topic ${topic} `));
  const target = /CMD \["run", "-c", "(.+)"\]/.exec(dockerfile)?.[1];
  expect(streamgauge.volumes).toContain(`./${configPath}:${target}:ro`);
  expect(streamgauge.volumes).toContain(`streamgauge:${config.state.dir}`);
  expect(dockerfile).toContain(`VOLUME ${config.state.dir}\n`);
  expect(config.http).toMatchObject({ host: '0.0.0.0', port: 8080 });
  expect(dockerfile).toContain(`EXPOSE ${config.http.port}\n`);
  expect(dockerfile).toContain(`http://127.0.0.1:${config.http.port}/live`);
  expect(Number.parseInt(streamgauge.stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(engineDefaults.shutdownMs);
});

test('the image is given what the build and the command need, and runs as nobody in particular', () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) => paths.split(' '));
  const ignored = read('.dockerignore').split('\n');
  for (const path of copied) {
    expect(existsSync(join(root, path)), path).toBe(true);
    expect(ignored).toContain(`!${path.split('/')[0]}`);
  }
  // Tests and benchmarks are built too where they are there; the command needs none of them.
  for (const path of tsconfig.include.filter((one) => !one.startsWith('test'))) expect(copied).toContain(path);
  expect(dockerfile).toContain(`ENTRYPOINT ["node", "/app/${packageJson.bin.streamgauge}"]`);
  expect(dockerfile.indexOf('USER node')).toBeGreaterThan(dockerfile.lastIndexOf('RUN '));
  expect(Number.parseInt(/FROM node:(\d+)/.exec(dockerfile)?.[1] ?? '', 10)).toBe(
    Number.parseInt(/\d+/.exec(packageJson.engines.node)?.[0] ?? '', 10),
  );
});
