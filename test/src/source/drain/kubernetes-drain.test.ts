/** What Fluent Bit and Vector post, in the shapes of their sources, over a kept connection, into a drain and through the decoder. */
import { Agent, request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { Harness } from '../../../processors/decode/decode-lines.ts';
import { basic, DrainHarness, password } from './drain-harness.ts';

let open: DrainHarness[] = [];
let agents: Agent[] = [];
async function start(): Promise<DrainHarness> {
  const harness = (await DrainHarness.start({ path: '/drain/json', dataset: 'k8s' })).run();
  open.push(harness);
  return harness;
}
afterEach(async () => {
  for (const agent of agents) agent.destroy();
  for (const each of open) await each.stop();
  [agents, open] = [[], []];
});

/** Posts through one connection that is kept, chunked where no length is given, as these senders do. */
function sender(harness: DrainHarness, headers: Record<string, string>) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  return (body: string | Buffer, more: Record<string, string> = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      const all = { Authorization: basic(password), ...headers, ...more };
      const sent = request({ port: harness.port, path: '/drain/json', method: 'POST', agent, headers: all }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.once('error', reject);
      sent.end(body);
    });
}

const kubernetes = {
  pod_name: 'base',
  namespace_name: 'core',
  pod_id: 'e9f2963f-55f2-11e9-84c5-02e422b8a84a',
  labels: { 'app.kubernetes.io/name': 'fluent-bit' },
  host: 'ip-10-49-18-80.eu-west-1.compute.internal',
  container_name: 'fluent-bit',
};
const fields = [
  'message',
  'k8s.pod.name',
  'k8s.namespace.name',
  'k8s.container.name',
  'service.name',
  'log.iostream',
  'log.level',
  'user.email',
];

describe('Fluent Bit', () => {
  const at = 1554141513.598656;
  const records = [
    { date: at, log: 'Fluent Bit is logging\n', stream: 'stdout', kubernetes },
    { date: at + 1, log: '{"level":"error","msg":"no","user":{"email":"a@x.org"}}\n', stream: 'stderr', kubernetes },
  ];
  const expected = [
    {
      time: '2019-04-01T17:58:33.598Z',
      dataset: 'k8s',
      fields: { message: 'Fluent Bit is logging', 'k8s.pod.name': 'base', 'k8s.namespace.name': 'core', 'service.name': 'fluent-bit' },
    },
    { time: '2019-04-01T17:58:34.598Z', fields: { message: 'no', 'log.level': 'error', 'user.email': 'a@x.org', 'k8s.pod.name': 'base' } },
  ];
  const lines = records.map((record) => JSON.stringify(record));

  test.each([
    ['format json', 'application/json', `[${lines.join(',')}]`, undefined],
    ['format json_lines', 'application/x-ndjson', `${lines.join('\n')}\n`, undefined],
    ['format json_stream', 'application/json', lines.join(''), undefined],
    ['compress gzip', 'application/json', gzipSync(`[${lines.join(',')}]`), 'gzip'],
  ])('%s', async (_, type, body, encoding) => {
    const harness = await start();
    const post = sender(harness, {
      'User-Agent': 'Fluent-Bit',
      'Content-Type': type,
      ...(encoding ? { 'Content-Encoding': encoding } : {}),
    });
    expect([await post(body), await post(body)]).toEqual([200, 200]);
    const texts = await harness.handedIn(4);
    expect(texts).toEqual([...lines, ...lines]);
    expect(new Harness({ fields }).decode(texts, { dataset: 'k8s', format: 'json' }).slice(0, 2)).toMatchObject(expected);
    expect(harness.drain.counters).toMatchObject({ records: 4, rejects: 0 });
  });

  test('compress snappy and zstd, which are not read, are kept whole and counted as rejected', async () => {
    const harness = await start();
    const post = sender(harness, { 'User-Agent': 'Fluent-Bit', 'Content-Type': 'application/json' });
    expect(await post(Buffer.from([1, 2, 3]), { 'Content-Encoding': 'snappy' })).toBe(200);
    expect(await post(Buffer.from([4, 5, 6]), { 'Content-Encoding': 'zstd' })).toBe(200);
    await harness.handedIn(2);
    expect(harness.drain.counters.rejects).toBe(2);
    const { rejects } = decoded(harness);
    expect(rejects.reasons).toEqual(['bad_frame', 'bad_frame']);
  });

  test('formats msgpack and gelf are told what is taken', async () => {
    const harness = await start();
    expect(await sender(harness, { 'Content-Type': 'application/msgpack' })(Buffer.from([0x93]))).toBe(415);
  });
});

describe('Vector', () => {
  const record = {
    file: '/var/log/pods/core_base/x/0.log',
    kubernetes: { container_name: 'x', pod_name: 'base', pod_namespace: 'core', pod_labels: { app: 'shop' }, pod_owner: 'ReplicaSet/x' },
    message: 'hello',
    source_type: 'kubernetes_logs',
    stream: 'stderr',
    timestamp: '2020-10-15T11:01:46.499555308Z',
  };

  test.each([
    ['json', 'application/json', `[${JSON.stringify(record)},${JSON.stringify(record)}]`],
    ['newline framing', 'application/x-ndjson', `${JSON.stringify(record)}\n${JSON.stringify(record)}`],
  ])('%s', async (_, type, body) => {
    const harness = await start();
    const post = sender(harness, { 'User-Agent': 'Vector/0.40.0', 'Content-Type': type, 'Content-Encoding': 'gzip' });
    expect(await post(gzipSync(body))).toBe(200);
    const rows = new Harness({ fields }).decode(await harness.handedIn(2), { dataset: 'k8s', format: 'json' });
    const row = {
      time: '2020-10-15T11:01:46.499Z',
      fields: { message: 'hello', 'k8s.pod.name': 'base', 'log.iostream': 'stderr', 'service.name': 'shop' },
    };
    expect(rows).toMatchObject([row, row]);
  });
});

/** What the decoder says of what was handed in, headers and all. */
function decoded(harness: DrainHarness): Harness {
  const decoder = new Harness({ fields });
  decoder.decode(
    harness.records.map(({ value }) => value),
    { format: 'json', headers: { ...harness.records[0].headers } },
  );
  return decoder;
}
