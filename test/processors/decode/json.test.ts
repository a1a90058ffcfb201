import { expect, test } from 'vitest';
import { decodeOne, Harness } from './decode-lines.ts';

const common = [
  'message',
  'log.level',
  'client.address',
  'http.request.method',
  'url.path',
  'url.query',
  'http.response.status_code',
  'http.server.request.duration',
];

test('a pino record with an error', () => {
  const row = decodeOne(
    '{"level":50,"time":1795232467376,"pid":11369,"hostname":"h1","err":{"type":"Error","message":"boom","stack":"Error: boom\\n    at ..."},"msg":"boom"}',
    ['message', 'log.level', 'error.type', 'error.message', 'exception.stacktrace', 'host.name', 'process.pid'],
  );
  expect(row).toMatchObject({ timeMs: 1795232467376, dataset: 'app' });
  expect(row.fields).toEqual({
    message: 'boom',
    'log.level': 'error',
    'error.type': 'Error',
    'error.message': 'boom',
    'exception.stacktrace': 'Error: boom\n    at ...',
    'host.name': 'h1',
    'process.pid': 11369,
  });
});

test('a pino-http record: request, response, responseTime in seconds', () => {
  const row = decodeOne(
    '{"level":30,"time":1795232467376,"req":{"id":1,"method":"GET","url":"/a/b?x=1","headers":{"user-agent":"curl"},"remoteAddress":"::ffff:10.0.0.7","remotePort":5},"res":{"statusCode":404},"responseTime":22,"msg":"request completed"}',
    [...common, 'user_agent.original', 'client.port', 'req.url'],
  );
  expect(row.fields).toEqual({
    message: 'request completed',
    'log.level': 'info',
    'client.address': '10.0.0.7',
    'http.request.method': 'GET',
    'url.path': '/a/b',
    'url.query': 'x=1',
    'http.response.status_code': 404,
    'http.server.request.duration': 0.022,
    'user_agent.original': 'curl',
    'client.port': 5,
    'req.url': '/a/b?x=1',
  });
});

test.each([
  ['bunyan', '{"name":"x","level":40,"time":"2026-01-02T03:04:05.678Z","msg":"m","v":0}', 'warn', '2026-01-02T03:04:05.678Z', 'm'],
  ['winston', '{"level":"WARNING","timestamp":"2026-01-02 03:04:05","message":"m"}', 'warn', '2026-01-02T03:04:05.000Z', 'm'],
  [
    'winston, an Error without format',
    '{"level":"error","timestamp":"2026-01-02T03:04:05+02:00"}',
    'error',
    '2026-01-02T01:04:05.000Z',
    undefined,
  ],
  ['ECS, dotted', '{"log.level":"info","@timestamp":"2026-01-02T03:04:05.6Z","message":"m"}', 'info', '2026-01-02T03:04:05.600Z', 'm'],
  ['ECS, nested', '{"log":{"level":"info"},"@timestamp":"2026-01-02T03:04:05.6Z","message":"m"}', 'info', '2026-01-02T03:04:05.600Z', 'm'],
  [
    'OTLP record',
    '{"timeUnixNano":"1544712660300000000","severityNumber":10,"body":{"stringValue":"m"}}',
    'info',
    '2018-12-13T14:51:00.300Z',
    'm',
  ],
])('%s: level, time, message', (_, line, level, time, message) => {
  const row = decodeOne(line, ['log.level', 'message']);
  expect(row.time).toBe(time);
  expect(row.fields['log.level']).toBe(level);
  expect(row.fields.message).toBe(message);
});

test('nested and dotted names mean the same, a sender’s name of a mapped field can be used too', () => {
  for (const line of ['{"user":{"email":"x@y.z"}}', '{"user.email":"x@y.z"}'])
    expect(decodeOne(line, ['user.email']).fields).toEqual({ 'user.email': 'x@y.z' });
  expect(decodeOne('{"a.b":{"c":1},"ip":"1.2.3.4:80"}', ['a.b.c', 'ip', 'client.address']).fields).toEqual({
    'a.b.c': 1,
    ip: '1.2.3.4:80',
    'client.address': '1.2.3.4',
  });
});

test('the better name wins in whichever order they come, and null gives way to a value', () => {
  for (const line of ['{"ip":"1.1.1.1","client.address":"2.2.2.2"}', '{"client.address":"2.2.2.2","ip":"1.1.1.1"}']) {
    expect(decodeOne(line, ['client.address']).fields).toEqual({ 'client.address': '2.2.2.2' });
  }
  expect(decodeOne('{"client.address":null,"ip":"1.1.1.1"}', ['client.address']).fields).toEqual({ 'client.address': '1.1.1.1' });
  expect(decodeOne('{"client.address":null}', ['client.address']).fields).toEqual({ 'client.address': null });
});

