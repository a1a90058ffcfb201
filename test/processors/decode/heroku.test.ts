import { expect, test } from 'vitest';
import { decodeOne } from './decode-lines.ts';

const heroku = { dataset: 'heroku' };
const http = [
  'event.name',
  'log.level',
  'http.request.method',
  'url.path',
  'url.query',
  'server.address',
  'http.request.id',
  'client.address',
  'service.instance.id',
  'heroku.router.connect.duration',
  'http.server.request.duration',
  'http.response.status_code',
  'http.response.body.size',
  'network.protocol.version',
  'url.scheme',
  'error.code',
  'error.message',
  'sock',
];
const router = (text: string) => `<158>1 2022-12-05T08:59:21.66229+00:00 host heroku router - ${text}\n`;

test('a router line gives the request under OpenTelemetry names, its duration in seconds', () => {
  const row = decodeOne(
    router(
      'at=info method=GET path="/cart_link?utm=1" host=x.herokuapp.com request_id=05726858-c44e-4f94-9a20-37df73be9006 fwd="73.75.38.87" dyno=web.1 connect=1ms service=22ms status=304 bytes=656 protocol=http',
    ),
    [...http, 'fwd', 'service', 'path'],
    heroku,
  );
  expect(row.dataset).toBe('heroku.router');
  expect(row.time).toBe('2022-12-05T08:59:21.662Z');
  expect(row.fields).toEqual({
    'event.name': 'router.request',
    'log.level': 'info',
    'http.request.method': 'GET',
    'url.path': '/cart_link',
    'url.query': 'utm=1',
    'server.address': 'x.herokuapp.com',
    'http.request.id': '05726858-c44e-4f94-9a20-37df73be9006',
    'client.address': '73.75.38.87',
    'service.instance.id': 'web.1',
    'heroku.router.connect.duration': 0.001,
    'http.server.request.duration': 0.022,
    'http.response.status_code': 304,
    'http.response.body.size': 656,
    'url.scheme': 'http',
    fwd: '73.75.38.87',
    service: '22ms',
    path: '/cart_link?utm=1',
  });
});

test('a router error has its code, and empty values are absent', () => {
  const row = decodeOne(
    router(
      'at=error code=H10 desc="App crashed" method=GET path="/" host=h request_id=7a2a1014-6826-4d46-86b0-db4668cbf8c0 fwd="77.208.20.53" dyno= connect= service= status=503 bytes= protocol=http',
    ),
    http,
    heroku,
  );
  expect(row.fields).toEqual({
    'event.name': 'router.error',
    'log.level': 'error',
    'error.code': 'H10',
    'error.message': 'App crashed',
    'http.request.method': 'GET',
    'url.path': '/',
    'server.address': 'h',
    'http.request.id': '7a2a1014-6826-4d46-86b0-db4668cbf8c0',
    'client.address': '77.208.20.53',
    'http.response.status_code': 503,
    'url.scheme': 'http',
  });
});

test('sock comes before at, an error can carry 200, and the protocol has a version', () => {
  const row = decodeOne(
    router(
      'sock=backend at=error code=H18 desc="Server Request Interrupted" method=POST path="/api" host=h request_id=.. fwd="100.27.26.255" dyno=web.1 connect=0ms service=710ms status=200 bytes=0 protocol=http1.1 tls=true tls_version=unknown',
    ),
    http,
    heroku,
  );
  expect(row.fields).toMatchObject({
    'event.name': 'router.error',
    'error.code': 'H18',
    sock: 'backend',
    'http.response.status_code': 200,
    'network.protocol.version': '1.1',
    'http.response.body.size': 0,
    'http.server.request.duration': 0.71,
  });
});

test('a raw blank, a quote and a forged fwd inside the path or the forwarded list do not move the address Heroku saw', () => {
  const path = decodeOne(
    router(
      'at=info method=GET path="/a b" fwd="6.6.6.6" dyno=web.9 c\\" host=h request_id=r fwd="1.1.1.1" dyno=web.1 connect=1ms service=2ms status=200 bytes=1 protocol=http1.1',
    ),
    http,
    heroku,
  );
  expect(path.fields).toMatchObject({ 'client.address': '1.1.1.1', 'service.instance.id': 'web.1', 'url.path': '/a b' });
  const forwarded = decodeOne(
    router(
      'at=info method=GET path="/" host=h request_id=r fwd="9.9.9.9" status=500 x=",1.1.1.1" dyno=web.1 connect=1ms service=2ms status=200 bytes=1 protocol=http',
    ),
    http,
    heroku,
  );
  expect(forwarded.fields).toMatchObject({ 'client.address': '1.1.1.1', 'http.response.status_code': 200 });
});

