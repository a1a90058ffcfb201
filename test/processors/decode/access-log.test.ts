import { expect, test } from 'vitest';
import { decodeOne, Harness } from './decode-lines.ts';

const fields = [
  'client.address',
  'user.name',
  'server.address',
  'http.request.method',
  'url.path',
  'url.query',
  'network.protocol.version',
  'http.response.status_code',
  'http.response.body.size',
  'http.request.header.referer',
  'user_agent.original',
  'http.request.line',
];

test('a common log line', () => {
  const row = decodeOne(
    '172.17.0.1 - frank [29/Sep/2021:12:37:05 +0200] "GET /src/scripture.php?page=http://cirt.net/rfiinc.txt?? HTTP/1.1" 404 196',
    fields,
  );
  expect(row.time).toBe('2021-09-29T10:37:05.000Z');
  expect(row.fields).toEqual({
    'client.address': '172.17.0.1',
    'user.name': 'frank',
    'http.request.method': 'GET',
    'url.path': '/src/scripture.php',
    'url.query': 'page=http://cirt.net/rfiinc.txt??',
    'network.protocol.version': '1.1',
    'http.response.status_code': 404,
    'http.response.body.size': 196,
    'http.request.line': 'GET /src/scripture.php?page=http://cirt.net/rfiinc.txt?? HTTP/1.1',
  });
});

test('a combined line, IPv6, an escaped quote, no size', () => {
  const row = decodeOne(
    '2001:db8::1 - - [29/Sep/2021:12:37:05 +0000] "POST /a\\"b HTTP/2.0" 304 - "https://x.y/z" "Mozilla/5.0 (X11; \\"q\\")"',
    fields,
  );
  expect(row.fields).toMatchObject({
    'client.address': '2001:db8::1',
    'http.request.method': 'POST',
    'url.path': '/a\\"b',
    'network.protocol.version': '2.0',
    'http.response.status_code': 304,
    'http.request.header.referer': 'https://x.y/z',
    'user_agent.original': 'Mozilla/5.0 (X11; \\"q\\")',
  });
  expect(row.fields['http.response.body.size']).toBeUndefined();
});

test('with the virtual host first, a request id between, and a dash for referer', () => {
  const expected = { 'client.address': '127.0.0.1', 'server.address': 'example.com', 'url.path': '/', 'user_agent.original': 'Nikto' };
  expect(
    decodeOne('example.com 127.0.0.1 - abc123def456 - [29/Sep/2021:14:11:34 +0200] "HEAD / HTTP/1.1" 200 0 "-" "Nikto"', fields).fields,
  ).toMatchObject(expected);
  expect(
    decodeOne('example.com:443 127.0.0.1 - - [29/Sep/2021:14:11:34 +0200] "HEAD / HTTP/1.1" 200 0 "-" "Nikto"', fields).fields,
  ).toMatchObject(expected);
});

test('a request that is no HTTP, and one with blanks in its path', () => {
  expect(decodeOne('1.2.3.4 - - [29/Sep/2021:14:11:34 +0200] "\\x16\\x03\\x01" 400 157 "-" "-"', fields).fields).toEqual({
    'client.address': '1.2.3.4',
    'http.request.line': '\\x16\\x03\\x01',
    'http.response.status_code': 400,
    'http.response.body.size': 157,
  });
  expect(decodeOne('1.2.3.4 - - [29/Sep/2021:14:11:34 +0200] "GET /a b?c d HTTP/1.0" 200 1', fields).fields).toMatchObject({
    'url.path': '/a b',
    'url.query': 'c d',
  });
});

test('an access line inside a Logplex frame', () => {
  const row = decodeOne(
    '<190>1 2022-06-13T14:52:23+00:00 host app web.1 - 1.2.3.4 - - [13/Jun/2022:14:52:22 +0000] "GET /x HTTP/1.1" 200 5',
    fields,
    { dataset: 'heroku' },
  );
  expect(row).toMatchObject({
    dataset: 'heroku.app',
    time: '2022-06-13T14:52:22.000Z',
    fields: { 'client.address': '1.2.3.4', 'url.path': '/x' },
  });
});

test('nginx error lines: open() failures and mail logins', () => {
  const errors = [
    'message',
    'log.level',
    'client.address',
    'server.address',
    'url.path',
    'http.request.method',
    'user.name',
    'event.name',
    'process.pid',
  ];
  const open = decodeOne(
    '2022/04/02 13:39:51 [error] 8#8: *6631 open() "/usr/share/nginx/html/x" failed (2: No such file or directory), client: 1.2.3.4, server: _, request: "GET /x?y HTTP/1.1", host: "example.com"',
    errors,
  );
  expect(open.time).toBe('2022-04-02T13:39:51.000Z');
  expect(open.fields).toEqual({
    message: 'open() "/usr/share/nginx/html/x" failed (2: No such file or directory)',
    'log.level': 'error',
    'client.address': '1.2.3.4',
    'server.address': 'example.com',
    'url.path': '/x',
    'http.request.method': 'GET',
    'process.pid': '8',
  });
  const mail = decodeOne(
    '2022/04/02 13:39:51 [info] 8#8: *6631 client login failed: "AUTH not supported" while in http auth state, client: 5.34.207.182, server: 0.0.0.0:25, login: "linkinpark@example.com"',
    errors,
  );
  expect(mail.fields).toMatchObject({
    'event.name': 'mail.auth_failed',
    'client.address': '5.34.207.182',
    'user.name': 'linkinpark@example.com',
    'log.level': 'info',
  });
});

test('Apache error lines', () => {
  const row = decodeOne(
    '[Wed Oct 11 14:32:52.123456 2021] [core:error] [pid 123:tid 456] [client 1.2.3.4:5678] AH00128: File does not exist: /var/www/x, referer: http://r/',
    ['message', 'log.level', 'log.logger', 'client.address', 'client.port', 'error.code', 'process.pid', 'http.request.header.referer'],
  );
  expect(row.time).toBe('2021-10-11T14:32:52.123Z');
  expect(row.fields).toEqual({
    message: 'AH00128: File does not exist: /var/www/x, referer: http://r/',
    'log.level': 'error',
    'log.logger': 'core',
    'client.address': '1.2.3.4',
    'client.port': 5678,
    'error.code': 'AH00128',
    'process.pid': '123',
    'http.request.header.referer': 'http://r/',
  });
  expect(decodeOne('[Sat Aug 12 04:05:51 2006] [notice] Apache/1.3.11 (Unix) configured', ['message', 'log.level'])).toMatchObject({
    time: '2006-08-12T04:05:51.000Z',
    fields: { message: 'Apache/1.3.11 (Unix) configured', 'log.level': 'notice' },
  });
});

test('in format access what is no access line is rejected', () => {
  const harness = new Harness({ fields });
  expect(harness.decode(['hello', '1.2.3.4 - - [29/Sep/2021:14:11:34 +0200] GET'], { format: 'access' })).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_access_log', 'bad_access_log']);
});
