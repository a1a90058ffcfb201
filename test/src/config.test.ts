// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are what is tested
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formats as decoders } from '../../processors/decode/create-decoder.ts';
import { formats } from '../../schemas/config-sources.ts';
import { type Config, loadConfig, parseConfig } from '../../src/config.ts';
import { UsageError } from '../../src/errors.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'streamgauge-config-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function load(text: string, env: Record<string, string> = {}): Promise<Config> {
  const path = join(dir, 'c.yaml');
  await writeFile(path, text);
  return loadConfig(path, env);
}

async function problemsOf(text: string, env: Record<string, string> = {}): Promise<string[]> {
  const error = await load(text, env).then(
    () => expect.fail('it was taken'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(UsageError);
  return (error as UsageError).problems.map((problem) => problem.replace(`${dir}/`, ''));
}

const kafkaSource = 'sources:\n  - kafka: { brokers: ["b:9092"], topics: [logs] }\n';

test('without a config everything is on this machine alone', () => {
  const config = parseConfig('{}', undefined, {});
  expect(config).toMatchObject({
    file: undefined,
    rules: ['builtin'],
    sinks: [{ kind: 'file', path: join(process.cwd(), 'data', 'findings.jsonl') }],
    state: { dir: join(process.cwd(), 'data') },
    deadLetter: { kind: 'file', path: join(process.cwd(), 'data', 'dead-letter.jsonl') },
    hashKey: undefined,
    memoryBytes: 512e6,
    http: { host: '127.0.0.1', port: 8080, maxConnections: 1000, timeoutMs: 10_000 },
    overrides: {},
    time: { latenessMs: 10_000, idleMs: 60_000, futureSkewMs: 300_000 },
  });
  expect(config.sources.map((source) => source.kind === 'drain' && source.path)).toEqual(['/drain/logplex', '/v1/logs', '/drain/json']);
});

test('the config of the design is taken, but for what is not built', async () => {
  await writeFile(join(dir, 'kafka'), 'hunter2hunter2\n');
  const config = await load(
    `
rules: [builtin, ./rules]
sources:
  - kafka: { brokers: ["127.0.0.1:9092"], topics: [logs], group: streamgauge, driver: auto, from: committed, dataset: app,
             sasl: { mechanism: scram-sha-512, username: app, password: "\${file:./kafka}" }, tls: { ca: ./ca.pem } }
  - drain: { path: /drain/logplex, credentials: ["app:\${DRAIN_PASSWORD}", "app:\${DRAIN_PASSWORD_OLD}"], dataset: heroku, to: engine }
  - file: { path: "./logs/*.log", follow: true, format: auto, dataset: nginx }
  - file: { path: "-" }
sinks:
  - kafka: { topic: findings }
  - file: { path: ./data/findings.jsonl }
  - stdout:
state: { dir: ./state }
deadLetter: { kafka: logs.dead }
hashKey: "0011223344556677"
memory: 64MiB
http: { listen: "[::1]:9000" }
overrides: { http_path_scan: { detect: { above: 80 }, severity: low, mute: 5m } }
fields: { took|ms: http.server.request.duration }
extractors:
  - { name: charge, dataset: app, pattern: 'charge of (?<amount>\\d+) by (?<who>\\S+) on (?<card__kind>\\w+)', fields: { who: user.id } }
time: { lateness: 5s, idle: 2m, futureSkew: 0s }
`,
    { DRAIN_PASSWORD: 'new', DRAIN_PASSWORD_OLD: 'old' },
  );
  const [kafka, drain, file, stdin] = config.sources;
  expect(kafka).toMatchObject({
    kind: 'kafka',
    brokers: ['127.0.0.1:9092'],
    topics: ['logs'],
    from: 'committed',
    format: 'auto',
    tls: { ca: join(dir, 'ca.pem') },
  });
  const { sasl } = kafka.kind === 'kafka' ? kafka : {};
  expect(sasl?.mechanism === 'scram-sha-512' && sasl.password.reveal()).toBe('hunter2hunter2');
  expect(drain.kind === 'drain' && drain.credentials.map((pair) => pair.reveal())).toEqual(['app:new', 'app:old']);
  expect(file).toEqual({ kind: 'file', paths: [join(dir, 'logs/*.log')], follow: true, format: 'auto', dataset: 'nginx' });
  expect(stdin).toMatchObject({ paths: ['-'], follow: false });
  expect(config.sinks).toMatchObject([
    { kind: 'kafka', topic: 'findings', brokers: ['127.0.0.1:9092'] },
    { kind: 'file', path: join(dir, 'data/findings.jsonl') },
    { kind: 'stdout' },
  ]);
  expect(config.deadLetter).toMatchObject({ kind: 'kafka', topic: 'logs.dead', brokers: ['127.0.0.1:9092'] });
  expect(config.rules).toEqual(['builtin', join(dir, 'rules')]);
  expect(config.hashKey?.reveal()).toEqual(Uint8Array.from([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]));
  expect(config.memoryBytes).toBe(64 * 1024 * 1024);
  expect(config.http).toMatchObject({ host: '::1', port: 9000 });
  expect(config.overrides).toEqual({
    http_path_scan: {
      severity: 'low',
      muteMs: 300_000,
      detect: { one: { kind: 'above', threshold: 80, forMs: 0 }, forGiven: false },
      at: `${dir}/c.yaml:18`,
    },
  });
  expect(config.extractors).toEqual([
    {
      name: 'charge',
      dataset: 'app',
      pattern: 'charge of (?<amount>\\d+) by (?<who>\\S+) on (?<card__kind>\\w+)',
      fields: { amount: 'amount', who: 'user.id', card__kind: 'card.kind' },
    },
  ]);
  expect(config.time).toEqual({ latenessMs: 5000, idleMs: 120_000, futureSkewMs: 0 });
});

test('printing a config, or writing it as JSON, shows no secret', async () => {
  const config = await load(
    `${kafkaSource.replace('topics', 'sasl: { mechanism: plain, username: u, password: "pass-kafka" }, tls: { key: "-----BEGIN pass-pem" }, topics')}
  - drain: { credentials: ["u:pass-drain"] }
hashKey: "pass-hash-pass-hash"
`,
  );
  for (const shown of [
    JSON.stringify(config),
    inspect(config, { depth: 20, showHidden: true }),
    String(config.hashKey),
    `${config.hashKey}`,
  ]) {
    expect(shown).not.toContain('pass-');
    expect(shown).toContain('[secret]');
  }
  expect(config.hashKey?.reveal()).toHaveLength(8);
});

test('how to log in to Kafka: each mechanism has keys of its own, and no secret goes over an open line', async () => {
  const login = (text: string) => kafkaSource.replace('topics', `sasl: { ${text} }, topics`);
  const oauth = 'mechanism: oauthbearer, clientId: gauge, clientSecret: "pass-oauth", tokenEndpoint: ';
  const config = await load(login(`${oauth}"https://id.example/token", scope: kafka`));
  const [kafka] = config.sources;
  const { sasl } = kafka.kind === 'kafka' ? kafka : {};
  expect(sasl).toMatchObject({ mechanism: 'oauthbearer', tokenEndpoint: 'https://id.example/token', clientId: 'gauge', scope: 'kafka' });
  expect(sasl?.mechanism === 'oauthbearer' && sasl.clientSecret.reveal()).toBe('pass-oauth');
  expect(inspect(config, { depth: 20 })).not.toContain('pass-oauth');
  expect(await problemsOf(login('mechanism: oauthbearer, username: u, clientSecret: pass-short'))).toEqual([
    expect.stringContaining('kafka.sasl: expected `tokenEndpoint` with mechanism oauthbearer, found none'),
    expect.stringContaining('kafka.sasl: expected `clientId` with mechanism oauthbearer, found none'),
    expect.stringContaining('kafka.sasl.username: expected no `username` with mechanism oauthbearer'),
  ]);
  expect(await problemsOf(login('mechanism: plain, username: u, scope: x'))).toEqual([
    expect.stringContaining('kafka.sasl: expected `password` with mechanism plain, found none'),
    expect.stringContaining('kafka.sasl.scope: expected no `scope` with mechanism plain'),
  ]);
  for (const endpoint of ['http://id.example/token', 'https://u:p@id.example/', 'id.example']) {
    expect(await problemsOf(login(`${oauth}"${endpoint}"`))).toEqual([expect.stringContaining('expected an https:// address')]);
  }
  expect((await load(login(`${oauth}"http://127.0.0.1:8080/token"`))).sources).toHaveLength(1);
});

test('no mistake shows what came from the environment, a file, or stands where secrets stand', async () => {
  await writeFile(join(dir, 'secret'), 'TOPSECRET');
  const problems = await problemsOf(
    `
sources:
  - kafka: { brokers: ["\${BAD}"], topics: ["x \${BAD}"], from: "\${BAD}", sasl: { mechanism: "\${file:secret}", username: u, password: 31337 } }
  - drain: { credentials: ["TOPSECRET", "\${BAD}"], path: &p "\${BAD}" }
  - drain: { path: *p }
memory: "\${BAD}"
time: { lateness: "\${BAD}" }
http: { listen: "\${file:secret}" }
hashKey: TOPSECRET
overrides: { x: { severity: "\${BAD}", detect: { above: "\${BAD}" } } }
extractors: [{ name: x, pattern: "\${BAD}" }]
`,
    { BAD: 'TOPSECRET' },
  );
  expect(problems.length).toBeGreaterThanOrEqual(14);
  expect(problems.join('\n')).not.toContain('TOPSECRET');
  expect(problems.join('\n')).not.toContain('31337');
  expect(problems.filter((problem) => problem.includes('found [secret]')).length).toBeGreaterThanOrEqual(13);
});

test('variables are filled in within any text, and missing ones are told with their line, all at once', async () => {
  const env = { A: 'alpha', EMPTY: '' };
  const config = await load('rules: ["/r/${A}-${A}", "/${NONE:-d:e}", "/${EMPTY:-full}", "/x${EMPTY}", "/$${A}", "/$A"]', env);
  expect(config.rules).toEqual(['/r/alpha-alpha', '/d:e', '/full', '/x', '/${A}', '/$A']);
  expect(await problemsOf('rules:\n  - ${NONE}\n  - "${file:nowhere}"\n  - "${1x}"\n  - "${open"\nmemory: 1', env)).toEqual([
    'c.yaml:2: rules[0]: expected the environment variable NONE to be set (or a default, ${NONE:-…}), found nothing',
    expect.stringContaining('c.yaml:3: rules[1]: expected a file that can be read at nowhere, found: ENOENT'),
    'c.yaml:4: rules[2]: expected ${NAME}, ${NAME:-default} or ${file:path}, found "${1x}"',
    'c.yaml:5: rules[3]: expected a } after every ${ ($${ is a ${ as it stands), found none',
    expect.stringContaining('c.yaml:6: memory: expected a size such as 512MB or 64MiB, found 1'),
  ]);
});

test('Kafka’s brokers may come as one text, as Heroku gives them', async () => {
  const config = await load(`${kafkaSource.replace('["b:9092"]', '"${KAFKA_URL}"')}`, {
    KAFKA_URL: 'kafka+ssl://a.example:9096,kafka+ssl://[::1]:9097',
  });
  expect(config.sources[0]).toMatchObject({ brokers: ['a.example:9096', '[::1]:9097'] });
});

test('a Kafka source may begin at a time', async () => {
  const config = await load(kafkaSource.replace('topics', 'from: { timestamp: "2026-11-01T00:00:00Z" }, topics'));
  expect(config.sources[0]).toMatchObject({ from: { timestampMs: Date.UTC(2026, 10, 1) } });
});

test('a drain may have limits, and a topic behind it, over the connection of the Kafka source or one of its own', async () => {
  const kafka = 'kafka: { brokers: ["a:9092"], topics: [logs], clientId: gauge }';
  const { sources } = await load(
    `sources: [{ ${kafka} }, { drain: { to: { kafka: logs }, rate: 1.5MB/s, maxBody: 2MiB } }, { drain: { path: /v1/logs, to: { kafka: { topic: otel, brokers: ["b:9092"] } } } }]`,
  );
  expect(sources.slice(1)).toMatchObject([
    { to: { topic: 'logs', brokers: ['a:9092'], clientId: 'gauge' }, rateBytesPerSecond: 1_500_000, maxBodyBytes: 2 * 1024 ** 2 },
    { path: '/v1/logs', to: { topic: 'otel', brokers: ['b:9092'], clientId: undefined }, rateBytesPerSecond: undefined },
  ]);
});

test('the files of secrets are known, to be watched', async () => {
  await writeFile(join(dir, 'key'), '0011223344556677');
  const config = parseConfig('hashKey: "${file:./key}"', join(dir, 'c.yaml'), {});
  expect(config.secretFiles).toEqual([join(dir, 'key')]);
});

test('checkpoints go to a topic under the name of the first group, or one of their own; what else is kept stays in the folder', async () => {
  const short = (await load(`${kafkaSource.replace('topics', 'group: shop, topics')}\nstate: { kafka: shop.state }`)).state;
  expect(short).toMatchObject({ dir: join(dir, 'data'), kafka: { topic: 'shop.state', group: 'shop', brokers: ['b:9092'] } });
  const long = (await load('state: { dir: ./x, kafka: { topic: s, group: g, brokers: ["c:1"], driver: kafkajs } }')).state;
  expect(long).toMatchObject({ dir: join(dir, 'x'), kafka: { topic: 's', group: 'g', brokers: ['c:1'], driver: 'kafkajs' } });
  expect((await load('state: { kafka: { topic: s, brokers: ["c:1"] } }')).state.kafka?.group).toBe('streamgauge');
});

test('a drain beyond this machine needs credentials, or an empty list that says everybody may send', async () => {
  const http = 'http: { listen: "0.0.0.0:8080" }\n';
  expect(await problemsOf(`${http}sources: [{ drain: {} }]`)).toEqual([
    expect.stringContaining('c.yaml:2: sources[0].drain.credentials: expected credentials'),
  ]);
  expect(await problemsOf(http)).toEqual([expect.stringContaining('sources: expected credentials')]);
  expect((await load(`${http}sources: [{ drain: { credentials: [] } }]`)).sources).toMatchObject([{ credentials: [] }]);
});

const mistakes: readonly (readonly [text: string, ...said: string[]])[] = [
  ['source: []', 'c.yaml:1: source: expected one of rules, sources', 'did you mean "sources"?'],
  ['- 1', 'c.yaml:1: expected a map, found a list'],
  ['sources: [{ kafk: {} }]', 'sources[0].kafk: expected one of kafka, drain, file, found "kafk"; did you mean "kafka"?'],
  ['sources: [{ file: { path: x }, drain: {} }]', 'sources[0]: expected exactly one source (kafka, drain, file), found drain and file'],
  ['sources: [{ kafka: { topics: [a] } }]', 'sources[0].kafka.brokers: expected a list of brokers'],
  [
    'sources: [{ kafka: { brokers: [b], topics: [a b], driver: kafkjs, from: latst, groop: x } }]',
    'brokers[0]: expected a broker such as kafka:9092, found "b"',
    'topics[0]: expected the name of a topic',
    'did you mean "kafkajs"?',
    'did you mean "latest"?',
    'did you mean "group"?',
  ],
  ['sources: [{ kafka: { brokers: ["b:1"], topics: [a], from: { timestamp: yesterday } } }]', 'from.timestamp: expected an ISO 8601 time'],
  ['sources: [{ drain: { path: drain } }]', 'path: expected a path like /drain/logplex'],
  ['sources: [{ drain: { path: /a/../b } }]', 'path: expected a path like /drain/logplex'],
  ['sources: [{ drain: {} }, { drain: {} }]', 'sources[1].drain.path: expected a path of its own, found that of sources[0] again'],
  [
    'sources: [{ drain: { path: /drain } }, { drain: { path: /live } }]',
    'sources[1].drain.path: expected a path that the server does not answer itself (/live, /healthz, /metrics, /version), found /live; take one such as /drain/live',
  ],
  ['sources: [{ drain: { path: /healthz } }]', 'found /healthz; take one'],
  ['sources: [{ drain: { path: /metrics } }]', 'found /metrics; take one'],
  ['sources: [{ drain: { path: /version } }]', 'found /version; take one'],
  ['sinks: [{ kafka: { topic: x } }]', 'sinks[0].kafka: expected brokers'],
  ['deadLetter: { kafka: x }', 'deadLetter.kafka: expected brokers'],
  ['deadLetter: { file: x, kafka: y }', 'deadLetter: expected exactly one place'],
  ['state: { kafka: x }', 'state.kafka: expected brokers, because there is no Kafka source'],
  ['state: { kafka: { topic: a b } }', 'state.kafka'],
  ['state: { dirr: x }', 'state.dirr: expected one of dir, kafka', 'did you mean "dir"?'],
  ['memory: 512', 'memory: expected a size such as 512MB or 64MiB, found 512'],
  ['http: { listen: "host:99999" }', 'http.listen: expected an address and port'],
  ['overrides: { Http: { severity: low } }', 'overrides.Http: expected lower-case letters'],
  ['overrides: { x: { severty: low } }', 'overrides.x.severty: expected one of severity, mute, status, detect', 'did you mean "severity"?'],
  ['overrides: { x: { detect: { abov: 3 } } }', 'did you mean "above"?'],
  ['overrides: { x: { detect: { unusual: {} } } }', 'overrides.x.detect: not yet: detector `unusual`'],
  [
    'extractors: [{ name: a, pattern: "(" }, { name: b, pattern: x }]',
    'extractors[0].pattern: expected a JavaScript regular expression with a named group',
    'extractors[1].pattern',
  ],
  [
    'extractors: [{ name: a, pattern: "(?<x>.)", fields: { y: z } }]',
    'extractors[0].fields.y: expected one of the pattern\'s groups x, found "y"',
  ],
  [
    'sinks: [{ loki: { url: "http://127.0.0.1:3100", labels: { app: shop, user: x } } }]',
    'sinks[0].loki.labels.user: expected one of app, env',
  ],
  ['sinks: [{ loki: { url: "http://x", auth: { username: a, password: b }, token: c } }]', 'sinks[0].loki: expected either auth or token'],
  [
    'sinks: [{ loki: { url: "http://x" } }, { loki: { url: "http://y" } }]',
    'sinks[1].loki: expected a `group` of its own, found that of sinks[0]: "streamgauge-loki"',
  ],
  ['sinks: [{ loki: { url: "http://user:pw@127.0.0.1" } }]', 'sinks[0].loki.url: expected a URL without user and password'],
  [
    kafkaSource.replace('topics', 'driver: kafkajs, instanceId: a, topics'),
    'sources[0].kafka.instanceId: expected driver rdkafka or auto with `instanceId`, found kafkajs',
  ],
  [kafkaSource.replace('[logs]', '["/logs-(/"]'), 'sources[0].kafka.topics[0]: expected the name of a topic'],
  ['sources: [{ drain: { to: { kafka: logs } } }]', 'sources[0].drain.to.kafka: expected brokers, because there is no Kafka source'],
  ['sources: [{ drain: { to: kafka } }]', 'sources[0].drain.to: expected engine, or {kafka: topic}'],
  ['sources: [{ drain: { rate: 10MB } }]', 'sources[0].drain.rate: expected bytes a second such as 10MB/s, found "10MB"'],
  ['sources: [{ drain: { rate: 0B/s } }]', 'sources[0].drain.rate: expected bytes a second'],
  ['http: { maxConnections: 0 }', 'http.maxConnections: expected a whole number from 1 to 65535, found 0'],
  ['http: { timeout: 0s }', 'http.timeout: expected a duration above zero'],
  ['sources: [{ drain: { maxBody: 65MiB } }]', 'sources[0].drain.maxBody: expected a size from 1kB to 64MiB'],
  ['sources: [{ file: { path: x, format: jsn } }]', 'sources[0].file.format: expected one of auto, json', 'did you mean "json"?'],
  ['a: 1\na: 2', 'c.yaml:2: expected every key once in a map'],
];

for (const [text, ...said] of mistakes) {
  test(`told: ${text.slice(0, 100)}`, async () => {
    const problems = (await problemsOf(text)).join('\n');
    for (const part of said) expect(problems).toContain(part);
  });
}

test('Loki is shipped to from the topic of the Kafka sink where there is one, else from a queue; its secrets are not shown', async () => {
  const loki = 'loki: { url: "http://127.0.0.1:3100", labels: { app: shop, env: prod }, tenant: acme, token: s3cret-token }';
  const plain = parseConfig(`sinks: [{ ${loki} }]`, undefined, {});
  expect(plain.sinks).toMatchObject([
    {
      kind: 'loki',
      url: 'http://127.0.0.1:3100',
      labels: { app: 'shop', env: 'prod' },
      tenant: 'acme',
      maxAgeMs: 604_800_000,
      from: undefined,
    },
  ]);
  expect(JSON.stringify(plain)).not.toContain('s3cret-token');
  const kafka = parseConfig(`sinks: [{ ${loki} }, { kafka: { topic: findings, brokers: ["b:9092"] } }]`, undefined, {});
  expect(kafka.sinks[0]).toMatchObject({ kind: 'loki', from: { topic: 'findings', group: 'streamgauge-loki', brokers: ['b:9092'] } });
});

test('a config that cannot be read is told', async () => {
  await expect(loadConfig(join(dir, 'nowhere.yaml'), {})).rejects.toThrow(
    /nowhere\.yaml: expected a config that can be read, found: ENOENT/,
  );
});

test('the formats of the config are those of the decoders', () => {
  expect(formats).toEqual(decoders);
});

test('mistakes of a config come in the order of its lines', async () => {
  const problems = await problemsOf('memory: 3\nsinks: [{ lki: {} }]\nhttp: { listen: x }\nrules: ["${NONE}"]\ntime: { idle: 0s }');
  expect(problems.map((problem) => problem.slice(0, 8))).toEqual(['c.yaml:1', 'c.yaml:2', 'c.yaml:3', 'c.yaml:4', 'c.yaml:5']);
});