test('of a forwarded list the rightmost address counts, quoted or bare', () => {
  const fields = ['client.address'];
  expect(
    decodeOne(
      router('at=info method=GET path="/" host=h request_id=r fwd="10.0.0.1, 2.2.2.2,3.3.3.3" dyno=web.1 status=200'),
      fields,
      heroku,
    ).fields,
  ).toEqual({
    'client.address': '3.3.3.3',
  });
  expect(decodeOne(router('at=info method=GET path=/ host=h fwd=2001:db8::1 dyno=web.1 status=200'), fields, heroku).fields).toEqual({
    'client.address': '2001:db8::1',
  });
});

test('H25 and H26 durations are bare integers of ms, H80 is no error', () => {
  const bare = decodeOne(
    router(
      'at=error code=H26 desc="Request Error" cause="bad header" method=GET path="/" host=h request_id=r fwd="1.1.1.1" dyno= connect=1 service=12 status=400 bytes=0',
    ),
    http,
    heroku,
  );
  expect(bare.fields).toMatchObject({ 'http.server.request.duration': 0.012, 'error.code': 'H26' });
  const maintenance = decodeOne(
    router(
      'at=info code=H80 desc="Maintenance mode" method=GET path="/" host=h request_id=r fwd="1.1.1.1" dyno= connect= service= status=503 bytes=',
    ),
    http,
    heroku,
  );
  expect(maintenance.fields).toMatchObject({ 'event.name': 'router.request', 'error.code': 'H80' });
});

test('router lines outside a frame are recognised too', () => {
  const row = decodeOne(
    'at=info method=GET path="/x" host=h request_id=r fwd="1.2.3.4" dyno=web.1 connect=1ms service=22ms status=200 bytes=6 protocol=http',
    http,
    {
      dataset: 'heroku.router',
    },
  );
  expect(row.dataset).toBe('heroku.router');
  expect(row.time).toBe('none');
  expect(row.fields).toMatchObject({ 'http.server.request.duration': 0.022, 'client.address': '1.2.3.4' });
});

const dyno = (text: string) => `<134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - ${text}`;
const dynoFields = [
  'event.name',
  'service.instance.id',
  'service.name',
  'heroku.dyno.state.from',
  'heroku.dyno.state.to',
  'process.exit.code',
  'process.signal',
  'error.code',
  'error.message',
  'error.detail',
  'heroku.memory_total',
  'heroku.memory_percent',
  'process.command_line',
];

test.each([
  [
    'State changed from up to starting\n',
    { 'event.name': 'dyno.state_changed', 'heroku.dyno.state.from': 'up', 'heroku.dyno.state.to': 'starting' },
  ],
  ['Cycling', { 'event.name': 'dyno.cycling' }],
  ['Restarting', { 'event.name': 'dyno.restarting' }],
  ['Idling', { 'event.name': 'dyno.idling' }],
  ['Unidling', { 'event.name': 'dyno.unidling' }],
  ['Stopping all processes with SIGTERM', { 'event.name': 'dyno.stopping', 'process.signal': 'SIGTERM' }],
  ['Stopping process with SIGKILL', { 'event.name': 'dyno.stopping', 'process.signal': 'SIGKILL' }],
  ['Process exited with status 143', { 'event.name': 'dyno.exited', 'process.exit.code': 143 }],
  [
    'Starting process with command `bin/rails server -p $PORT -e production`',
    { 'event.name': 'dyno.starting', 'process.command_line': 'bin/rails server -p $PORT -e production' },
  ],
  [
    'Process running mem=870M(170.1%)',
    { 'event.name': 'dyno.memory', 'heroku.memory_total': 870 * 1024 ** 2, 'heroku.memory_percent': 170.1 },
  ],
  [
    'Process running mem=1028MB(103.3%)',
    { 'event.name': 'dyno.memory', 'heroku.memory_total': 1028 * 1024 ** 2, 'heroku.memory_percent': 103.3 },
  ],
  ['Error R14 (Memory quota exceeded)', { 'event.name': 'dyno.error', 'error.code': 'R14', 'error.message': 'Memory quota exceeded' }],
  [
    'Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch',
    {
      'event.name': 'dyno.error',
      'error.code': 'R10',
      'error.message': 'Boot timeout',
      'error.detail': 'Web process failed to bind to $PORT within 60 seconds of launch',
    },
  ],
])('dyno line: %s', (text, expected) => {
  const row = decodeOne(dyno(text), dynoFields, heroku);
  expect(row.dataset).toBe('heroku.dyno');
  expect(row.time).toBe('2023-02-14T09:06:26.166Z');
  expect(row.fields).toEqual({ 'service.instance.id': 'web.1', 'service.name': 'web', ...expected });
});