test('the first time name that holds a time counts, its unit by its size', () => {
  const at = (line: string) => decodeOne(line, ['message']).time;
  expect(at('{"time":"soon","ts":1554141513.598656}')).toBe('2019-04-01T17:58:33.598Z');
  expect(at('{"ts":1,"@timestamp":"2020-01-01T00:00:00Z"}')).toBe('2020-01-01T00:00:00.000Z');
  expect(at('{"time":1554141513598}')).toBe('2019-04-01T17:58:33.598Z');
  expect(at('{"time":1554141513598656}')).toBe('2019-04-01T17:58:33.598Z');
  expect(at('{"time":1554141513598656000}')).toBe('2019-04-01T17:58:33.598Z');
  expect(at('{"time":0.35}')).toBe('none');
});

test('dataset and event.dataset name the dataset', () => {
  expect(decodeOne('{"dataset":"shop.api"}', []).dataset).toBe('shop.api');
  expect(decodeOne('{"event":{"dataset":"shop.web"}}', []).dataset).toBe('shop.web');
  expect(decodeOne('{"dataset":7}', []).dataset).toBe('app');
});

test('values keep their type: text that looks like a number is text, lists are lists, too large a number is absent', () => {
  expect(
    decodeOne('{"status":"200","a":[1,"x",{"y":1}],"b":true,"c":1e999,"d":{"e":1}}', [
      'status',
      'a',
      'b',
      'c',
      'd',
      'http.response.status_code',
    ]).fields,
  ).toEqual({
    status: '200',
    a: [1, 'x'],
    b: true,
    'http.response.status_code': '200',
  });
});

test('an array gives a row for each object, all of one record, or none', () => {
  const harness = new Harness({ fields: ['message'] });
  const rows = harness.decode(['[{"msg":"a"},{"msg":"b"},{"msg":"c"}]', '[{"msg":"a"},7]', '[]', '{"msg":"d"}']);
  expect(rows.map((row) => [row.record, row.fields.message])).toEqual([
    [0, 'a'],
    [0, 'b'],
    [0, 'c'],
    [3, 'd'],
  ]);
  expect(harness.rejects).toMatchObject({ recordIndexes: [1, 2], reasons: ['not_an_object', 'empty'] });
});

test('an OTLP request gives a row for each log record, with its resource', () => {
  const row = decodeOne(
    '{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},"scopeLogs":[{"scope":{"name":"my.library"},"logRecords":[{"timeUnixNano":"1544712660300000000","observedTimeUnixNano":"1544712660300000000","severityNumber":10,"severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","body":{"stringValue":"Example log record"},"attributes":[{"key":"int.attribute","value":{"intValue":"10"}}]}]}]}]}',
    ['service.name', 'message', 'log.level', 'trace.id', 'int.attribute'],
  );
  expect(row.time).toBe('2018-12-13T14:51:00.300Z');
  expect(row.fields).toEqual({
    'service.name': 'my.service',
    message: 'Example log record',
    'log.level': 'info',
    'trace.id': '5B8EFFF798038103D269B633813FC60C',
    'int.attribute': 10,
  });
});

test('a Fluent Bit record: the line inside is decoded, the Kubernetes metadata stays', () => {
  const fields = [
    'message',
    'k8s.pod.name',
    'k8s.namespace.name',
    'k8s.node.name',
    'container.id',
    'service.name',
    'log.iostream',
    'log.level',
    'kubernetes.labels.app.kubernetes.io/name',
  ];
  const meta =
    '"kubernetes":{"pod_name":"base","namespace_name":"core","labels":{"app.kubernetes.io/name":"fluent-bit"},"host":"ip-10-49-18-80","docker_id":"c9898099"}';
  const expected = {
    'k8s.pod.name': 'base',
    'k8s.namespace.name': 'core',
    'k8s.node.name': 'ip-10-49-18-80',
    'container.id': 'c9898099',
    'service.name': 'fluent-bit',
    'log.iostream': 'stdout',
    'kubernetes.labels.app.kubernetes.io/name': 'fluent-bit',
  };
  const plain = decodeOne(`{"date":1554141513.598656,"log":"Fluent Bit is logging\\n","stream":"stdout",${meta}}`, fields);
  expect(plain.time).toBe('2019-04-01T17:58:33.598Z');
  expect(plain.fields).toEqual({ ...expected, message: 'Fluent Bit is logging' });
  const json = decodeOne(
    `{"@timestamp":1554141513.5,"log":"{\\"level\\":50,\\"time\\":1795232467376,\\"msg\\":\\"boom\\"}\\n","stream":"stdout",${meta}}`,
    fields,
  );
  expect(json.timeMs).toBe(1795232467376);
  expect(json.fields).toEqual({ ...expected, message: 'boom', 'log.level': 'error' });
});

