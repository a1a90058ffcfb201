import { expect, test } from 'vitest';
import { decodeOne, Harness } from './decode-lines.ts';

test.each([
  ['2022-06-20T09:52:17.637Z [warn][API]: Failed sign-in', '2022-06-20T09:52:17.637Z'],
  ['[2022-02-11 13:41:28] crowdsec-events.INFO:  {"type":"x"} []', '2022-02-11T13:41:28.000Z'],
  ['2021-10-11 09:01:35,116 INFO [org.apereo] - x', '2021-10-11T09:01:35.116Z'],
  ['2022/06/13 14:52:23 hello', '2022-06-13T14:52:23.000Z'],
  ['Mon Jun  8 12:08:53 2020 [pid 27244] [user] FAIL LOGIN', '2020-06-08T12:08:53.000Z'],
  ['hello = world', 'none'],
  ['{foo bar}', 'none'],
  ['[Nest] 7  - 08/02/2023', 'none'],
])('a line of no known format is its message, with the time it begins with: %s', (line, time) => {
  const row = decodeOne(line, ['message']);
  expect(row.fields).toEqual({ message: line });
  expect(row.time).toBe(time);
});

test('logfmt: quotes, escapes, empty and absent values, numbers where the field is one', () => {
  const row = decodeOne('ts=2026-01-02T03:04:05Z level=INFO msg="a \\"b\\"\\n" status=200 empty="" none= user.email=a@b.c flag dur=x', [
    'message',
    'log.level',
    'http.response.status_code',
    'empty',
    'none',
    'user.email',
    'dur',
  ]);
  expect(row.time).toBe('2026-01-02T03:04:05.000Z');
  expect(row.fields).toEqual({
    message: 'a "b"\n',
    'log.level': 'info',
    'http.response.status_code': 200,
    empty: '',
    'user.email': 'a@b.c',
    dur: 'x',
  });
});

test('named formats take what is theirs and nothing else', () => {
  const harness = new Harness({ fields: ['message', 'a'] });
  expect(harness.decode(['{"a":1}'], { format: 'plain' })[0].fields).toEqual({ message: '{"a":1}' });
  expect(harness.decode(['a=1 b=2', 'no pairs here'], { format: 'logfmt' }).map((row) => row.fields)).toEqual([
    { message: 'a=1 b=2', a: '1' },
  ]);
  expect(harness.rejects.reasons).toEqual(['bad_logfmt']);
  expect(harness.decode(['{"a":1}', 'a=1', '"text"'], { format: 'json' }).map((row) => row.fields)).toEqual([{ a: 1 }]);
  expect(harness.rejects.reasons).toEqual(['bad_json', 'not_an_object']);
});

test('a record that its source rejected keeps that reason', () => {
  const harness = new Harness({ fields: ['message'] });
  expect(harness.decode(['rest of a body'], { headers: { 'streamgauge-reject': 'bad_frame' } })).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_frame']);
});

test('a logfmt line without a message is its own message', () => {
  expect(decodeOne('a=1 b=2', ['message', 'a']).fields).toEqual({ message: 'a=1 b=2', a: '1' });
});