test('runtime metrics are numbers, sizes in bytes', () => {
  const fields = [
    'event.name',
    'heroku.load_avg_1m',
    'heroku.load_avg_15m',
    'heroku.memory_total',
    'heroku.memory_pgpgin',
    'heroku.memory_quota',
    'service.instance.id',
  ];
  const load = decodeOne(
    '<45>1 2017-08-31T14:47:13.830178+00:00 host heroku web.1 - source=web.1 dyno=heroku.55681600.b0bc8784-5574-4f35-9508-5ea02d47d251 sample#load_avg_1m=0.25 sample#load_avg_5m=0.00 sample#load_avg_15m=0.01\n',
    fields,
    heroku,
  );
  expect(load.dataset).toBe('heroku.dyno');
  expect(load.fields).toEqual({
    'event.name': 'metrics.sample',
    'heroku.load_avg_1m': 0.25,
    'heroku.load_avg_15m': 0.01,
    'service.instance.id': 'web.1',
  });
  const memory = decodeOne(
    dyno(
      'source=web.1 dyno=heroku.1.cd817c77 sample#memory_total=221.47MB sample#memory_rss=217.77MB sample#memory_cache=3.70MB sample#memory_swap=0.00MB sample#memory_pgpgin=149293pages sample#memory_pgpgout=123257pages sample#memory_quota=512.00MB',
    ),
    fields,
    heroku,
  );
  expect(memory.fields).toEqual({
    'event.name': 'metrics.sample',
    'heroku.memory_total': 221.47 * 1024 ** 2,
    'heroku.memory_pgpgin': 149293,
    'heroku.memory_quota': 536870912,
    'service.instance.id': 'web.1',
  });
});

test('add-on samples take hyphens and underscores, and the name as it was sent', () => {
  const row = decodeOne(
    '<134>1 2023-06-05T19:33:14+00:00 host app heroku-postgres - source=DATABASE addon=postgresql-flat-1 sample#current_transaction=1234 sample#db_size=9913503bytes sample#active-connections=4 sample#load-avg-1m=0.015 sample#memory-total=15664876.0kB sample#index-cache-hit-rate=0.00000',
    [
      'event.name',
      'heroku.addon',
      'heroku.source',
      'heroku.db_size',
      'heroku.active_connections',
      'heroku.load-avg-1m',
      'heroku.memory_total',
      'heroku.index_cache_hit_rate',
      'sample#active-connections',
    ],
    heroku,
  );
  expect(row.dataset).toBe('heroku.postgres');
  expect(row.fields).toEqual({
    'event.name': 'metrics.sample',
    'heroku.addon': 'postgresql-flat-1',
    'heroku.source': 'DATABASE',
    'heroku.db_size': 9913503,
    'heroku.active_connections': 4,
    'heroku.load-avg-1m': 0.015,
    'heroku.memory_total': 15664876 * 1024,
    'heroku.index_cache_hit_rate': 0,
    'sample#active-connections': 4,
  });
  expect(
    decodeOne('<134>1 2023-06-05T19:33:14+00:00 host app heroku-redis - source=REDIS sample#hit-rate=0.9', ['heroku.hit_rate'], heroku),
  ).toMatchObject({
    dataset: 'heroku.redis',
    fields: { 'heroku.hit_rate': 0.9 },
  });
});