test('a Vector record', () => {
  const row = decodeOne(
    '{"file":"/var/log/pods/x","kubernetes":{"container_name":"c","pod_name":"p","pod_namespace":"n","pod_node_name":"node","pod_uid":"u","pod_labels":{"app":"shop"}},"message":"level=warn msg=slow","source_type":"kubernetes_logs","stream":"stderr","timestamp":"2020-10-15T11:01:46.499555308Z"}',
    [
      'message',
      'log.level',
      'k8s.namespace.name',
      'k8s.pod.name',
      'k8s.node.name',
      'k8s.pod.uid',
      'service.name',
      'log.iostream',
      'log.file.path',
    ],
  );
  expect(row.time).toBe('2020-10-15T11:01:46.499Z');
  expect(row.fields).toEqual({
    message: 'slow',
    'log.level': 'warn',
    'k8s.namespace.name': 'n',
    'k8s.pod.name': 'p',
    'k8s.node.name': 'node',
    'k8s.pod.uid': 'u',
    'service.name': 'shop',
    'log.iostream': 'stderr',
    'log.file.path': '/var/log/pods/x',
  });
});

test('hostile JSON is rejected with its reason or taken as plain fields', () => {
  const harness = new Harness({ fields: ['a', 'polluted', '__proto__.polluted', 'constructor'] });
  const deep = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  const wide = `{"z":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`;
  const rows = harness.decode([
    deep(63),
    deep(64),
    wide,
    '{"a":1,"a":2}',
    '{"__proto__":{"polluted":1},"constructor":"c"}',
    '{"a":',
    '"text"',
  ]);
  expect(rows.map((row) => row.record)).toEqual([0, 3, 4, 6]);
  expect(rows[1].fields).toEqual({ a: 2 });
  expect(rows[2].fields).toEqual({ '__proto__.polluted': 1, constructor: 'c' });
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(harness.rejects).toMatchObject({ recordIndexes: [1, 2, 5], reasons: ['too_deep', 'too_deep', 'bad_json'] });
});

test('bad UTF-8 is a reject only where it breaks the JSON; size, nothing and tombstones are rejected', () => {
  const harness = new Harness({ fields: ['a'], maxRecordBytes: 20 });
  const broken = Buffer.concat([Buffer.from('{"a":'), Buffer.from([0xff])]);
  const readable = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]);
  const rows = harness.decode([broken, readable, `{"a":"${'x'.repeat(20)}"}`, null, '', ' \n']);
  expect(rows.map((row) => row.fields.a)).toEqual(['\ufffd']);
  expect(harness.rejects.reasons).toEqual(['bad_utf8', 'too_long', 'empty', 'empty', 'empty']);
  expect(
    new Harness({ fields: ['a'] }).decode([Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"a":1}')])])[0].fields,
  ).toEqual({ a: 1 });
});

test('a config adds names, with the field’s form or its own', () => {
  const harness = new Harness({
    fields: ['client.address', 'http.server.request.duration'],
    names: { visitor: 'client.address', 'took_for|ms': 'http.server.request.duration', at: '@timestamp' },
  });
  const [row] = harness.decode(['{"visitor":"[::1]:80","ip":"9.9.9.9","took_for":1500,"at":"2026-01-01T00:00:00Z"}']);
  expect(row).toMatchObject({ time: '2026-01-01T00:00:00.000Z', fields: { 'client.address': '::1', 'http.server.request.duration': 1.5 } });
  expect(() => new Harness({ fields: ['a'], names: { 'b|furlongs': 'a' } })).toThrow(/"furlongs" is no form/);
});

test('extractors find fields in the message, by dataset, and go before what is there', () => {
  const harness = new Harness({
    fields: ['user.email', 'client.address', 'http.response.status_code'],
    extractors: [
      { dataset: 'shop', pattern: 'login of (?<user__email>\\S+) from (?<client__address>\\S+)' },
      { pattern: 'status (?<http__response__status_code>\\d+)' },
    ],
  });
  const rows = harness.decode([
    '{"dataset":"shop.web","msg":"login of a@b.c from 1.2.3.4:99, status 403"}',
    '{"dataset":"shopping","msg":"login of a@b.c from 1.2.3.4"}',
    'status 500',
  ]);
  expect(rows.map((row) => row.fields)).toEqual([
    { 'user.email': 'a@b.c', 'client.address': '1.2.3.4', 'http.response.status_code': 403 },
    {},
    { 'http.response.status_code': 500 },
  ]);
  expect(() => new Harness({ fields: [], extractors: [{ pattern: '(' }] })).toThrow(/extractor "\(": expected a regular expression/);
  expect(() => new Harness({ fields: [], extractors: [{ pattern: 'x' }] })).toThrow(/named group/);
});

test('a megabyte of brackets is a reject, whatever closes it', () => {
  const harness = new Harness({ fields: ['a'] });
  const count = 400_000;
  expect(
    harness.decode([
      `{"a":${'['.repeat(count)}`,
      `{"a":${'['.repeat(count)}${']'.repeat(count)}}`,
      `[${'{"a":['.repeat(100)}${']}'.repeat(100)}]`,
    ]),
  ).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_json', 'too_deep', 'too_deep']);
});
