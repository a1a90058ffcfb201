import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogplexFrames } from '../../../../src/source/drain/logplex-body.ts';

interface Found {
  readonly start: number;
  readonly end: number;
  readonly reject: string | undefined;
}

function found(body: Uint8Array, maxFrameBytes?: number): Found[] {
  const all: Found[] = [];
  for (const frames = new LogplexFrames(body, maxFrameBytes); frames.next(); ) {
    const { start, end, reject } = frames;
    all.push({ start, end, reject });
  }
  return all;
}

/** Frames as `text` or `!reason:text`. */
function frames(body: string | Buffer, maxFrameBytes?: number): string[] {
  const bytes = Buffer.from(body);
  return found(bytes, maxFrameBytes).map(({ start, end, reject }) => {
    const text = bytes.toString('utf8', start, end);
    return reject === undefined ? text : `!${reject}:${text}`;
  });
}

function frame(message: string | Buffer): Buffer {
  const bytes = Buffer.from(message);
  return Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);
}

const line = '<190>1 2022-12-05T20:26:20+00:00 host app web.1 - hello\n';

/** The byte-exact captures of the wild, LEN first. */
const captures: [name: string, body: string, messages: string[]][] = [
  [
    'a text with a character of two bytes (156 bytes, 155 characters)',
    '156 <190>1 2022-06-13T14:52:23.827271+00:00 host app web.1 - [GIN] 2022/06/13 - 14:52:23 | 200 |      163.92µs |  181.167.87.140 | GET      "/static/main.css"\n',
    [
      '<190>1 2022-06-13T14:52:23.827271+00:00 host app web.1 - [GIN] 2022/06/13 - 14:52:23 | 200 |      163.92µs |  181.167.87.140 | GET      "/static/main.css"\n',
    ],
  ],
  [
    'an L10 without newline, glued to the next LEN',
    '142 <172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.203 <45>1 2017-08-31T14:47:13.830178+00:00 host heroku web.1 - source=web.1 dyno=heroku.55681600.b0bc8784-5574-4f35-9508-5ea02d47d251 sample#load_avg_1m=0.00 sample#load_avg_5m=0.00 sample#load_avg_15m=0.00\n',
    [
      '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.',
      '<45>1 2017-08-31T14:47:13.830178+00:00 host heroku web.1 - source=web.1 dyno=heroku.55681600.b0bc8784-5574-4f35-9508-5ea02d47d251 sample#load_avg_1m=0.00 sample#load_avg_5m=0.00 sample#load_avg_15m=0.00\n',
    ],
  ],
  [
    'a dyno line',
    '94 <134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - State changed from up to starting\n',
    ['<134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - State changed from up to starting\n'],
  ],
  [
    'a Postgres line whose text starts like structured data',
    '85 <134>1 2023-06-05T19:33:14+00:00 host app postgres.1105947 - [YELLOW] [12-2] \tSELECT\n',
    ['<134>1 2023-06-05T19:33:14+00:00 host app postgres.1105947 - [YELLOW] [12-2] \tSELECT\n'],
  ],
  [
    'an empty line',
    '69 <190>1 2022-12-05T20:26:20.860136+00:00 host app dramatiqworker.2 - \n',
    ['<190>1 2022-12-05T20:26:20.860136+00:00 host app dramatiqworker.2 - \n'],
  ],
];

