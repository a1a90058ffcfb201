import { expect, test } from 'vitest';
import { decodeOne, Harness } from './decode-lines.ts';

const heroku = { dataset: 'heroku' };

test('an application line that is plain text keeps its bytes, a code point cut in two is replaced', () => {
  const frame =
    '<190>1 2022-06-13T14:52:23.827271+00:00 host app web.1 - [GIN] 2022/06/13 - 14:52:23 | 200 |      163.92µs |  181.167.87.140 | GET      "/static/main.css"\n';
  expect(Buffer.byteLength(frame)).toBe(156);
  const row = decodeOne(frame, ['message', 'service.instance.id', 'log.syslog.priority'], heroku);
  expect(row).toMatchObject({ dataset: 'heroku.app', time: '2022-06-13T14:52:23.827Z', lost: 0 });
  expect(row.fields).toEqual({
    message: '[GIN] 2022/06/13 - 14:52:23 | 200 |      163.92µs |  181.167.87.140 | GET      "/static/main.css"',
    'service.instance.id': 'web.1',
    'log.syslog.priority': 190,
  });
  const cut = Buffer.concat([Buffer.from('<190>1 2022-06-13T14:52:23+00:00 host app web.1 - 163.92'), Buffer.from([0xc2])]);
  expect(decodeOne(cut, ['message'], heroku).fields.message).toBe('163.92\ufffd');
});

test('an empty line is a row with an empty message', () => {
  const row = decodeOne(
    '<190>1 2022-12-05T20:26:20.860136+00:00 host app dramatiqworker.2 - \n',
    ['message', 'service.instance.id'],
    heroku,
  );
  expect(row.fields).toEqual({ message: '', 'service.instance.id': 'dramatiqworker.2' });
});

test.each([
  [
    '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.',
    2,
    'L10',
  ],
  [
    '<172>1 2023-08-31T14:47:14.123456+00:00 host heroku logplex - Error L10 (output buffer overflow): 500 messages dropped since 2013-04-17T19:04:46.000001+00:00.\n',
    500,
    'L10',
  ],
  [
    "<172>1 2023-08-31T14:47:14+00:00 host app logplex - Error L10 (output buffer overflow): drain 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd' dropped 1 messages since 2017-08-31T14:44:12+00:00.",
    1,
    'L10',
  ],
  [
    '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L11 (Tail buffer overflow) -> This tail session dropped 1101 messages since 2017-08-31T14:44:12+00:00.',
    1101,
    'L11',
  ],
  [
    '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - L11 (Tail buffer overflow) -> This tail session dropped 1101 messages since 2017-08-31T14:44:12+00:00.',
    1101,
    'L11',
  ],
  ['<172>1 2017-08-31T14:47:14+00:00 host app log-shuttle - Error L12: 222 messages dropped since 2017-08-31T14:44:12+00:00', 222, 'L12'],
  ['<172>1 2017-08-31T14:47:14+00:00 host app log-shuttle - Error L13: 111 messages lost since 2017-08-31T14:44:12+00:00.', 111, 'L13'],
])('a loss line says how many messages were lost: %s', (line, lost, code) => {
  const row = decodeOne(line, ['event.name', 'error.code', 'heroku.messages_lost'], heroku);
  expect(row.lost).toBe(lost);
  expect(row.dataset).toBe('heroku.logplex');
  expect(row.fields).toEqual({ 'event.name': 'log.lost', 'error.code': code, 'heroku.messages_lost': lost });
});

test('other L codes are errors that lose nothing', () => {
  const row = decodeOne(
    '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L14 (certificate validation): error="bad certificate" uri="syslog+tls://logs.example.com:6514/"',
    ['event.name', 'error.code'],
    heroku,
  );
  expect(row).toMatchObject({ lost: 0, fields: { 'event.name': 'log.error', 'error.code': 'L14' } });
});

test('an application line of JSON or logfmt is decoded, the frame lends its time and never its dataset', () => {
  const fields = ['message', 'log.level', 'user.id', 'http.server.request.duration'];
  const json = decodeOne(
    '<190>1 2022-06-13T14:52:23.5+00:00 host app web.1 - {"level":50,"time":1795232467376,"msg":"boom","userId":7,"dataset":"other","responseTime":12}\n',
    fields,
    heroku,
  );
  expect(json).toMatchObject({ dataset: 'heroku.app', timeMs: 1795232467376 });
  expect(json.fields).toEqual({ message: 'boom', 'log.level': 'error', 'user.id': 7, 'http.server.request.duration': 0.012 });
  const logfmt = decodeOne(
    '<190>1 2022-06-13T14:52:23.5+00:00 host app web.1 - level=warning msg="slow \\"query\\"" user_id=007 duration=1.5s',
    fields,
    heroku,
  );
  expect(logfmt.time).toBe('2022-06-13T14:52:23.500Z');
  expect(logfmt.fields).toEqual({ message: 'slow "query"', 'log.level': 'warn', 'user.id': '007', 'http.server.request.duration': 1.5 });
});

test('JSON that was cut at 10,000 bytes is a message, not a reject', () => {
  const row = decodeOne('<190>1 2022-06-13T14:52:23.5+00:00 host app web.1 - {"level":50,"msg":"a very lo', ['message'], heroku);
  expect(row.fields).toEqual({ message: '{"level":50,"msg":"a very lo' });
});

test('the drain token is a field, and a token as application name is a dyno line of log-shuttle', () => {
  const row = decodeOne('<190>1 2022-06-13T14:52:23Z shuttle t.0b0e75c1-1 shuttle - - hello', ['message', 'heroku.drain.token'], {
    ...heroku,
    format: 'logplex',
    headers: { 'logplex-drain-token': 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd' },
  });
  expect(row).toMatchObject({
    dataset: 'heroku.app',
    fields: { message: 'hello', 'heroku.drain.token': 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd' },
  });
});

test('in format logplex what is no frame is rejected as bad_frame', () => {
  const harness = new Harness({ fields: ['message'] });
  expect(harness.decode(['hello', '<190>1 nonsense host app web.1 - x', ''], { format: 'logplex' })).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_frame', 'bad_frame', 'empty']);
});

test('a loss line says since when', () => {
  const harness = new Harness({ fields: [] });
  harness.decode([
    '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.',
    '{}',
  ]);
  expect([...harness.out.lostSinceMs.subarray(0, 2)]).toEqual([Date.parse('2017-08-31T14:44:12Z'), Number.NaN]);
});

test('an application cannot claim that messages were lost', () => {
  const row = decodeOne(
    '<190>1 2017-08-31T14:47:14+00:00 host app web.1 - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.',
    ['event.name'],
    heroku,
  );
  expect(row).toMatchObject({ dataset: 'heroku.app', lost: 0, fields: {} });
});
