import { expect, test } from 'vitest';
import { decodeOne, Harness } from './decode-lines.ts';

const fields = ['message', 'host.name', 'service.name', 'process.pid', 'log.level', 'log.syslog.priority'];

test('RFC 5424 with structured data', () => {
  const row = decodeOne(
    '<38>1 2022-01-19T14:23:55+00:00 OPNsense.localdomain sshd 44255 - [meta sequenceId="1"] Invalid user tutu from 1.2.3.4 port 33166',
    [...fields, 'sequenceId', 'event.name', 'user.name', 'client.address'],
  );
  expect(row).toMatchObject({ time: '2022-01-19T14:23:55.000Z', dataset: 'app' });
  expect(row.fields).toEqual({
    message: 'Invalid user tutu from 1.2.3.4 port 33166',
    'host.name': 'OPNsense.localdomain',
    'service.name': 'sshd',
    'process.pid': '44255',
    'log.level': 'info',
    'log.syslog.priority': 38,
    sequenceId: '1',
    'event.name': 'ssh.invalid_user',
    'user.name': 'tutu',
    'client.address': '1.2.3.4',
  });
});

test('RFC 5424 with nil values, and a byte-order mark before the message', () => {
  expect(decodeOne('<11>1 - - - - - - \ufeffhello', fields)).toMatchObject({
    time: 'none',
    fields: { message: 'hello', 'log.level': 'error', 'log.syslog.priority': 11 },
  });
  expect(
    decodeOne('<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [a x="1"][b y="q\\"]"] event', [
      ...fields,
      'log.syslog.msgid',
      'x',
    ]),
  ).toMatchObject({
    time: '2003-10-11T22:14:15.003Z',
    fields: { message: 'event', 'service.name': 'evntslog', 'log.syslog.msgid': 'ID47', x: '1' },
  });
});

test('RFC 3164 with and without a priority; one space or a zero before the day', () => {
  const expected = { message: 'hi: there', 'host.name': 'usbkey', 'service.name': 'cron', 'process.pid': '8807' };
  expect(decodeOne('<34>Jul  1 09:30:56 usbkey cron[8807]: hi: there', fields).fields).toEqual({
    ...expected,
    'log.level': 'critical',
    'log.syslog.priority': 34,
  });
  expect(decodeOne('Jul 01 09:30:56 usbkey cron[8807]: hi: there', fields)).toMatchObject({
    time: '2000-07-01T09:30:56.000Z',
    fields: expected,
  });
});

test('the year of a line without one is the nearest that is at most a day after the record', () => {
  const at = (line: string, record: string) => decodeOne(line, [], { timestampMs: Date.parse(record) }).time;
  expect(at('Dec 31 23:59:59 h p[1]: x', '2026-01-01T00:00:05Z')).toBe('2025-12-31T23:59:59.000Z');
  expect(at('Jan  1 00:00:01 h p[1]: x', '2025-12-31T23:59:59Z')).toBe('2026-01-01T00:00:01.000Z');
  expect(at('Jan  2 00:00:01 h p[1]: x', '2025-12-31T23:59:59Z')).toBe('2025-01-02T00:00:01.000Z');
  expect(at('Feb 29 12:00:00 h p[1]: x', '2026-03-01T00:00:00Z')).toBe('2024-02-29T12:00:00.000Z');
});

test('ISO-time lines of auth.log, and JSON inside them', () => {
  const row = decodeOne(
    '2025-01-22T13:09:20.606136+01:00 wazuh-prod opensearch-dashboards[9400]: {"type":"response","@timestamp":"2025-01-22T12:09:20Z","method":"post","statusCode":401,"req":{"url":"/auth/login?dataSourceId=","remoteAddress":"1.2.3.4"}}',
    ['host.name', 'service.name', 'http.request.method', 'http.response.status_code', 'url.path', 'client.address'],
  );
  expect(row.time).toBe('2025-01-22T12:09:20.000Z');
  expect(row.fields).toEqual({
    'host.name': 'wazuh-prod',
    'service.name': 'opensearch-dashboards',
    'http.request.method': 'POST',
    'http.response.status_code': 401,
    'url.path': '/auth/login',
    'client.address': '1.2.3.4',
  });
  expect(decodeOne('2024-08-29T01:08:59.764590+00:00 machine postfix/smtpd[1938053]: NOQUEUE: reject', fields)).toMatchObject({
    time: '2024-08-29T01:08:59.764Z',
    fields: { 'service.name': 'postfix/smtpd', message: 'NOQUEUE: reject' },
  });
});

test('the lines that `heroku logs` prints are Heroku’s', () => {
  const row = decodeOne(
    '2022-12-05T08:59:21.66229+00:00 heroku[router]: at=info method=GET path="/" host=h request_id=r fwd="1.2.3.4" dyno=web.1 connect=1ms service=22ms status=200 bytes=1 protocol=http',
    ['event.name', 'client.address'],
    {
      dataset: 'heroku',
    },
  );
  expect(row).toMatchObject({
    dataset: 'heroku.router',
    time: '2022-12-05T08:59:21.662Z',
    fields: { 'event.name': 'router.request', 'client.address': '1.2.3.4' },
  });
  expect(decodeOne('2022-12-05T08:59:21+00:00 app[web.1]: hello', ['message', 'service.instance.id'], { dataset: 'heroku' })).toMatchObject(
    {
      dataset: 'heroku.app',
      fields: { message: 'hello', 'service.instance.id': 'web.1' },
    },
  );
});

test('in format syslog what is no syslog line is rejected', () => {
  const harness = new Harness({ fields });
  expect(harness.decode(['hello', '<999>1 x', '<34>1 2022-01-19T14:23:55Z too short'], { format: 'syslog' })).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_syslog', 'bad_syslog', 'bad_syslog']);
});