describe('a Logplex body', () => {
  test.each(captures)('%s', (_, body, messages) => {
    expect(frames(body)).toEqual(messages);
  });

  test('of all captures one after the other gives them all', () => {
    expect(frames(captures.map((each) => each[1]).join(''))).toEqual(captures.flatMap((each) => each[2]));
  });

  test('the sample of the sender, ten frames of 70 bytes, is 730 bytes and ten messages', () => {
    const body = '70 <174>1 2012-07-22T00:06:26+00:00 host erlang console - Hi from erlang\n'.repeat(10);
    expect(Buffer.byteLength(body)).toBe(730);
    expect(frames(body)).toHaveLength(10);
  });

  test('that is empty has no frames', () => {
    expect(frames('')).toEqual([]);
  });

  test('keeps a text that holds newlines and things that look like frames', () => {
    const text = `<190>1 2022-12-05T20:26:20+00:00 host app web.1 - one\n12 <34>1 two\n\n${line}`;
    expect(frames(Buffer.concat([frame(text), frame(line)]))).toEqual([text, line]);
  });

  test('a line of 25,000 bytes cut into 10,000-byte messages inside a character keeps every byte', () => {
    const head = '<190>1 2022-12-05T20:26:20+00:00 host app web.1 - ';
    const text = Buffer.from(`x${'µ'.repeat(12_500)}`);
    const parts = [0, 10_000, 20_000].map((from) => Buffer.concat([Buffer.from(head), text.subarray(from, from + 10_000)]));
    const body = Buffer.concat(parts.map(frame));
    const cut = found(body);
    expect(cut.map((each) => each.reject)).toEqual([undefined, undefined, undefined]);
    expect(Buffer.concat(cut.map((each) => body.subarray(each.start + head.length, each.end))).equals(text)).toBe(true);
  });

  test.each([
    [-3, 'too short'],
    [-20, 'far too short'],
    [+1, 'one too long, so that it ends inside the next LEN'],
    [+3, 'too long'],
    [+30, 'into the next message'],
    [+5000, 'past the end'],
  ])('a LEN off by %d (%s) costs its own frame and no other', (off) => {
    const wrong = Buffer.from(`${line.length + off} ${line}`);
    const body = Buffer.concat([frame(line), wrong, frame(line), frame(line)]);
    expect(frames(body)).toEqual([line, `!bad_frame:${wrong}`, line, line]);
  });

  test('a LEN one too long on the last frame is told, not cut', () => {
    const body = `${line.length + 1} ${line}`;
    expect(frames(body)).toEqual([`!bad_frame:${body}`]);
  });

  test('a message that ends in digits without a newline still ends where LEN says', () => {
    const digits = '<190>1 2022-12-05T20:26:20+00:00 host app web.1 - status=2';
    expect(frames(Buffer.concat([frame(digits), frame(line)]))).toEqual([digits, line]);
    const own = `${digits}\n3`;
    expect(frames(Buffer.concat([frame(own), frame(line), frame(line)]))).toEqual([own, line, line]);
  });

  test('line ends that a sender did not count are stepped over', () => {
    const bare = line.trimEnd();
    expect(frames(`${bare.length} ${bare}\n${bare.length} ${bare}\r\n`)).toEqual([bare, bare]);
  });

  test('line ends that were not counted may be sixteen between frames, and any number at the end', () => {
    const bare = line.trimEnd();
    const one = `${bare.length} ${bare}`;
    expect(frames(`${one}${'\n'.repeat(15)}${one}${'\r\n'.repeat(5000)}`)).toEqual([bare, bare]);
    expect(frames(`${one}${'\n'.repeat(17)}${one}`)).toEqual([`!bad_frame:${one}${'\n'.repeat(17)}`, bare]);
  });

  test('garbage is rejected up to the next frame at the start of a line', () => {
    expect(frames(`hello 5 <x\n${frame(line)}`)).toEqual(['!bad_frame:hello 5 <x\n', line]);
    expect(frames('{"not":"logplex"}')).toEqual(['!bad_frame:{"not":"logplex"}']);
    expect(frames('\n\n')).toEqual(['!bad_frame:\n\n']);
    expect(frames('99999999999999999999 <190>1 x')).toEqual(['!bad_frame:99999999999999999999 <190>1 x']);
    expect(frames('0 ')).toEqual(['!bad_frame:0 ']);
  });

  test('a frame over the cap is rejected whole, and the next is read', () => {
    const long = `<190>1 ${'x'.repeat(70_000)}\n`;
    expect(frames(Buffer.concat([frame(long), frame(line)]))).toEqual([`!too_long:${long}`, line]);
    expect(frames(frame(line), line.length)).toEqual([line]);
    expect(frames(frame(line), line.length - 1)).toEqual([`!too_long:${line}`]);
  });

  test('any list of messages comes back', () => {
    // A message as senders write it: a head, any bytes, often a newline.
    const message = fc
      .tuple(fc.integer({ min: 0, max: 191 }), fc.uint8Array({ maxLength: 60 }), fc.boolean())
      .map(([pri, text, ends]) => Buffer.concat([Buffer.from(`<${pri}>1 `), text, Buffer.from(ends ? '\n' : '.')]));
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        const body = Buffer.concat(messages.map(frame));
        const cut = found(body);
        expect(cut.map((each) => each.reject)).toEqual(messages.map(() => undefined));
        expect(cut.map((each) => body.toString('latin1', each.start, each.end))).toEqual(messages.map((each) => each.toString('latin1')));
      }),
      { seed: 20261121, numRuns: 300 },
    );
  });

  test('any bytes at all are covered by ranges in order, and nothing throws', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom('12 <', '\n3 <45>1 ', ' ', '\n', '5 <190>1 ab', '999 <1>1 ').map((text) => Buffer.from(text)),
      fc.constant(frame(line)),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const body = Buffer.concat(pieces);
        let at = 0;
        for (const each of found(body)) {
          expect(each.start).toBeGreaterThanOrEqual(at);
          expect(each.end).toBeGreaterThan(each.start);
          expect(body.toString('latin1', at, each.start)).toMatch(/^[\r\n]*(\d+ )?$/);
          at = each.end;
        }
        expect(body.toString('latin1', at)).toMatch(/^[\r\n]*$/);
      }),
      { seed: 20261121, numRuns: 500 },
    );
  });
});