test('Postgres lines: duration in seconds, level, statement, and the continuation of a statement', () => {
  const fields = [
    'event.name',
    'log.level',
    'db.client.operation.duration',
    'db.query.text',
    'db.response.status_code',
    'error.message',
    'message',
    'heroku.postgres.line',
    'pid',
    'user.name',
  ];
  const slow = decodeOne(
    '<134>1 2023-06-05T19:33:14+00:00 host app postgres.1105947 - [DATABASE] [12-1]  sql_error_code = 00000 time_ms = "2023-06-05 19:33:14.793 UTC" pid="1284357" proc_start_time="2023-06-05 19:30:00 UTC" session_id="647e3a3c.1398c5" vtid="7/0" tid="0" log_line="5" database="d1" connection_source="1.2.3.4(5432)" user="u1" application_name="app" LOG:  duration: 2405.887 ms  statement: SELECT\n',
    fields,
    heroku,
  );
  expect(slow.dataset).toBe('heroku.postgres');
  expect(slow.fields).toMatchObject({
    'event.name': 'db.log',
    'log.level': 'info',
    'db.client.operation.duration': 2.405887,
    'db.query.text': 'SELECT',
    'db.response.status_code': '00000',
    'heroku.postgres.line': '12-1',
    pid: '1284357',
    'user.name': 'u1',
  });
  const rest = decodeOne('<134>1 2023-06-05T19:33:14+00:00 host app postgres.1105947 - [YELLOW] [12-2] \tSELECT\n', fields, heroku);
  expect(rest.fields).toEqual({ 'event.name': 'db.log', message: '[YELLOW] [12-2] \tSELECT', 'heroku.postgres.line': '12-2' });
  const failed = decodeOne(
    '<132>1 2023-06-05T19:33:14+00:00 host app postgres.1 - [YELLOW] [7-1]  sql_error_code = 23505 time_ms = "2023-06-05 19:33:14.793 UTC" pid="1" user="u1" ERROR:  duplicate key value violates unique constraint "x"',
    fields,
    heroku,
  );
  expect(failed.fields).toMatchObject({
    'event.name': 'db.error',
    'log.level': 'error',
    'db.response.status_code': '23505',
    'error.message': 'duplicate key value violates unique constraint "x"',
  });
});

test.each([
  ['Set LANG, RACK_ENV, SECRET_KEY_BASE config vars by user a@b.c', { 'event.name': 'config.changed', 'user.email': 'a@b.c' }],
  ['Release v48 created by user a@b.c', { 'event.name': 'release.created', 'heroku.release.version': 48, 'user.email': 'a@b.c' }],
  ['Deploy 0b0e75c1 by user a@b.c', { 'event.name': 'deploy.created', 'heroku.release.commit': '0b0e75c1', 'user.email': 'a@b.c' }],
  [
    'Scaled to console@0:Basic rake@0:Basic web@1:Basic by user a@b.c',
    { 'event.name': 'dyno.scaled', 'heroku.formation': 'console@0:Basic rake@0:Basic web@1:Basic', 'user.email': 'a@b.c' },
  ],
  ['Rollback to v7 by user a@b.c', { 'event.name': 'release.rolled_back', 'heroku.release.version': 7, 'user.email': 'a@b.c' }],
  ['Initial release by user a@b.c', { 'event.name': 'release.created', 'user.email': 'a@b.c' }],
  ['Build started by user a@b.c', { 'event.name': 'build.started', 'user.email': 'a@b.c' }],
  ['Build succeeded', { 'event.name': 'build.succeeded' }],
  ['Build failed -- check your build output: https://dashboard.heroku.com/apps/x/activity/builds/y', { 'event.name': 'build.failed' }],
  ['Attach DATABASE (@ref:postgresql-flexible-35202) by user a@b.c', { 'event.name': 'addon.attached', 'user.email': 'a@b.c' }],
  [
    '@ref:postgresql-flexible-35202 completed provisioning, setting DATABASE_URL. by user a@b.c',
    { 'event.name': 'addon.provisioned', 'user.email': 'a@b.c' },
  ],
  ['Running release v5 commands by user a@b.c', { 'event.name': 'release.command', 'heroku.release.version': 5, 'user.email': 'a@b.c' }],
  ['Enable Logplex by user a@b.c', { 'event.name': 'logplex.enabled', 'user.email': 'a@b.c' }],
  [
    'Starting process with command `php src/test.php` by user scheduler@addons.heroku.com',
    { 'event.name': 'process.run', 'process.command_line': 'php src/test.php', 'user.email': 'scheduler@addons.heroku.com' },
  ],
])('API line: %s', (text, expected) => {
  const row = decodeOne(
    `<133>1 2023-06-05T19:33:14.5+00:00 host app api - ${text}`,
    ['event.name', 'user.email', 'heroku.release.version', 'heroku.release.commit', 'heroku.formation', 'process.command_line'],
    heroku,
  );
  expect(row.dataset).toBe('heroku.api');
  expect(row.fields).toEqual(expected);
});
