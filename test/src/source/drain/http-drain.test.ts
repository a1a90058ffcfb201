import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { ServerLimits } from '../../../../src/http/server.ts';
import { createDrain, type JournalDrainOptions } from '../../../../src/source/drain/http-drain.ts';
import type { JournalOptions } from '../../../../src/source/drain/journal.ts';
import { head, RawClient } from '../../../support/raw-http.ts';
import { basic, DrainHarness, frame, line, password } from './drain-harness.ts';

let open: DrainHarness[] = [];
async function start(options: Partial<JournalDrainOptions> = {}, limits?: ServerLimits): Promise<DrainHarness> {
  const harness = await DrainHarness.start(options, limits);
  open.push(harness);
  return harness;
}
afterEach(async () => {
  for (const each of open) await each.stop();
  open = [];
});

const token = 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd';
const batchHeaders = { 'Logplex-Drain-Token': token, 'Logplex-Frame-Id': '09C557EAFCFB6CF2740EE62F62971098', 'Logplex-Msg-Count': 1 };

describe('a Logplex drain', () => {
  test('answers 200 with no body and hands the messages in, with token, number and arrival time', async () => {
    let now = 1_700_000_000_000;
    const harness = (await start({ now: () => now })).run();
    const answer = await harness.post(Buffer.concat([frame(line('one')), frame(line('two'))]), { ...batchHeaders, 'Logplex-Msg-Count': 2 });
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '0' } });
    expect(answer.headers).not.toHaveProperty('transfer-encoding');
    now += 1000;
    await harness.post(frame(line('three')));
    expect(await harness.handedIn(3)).toEqual([line('one'), line('two'), line('three')]);
    expect(harness.records.map((each) => each.offset)).toEqual([0, 1, 2]);
    expect(harness.records.map((each) => each.timestampMs)).toEqual([1_700_000_000_000, 1_700_000_000_000, 1_700_000_001_000]);
    expect(harness.records.map((each) => each.headers?.['logplex-drain-token'])).toEqual([token, token, undefined]);
    expect(harness.partitions).toEqual(['/drain/logplex/0']);
    expect(harness.batches[0]).toEqual({ topic: '/drain/logplex', partition: 0, dataset: 'heroku', format: 'logplex' });
    expect(harness.drain.counters).toMatchObject({ records: 3, rejects: 0, countMismatches: 0 });
    expect(Buffer.from((await harness.drain.read('/drain/logplex', 0, 1)) ?? []).toString()).toBe(line('two'));
    expect(await harness.drain.read('/drain/logplex', 0, 99)).toBeNull();
    expect(await harness.drain.read('other', 0, 1)).toBeNull();
    expect(harness.drain.health()).toMatchObject({ ok: true });
  });

  test('takes what the sender sends: the sample of its own documentation, byte for byte', async () => {
    const harness = (await start()).run();
    const client = await RawClient.open(harness.port);
    const body = '70 <174>1 2012-07-22T00:06:26+00:00 host erlang console - Hi from erlang\n'.repeat(10);
    await client.write(
      `POST /drain/logplex?app=shop HTTP/1.1\r\nHost: example.com\r\nAuthorization: ${basic(password)}\r\nContent-Type: application/logplex-1\r\nLogplex-Msg-Count: 10\r\nLogplex-Frame-Id: 09C557EAFCFB6CF2740EE62F62971098\r\nLogplex-Drain-Token: ${token}\r\nUser-Agent: Logplex/v49\r\nContent-Length: 730\r\n\r\n${body}`,
    );
    expect((await client.answer())?.status).toBe(200);
    client.close();
    expect(new Set(await harness.handedIn(10))).toEqual(
      new Set(['<174>1 2012-07-22T00:06:26+00:00 host erlang console - Hi from erlang\n']),
    );
    expect(harness.drain.counters.countMismatches).toBe(0);
  });

  test('never refuses content: what is no frame is handed in under a header that says so, and the rest as usual', async () => {
    const harness = (await start()).run();
    const long = `<190>1 ${'x'.repeat(70_000)}\n`;
    const wrong = `10 ${line('wrong length')}`;
    const body = Buffer.concat([frame(line('one')), Buffer.from(wrong), frame(line('two')), frame(long)]);
    expect((await harness.post(body, { 'Logplex-Msg-Count': 4 })).status).toBe(200);
    expect((await harness.post('not logplex at all', { 'Content-Type': 'text/html; charset=x;;' })).status).toBe(200);
    expect((await harness.post('', {})).status).toBe(200);
    expect((await harness.post(Buffer.from([0xff, 0x00, 0x1f]), { 'Content-Encoding': 'gzip' })).status).toBe(200);
    expect((await harness.post('?', { 'Content-Encoding': 'zstd' })).status).toBe(200);
    await harness.handedIn(7);
    expect(harness.records.map((each) => [each.headers?.['streamgauge-reject'], each.value?.length])).toEqual([
      [undefined, line('one').length],
      ['bad_frame', wrong.length],
      [undefined, line('two').length],
      ['too_long', long.length],
      ['bad_frame', 18],
      ['bad_frame', 3],
      ['bad_frame', 1],
    ]);
    expect(harness.drain.counters).toMatchObject({ rejects: 5, countMismatches: 1 });
  });

  test('opens gzip, and stops at the cap of what may come out of it', async () => {
    const harness = (await start({ maxDecodedBytes: 100_000 })).run();
    const sent = gzipSync(Buffer.concat([frame(line('one')), frame(line('two'))]));
    expect((await harness.post(sent, { 'Content-Encoding': 'gzip' })).status).toBe(200);
    expect(await harness.handedIn(2)).toEqual([line('one'), line('two')]);
    const bomb = gzipSync(Buffer.alloc(200 * 1024 ** 2));
    expect(bomb.length).toBeLessThan(1024 ** 2);
    const before = process.memoryUsage().rss;
    expect((await harness.post(bomb, { 'Content-Encoding': 'gzip' })).status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 ** 2);
  });

  test('takes a body of more bad frames than an append of the journal has places for headers', async () => {
    const harness = (await start()).run();
    const body = Buffer.from('9 <1>1 \n'.repeat(70_000));
    expect((await harness.post(body)).status).toBe(200);
    await harness.handedIn(70_000);
    expect(harness.drain.counters).toMatchObject({ rejects: 70_000, records: 70_000 });
  });

  test('cuts a body into at most so many records and keeps the rest as one', async () => {
    const harness = (await start({ maxRecords: 3 })).run();
    await harness.post(Buffer.concat(['a', 'b', 'c', 'd'].map((each) => frame(line(each)))));
    expect((await harness.handedIn(3)).slice(0, 2)).toEqual([line('a'), line('b')]);
    expect(harness.records[2].headers?.['streamgauge-reject']).toBe('too_long');
  });
});

describe('who may send', () => {
  test('nobody without a password, or with a wrong one', async () => {
    const harness = await start();
    const body = frame(line('x'));
    const tries = [
      '',
      'Basic',
      'Basic ',
      'Bearer x',
      basic('app:wrong'),
      basic('app:'),
      basic('other:s3cret'),
      basic('app:s3crets'),
      'Basic %%%',
    ];
    for (const authorization of tries) {
      const answer = await harness.post(body, { Authorization: authorization });
      expect(answer, authorization).toMatchObject({ status: 401, body: '', headers: { 'www-authenticate': 'Basic realm="streamgauge"' } });
    }
    expect(harness.drain.counters.requests.unauthorized).toBe(tries.length);
    expect(harness.drain.health().lagRecords).toBe(0);
  });

  test('whoever a list that changed names, from the next request on', async () => {
    let credentials = ['app:old'];
    const harness = await start({ credentials: () => credentials });
    const status = async (pair: string) => (await harness.post(frame(line('x')), { Authorization: basic(pair) })).status;
    expect([await status('app:old'), await status('app:new')]).toEqual([200, 401]);
    credentials = ['app:new'];
    expect([await status('app:old'), await status('app:new')]).toEqual([401, 200]);
  });

  test('on one connection: each request by itself, and nobody any more once the list has changed', async () => {
    let credentials = ['app:old'];
    const harness = await start({ credentials: () => credentials });
    const client = await RawClient.open(harness.port);
    const status = async (pair: string) => {
      const body = frame(line('x'));
      const headers = { ...harness.headers(body.length), Authorization: basic(pair) };
      await client.write(Buffer.concat([Buffer.from(head('POST /drain/logplex HTTP/1.1', headers)), body]));
      return (await client.answer())?.status;
    };
    expect([await status('app:old'), await status('app:old'), await status('app:wrong'), await status('app:old')]).toEqual([
      200, 200, 401, 200,
    ]);
    credentials = ['app:new'];
    expect([await status('app:old'), await status('app:new'), await status('app:new')]).toEqual([401, 200, 200]);
    client.close();
  });

  test('two passwords at once, while one is being replaced', async () => {
    const harness = await start({ credentials: ['app:new', 'app:old'] });
    for (const pair of ['app:old', 'app:new'])
      expect((await harness.post(frame(line('x')), { Authorization: basic(pair) })).status).toBe(200);
    expect((await harness.post(frame(line('x')), { Authorization: `bAsIc ${basic('app:new').slice(6)}` })).status).toBe(200);
    expect((await harness.post(frame(line('x')), { Authorization: basic('app:older') })).status).toBe(401);
  });

  test('everybody where there are no credentials, and that is said once', async () => {
    const harness = await start({ credentials: [] });
    expect((await harness.post(frame(line('x')), { Authorization: '' })).status).toBe(200);
    expect(harness.warnings).toEqual([expect.stringContaining('no credentials')]);
  });

  test('options that make no sense are told all at once', async () => {
    const options = { path: '/a/../b c', credentials: ['nopassword', 'user:'], dataset: 'x', stateDir: '/nowhere' };
    await expect(createDrain(options)).rejects.toThrow(/drain\.path.*\n.*credentials\[0\].*\n.*credentials\[1\]/);
  });
});

describe('clients that behave badly', () => {
  test.each(['GET', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS'])('%s is answered 405', async (method) => {
    const harness = await start();
    const client = await RawClient.open(harness.port);
    await client.write(head(`${method} /drain/logplex HTTP/1.1`, { 'Content-Length': 0 }));
    expect(await client.answer()).toMatchObject({ status: 405, headers: { allow: 'POST' } });
    client.close();
  });

  test('a body of exactly the limit is taken, one over it is answered 413, whether or not it says so', async () => {
    const harness = (await start()).run();
    const filler = 60_000;
    const frames = Array.from({ length: 17 }, () => frame(line('x'.repeat(filler))));
    const size = Buffer.concat(frames).length;
    const last = frame(line('x'.repeat(1024 ** 2 - size - 64)));
    const body = Buffer.concat([...frames, last]);
    const exact = Buffer.concat([body, Buffer.alloc(1024 ** 2 - body.length, '\n')]);
    expect(exact.length).toBe(1024 ** 2);
    expect((await harness.post(exact)).status).toBe(200);
    expect((await harness.handedIn(18)).length).toBe(18);
    expect(harness.drain.counters.rejects).toBe(0);

    expect((await harness.post(Buffer.concat([exact, Buffer.from('\n')]))).status).toBe(413);

    const client = await RawClient.open(harness.port);
    await client.write(head('POST /drain/logplex HTTP/1.1', { Authorization: basic(password), 'Transfer-Encoding': 'chunked' }));
    await client.write(`${(1024 ** 2 + 1).toString(16)}\r\n`);
    await client.write(Buffer.alloc(1024 ** 2 + 1));
    expect((await client.answer())?.status).toBe(413);
    await client.ended();
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 1, too_large: 2 });
  });

  test('a body that comes byte by byte is answered 408 when its time is over', async () => {
    const harness = await start({ bodyTimeoutMs: 100 });
    const client = await RawClient.open(harness.port);
    const body = frame(line('slow'));
    await client.write(head('POST /drain/logplex HTTP/1.1', harness.headers(body.length)));
    const answer = client.answer();
    let answered = false;
    void answer.then(() => {
      answered = true;
    });
    for (let i = 0; !answered && i < body.length - 1; i++) {
      await client.write(body.subarray(i, i + 1));
      if (i % 8 === 0) await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
    expect(await answer).toMatchObject({ status: 408 });
    await client.ended();
    expect(harness.drain.health().lagRecords).toBe(0);
  });

  test('a body that comes byte by byte but in time is whole', async () => {
    const harness = (await start()).run();
    const client = await RawClient.open(harness.port);
    const body = frame(line('one byte at a time µ'));
    await client.write(head('POST /drain/logplex HTTP/1.1', harness.headers(body.length)));
    for (const byte of body) await client.write(Buffer.of(byte));
    expect((await client.answer())?.status).toBe(200);
    expect(await harness.handedIn(1)).toEqual([line('one byte at a time µ')]);
    client.close();
  });

  test('a sender that goes away in the middle of a body leaves nothing behind', async () => {
    const harness = await start();
    const client = await RawClient.open(harness.port);
    await client.write(head('POST /drain/logplex HTTP/1.1', harness.headers(1000)));
    await client.write(frame(line('half')));
    client.close();
    while (harness.drain.counters.requests.aborted === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(harness.drain.health().lagRecords).toBe(0);
  });

  test('headers that never end are answered 408, too many or too large ones 431', async () => {
    const harness = await start({}, { headersTimeoutMs: 150, requestTimeoutMs: 300 });
    const slow = await RawClient.open(harness.port);
    await slow.write('POST /drain/logplex HTTP/1.1\r\nHost: x\r\nX-A: ');
    // Not under the short limits above: on a busy machine many headers may take longer.
    const patient = await start();
    const many = await RawClient.open(patient.port);
    await many.write(head('POST /drain/logplex HTTP/1.1', Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`x-${i}`, i]))));
    expect((await many.answer())?.status).toBe(431);
    const large = await RawClient.open(patient.port);
    await large.write(head('POST /drain/logplex HTTP/1.1', { 'X-Large': 'x'.repeat(100_000) }));
    expect((await large.answer())?.status).toBe(431);
    expect((await slow.answer())?.status).toBe(408);
    for (const client of [slow, many, large]) await client.ended();
    expect((await patient.post(frame(line('still here')))).status).toBe(200);
  });

  test('a Content-Length that is no number, or that disagrees with chunks, is answered 400', async () => {
    const harness = await start();
    const bad: Record<string, string>[] = [
      { 'Content-Length': 'abc' },
      { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' },
      { 'Content-Length': '-1' },
    ];
    for (const headers of bad) {
      const client = await RawClient.open(harness.port);
      await client.write(head('POST /drain/logplex HTTP/1.1', { Authorization: basic(password), ...headers }));
      expect((await client.answer())?.status).toBe(400);
      await client.ended();
    }
    expect(harness.drain.health().lagRecords).toBe(0);
  });

  test('a Content-Length that is too small makes the rest another, bad request', async () => {
    const harness = (await start()).run();
    const client = await RawClient.open(harness.port);
    const body = frame(line('first'));
    await client.write(Buffer.concat([Buffer.from(head('POST /drain/logplex HTTP/1.1', harness.headers(body.length))), body]));
    expect((await client.answer())?.status).toBe(200);
    await client.write('rubbish past the end\r\n\r\n');
    expect((await client.answer())?.status).toBe(400);
    await client.ended();
    expect(await harness.handedIn(1)).toEqual([line('first')]);
  });

  test('requests sent without waiting are answered in order', async () => {
    const harness = (await start()).run();
    const client = await RawClient.open(harness.port);
    const requests = Array.from({ length: 20 }, (_, i) => {
      const body = frame(line(`${i}`));
      return Buffer.concat([Buffer.from(head('POST /drain/logplex HTTP/1.1', harness.headers(body.length))), body]);
    });
    requests.splice(10, 0, Buffer.from(head('GET /drain/logplex HTTP/1.1', {})));
    await client.write(Buffer.concat(requests));
    for (let i = 0; i < 21; i++) expect((await client.answer())?.status).toBe(i === 10 ? 405 : 200);
    client.close();
    expect((await harness.handedIn(20)).sort()).toEqual(Array.from({ length: 20 }, (_, i) => line(`${i}`)).sort());
  });

  test('a connection stays open between batches for longer than its requests may take', async () => {
    const harness = await start({}, { headersTimeoutMs: 50, requestTimeoutMs: 100 });
    expect(harness.app.server.keepAliveTimeout).toBeGreaterThan(165_000);
    const client = await RawClient.open(harness.port);
    const body = frame(line('x'));
    const request = Buffer.concat([Buffer.from(head('POST /drain/logplex HTTP/1.1', harness.headers(body.length))), body]);
    await client.write(request);
    expect((await client.answer())?.status).toBe(200);
    // The other connection's time-out shows that the server has checked its connections since.
    const idle = await RawClient.open(harness.port);
    await idle.write('POST ');
    expect((await idle.answer())?.status).toBe(408);
    await client.write(request);
    expect((await client.answer())?.status).toBe(200);
    client.close();
  });
});

describe('a batch that holds fewer messages than it says', () => {
  const missing = (harness: DrainHarness) => harness.records.map((each) => each.headers?.['streamgauge-missing']);

  test('says so on its last record, and is taken', async () => {
    const harness = (await start()).run();
    const two = Buffer.concat([frame(line('one')), frame(line('two'))]);
    expect((await harness.post(two, { ...batchHeaders, 'Logplex-Msg-Count': 5 })).status).toBe(200);
    await harness.handedIn(2);
    expect(missing(harness)).toEqual([undefined, '3']);
    expect(harness.records[1].headers).toMatchObject({ 'logplex-drain-token': token });
    expect(harness.drain.counters.countMismatches).toBe(1);
  });

  test('is a record of its own where it holds none; more than it says is none missing', async () => {
    const harness = (await start()).run();
    expect((await harness.post('', { 'Logplex-Msg-Count': 2 })).status).toBe(200);
    expect((await harness.post(Buffer.concat([frame(line('a')), frame(line('b'))]), { 'Logplex-Msg-Count': 1 })).status).toBe(200);
    expect((await harness.post(frame(line('c')), { 'Logplex-Msg-Count': 'many' })).status).toBe(200);
    await harness.handedIn(4);
    expect(missing(harness)).toEqual(['2', undefined, undefined, undefined]);
    expect(harness.drain.counters.countMismatches).toBe(2);
  });
});

describe('a journal that has lost records', () => {
  /** Three batches, then damage done to the folder, then a start from what was committed. */
  const restarted = async (damage: (journal: string) => Promise<void>, committed: Record<string, number>): Promise<DrainHarness> => {
    const first = await start();
    for (const text of ['one', 'two', 'three']) await first.post(frame(line(text)));
    await first.stop(true);
    open = [];
    await damage(join(first.stateDir, 'journal', 'drain+logplex'));
    return (await start({ stateDir: first.stateDir })).run(committed);
  };

  test('says how many, before what comes after them', async () => {
    const harness = await restarted(async (journal) => {
      const [name] = await readdir(journal);
      const bytes = await readFile(join(journal, name));
      bytes[bytes.indexOf(' two')] ^= 0xff;
      await writeFile(join(journal, name), bytes);
    }, {});
    expect(await harness.handedIn(2)).toEqual([line('one'), line('three')]);
    expect(harness.losses).toEqual([{ key: '/drain/logplex/0', dataset: 'heroku', kind: 'damaged', records: 1 }]);
  });

  test('says so where they are missing at its beginning', async () => {
    const harness = await restarted(
      async (journal) => {
        const [name] = await readdir(journal);
        const bytes = await readFile(join(journal, name));
        const second = bytes.indexOf('SGJ1', 4, 'latin1');
        await writeFile(join(journal, name.replace(/\d(?=\.)/, '1')), bytes.subarray(second));
        await rm(join(journal, name));
      },
      { '/drain/logplex/0': 0 },
    );
    expect(await harness.handedIn(2)).toEqual([line('two'), line('three')]);
    expect(harness.losses).toMatchObject([{ kind: 'damaged', records: 1 }]);
  });

  test('says nothing where nothing is missing', async () => {
    const harness = await restarted(async () => {}, { '/drain/logplex/0': 1 });
    expect(await harness.handedIn(2)).toEqual([line('two'), line('three')]);
    expect(harness.losses).toEqual([]);
  });
});

describe('a batch that comes again', () => {
  test('is answered 200 and dropped, with the same body or another, for its token only', async () => {
    const harness = (await start()).run();
    await harness.post(frame(line('once')), batchHeaders);
    expect((await harness.post(frame(line('once')), batchHeaders)).status).toBe(200);
    const withL10 = Buffer.concat([frame('<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10'), frame(line('once'))]);
    expect((await harness.post(withL10, { ...batchHeaders, 'Logplex-Msg-Count': 2 })).status).toBe(200);
    await harness.post(frame(line('other token')), { ...batchHeaders, 'Logplex-Drain-Token': 'd.other' });
    await harness.post(frame(line('other batch')), { ...batchHeaders, 'Logplex-Frame-Id': 'F' });
    await harness.post(frame(line('no name')), {});
    await harness.post(frame(line('no name')), {});
    expect(await harness.handedIn(5)).toEqual([line('once'), line('other token'), line('other batch'), line('no name'), line('no name')]);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 5, repeat: 2 });
    expect(harness.drain.counters.countMismatches).toBe(0);
  });

  test('is known for fifteen minutes, over a restart too', async () => {
    let now = 1_700_000_000_000;
    const first = await start({ now: () => now });
    await first.post(frame(line('once')), batchHeaders);
    await first.stop(true);
    open = [];
    now += 14 * 60_000;
    const second = await start({ now: () => now, stateDir: first.stateDir });
    await second.post(frame(line('once')), batchHeaders);
    expect(second.drain.counters.requests.repeat).toBe(1);
    now += 2 * 60_000;
    await second.post(frame(line('new again')), batchHeaders);
    expect(second.drain.counters.requests.accepted).toBe(1);
    second.run();
    expect(await second.handedIn(2)).toEqual([line('once'), line('new again')]);
  });

  test('while the first is being written waits for it, and is written once', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sync: JournalOptions['sync'] = async (file) => {
      await gate;
      await file.datasync();
    };
    const harness = (await start({ journal: { sync } })).run();
    const first = harness.post(frame(line('once')), batchHeaders);
    const second = harness.post(frame(line('once')), batchHeaders);
    while (harness.drain.counters.bytes < 2 * frame(line('once')).length) await new Promise((resolve) => setImmediate(resolve));
    expect(harness.records).toEqual([]);
    release();
    expect((await first).status).toBe(200);
    expect((await second).status).toBe(200);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 1, repeat: 1 });
    expect(await harness.handedIn(1)).toEqual([line('once')]);
  });

  test('after a first one that failed is taken', async () => {
    let failing = true;
    const sync: JournalOptions['sync'] = (file) =>
      failing ? Promise.reject(new Error('ENOSPC: no space left on device')) : file.datasync();
    const harness = (await start({ journal: { sync } })).run();
    expect(await harness.post(frame(line('once')), batchHeaders)).toMatchObject({
      status: 503,
      body: '',
      headers: { 'content-length': '0' },
    });
    expect(harness.drain.health()).toMatchObject({ ok: false, reason: expect.stringContaining('ENOSPC') });
    expect((await fetch(`http://127.0.0.1:${harness.port}/healthz`)).status).toBe(503);
    failing = false;
    expect((await harness.post(frame(line('once')), batchHeaders)).status).toBe(200);
    expect(await harness.handedIn(1)).toEqual([line('once')]);
    expect(harness.drain.health().ok).toBe(true);
  });
});

describe('back-pressure', () => {
  const small = { maxBytes: 4000, keepBytes: 0 };
  const fill = async (harness: DrainHarness): Promise<number> => {
    for (let i = 0; ; i++) {
      if ((await harness.post(frame(line('x'.repeat(400))))).status !== 200) return i;
    }
  };

  test('a full journal holds a request, then answers 503', async () => {
    const harness = await start({ journal: small, holdMs: 50 });
    const kept = await fill(harness);
    expect(kept).toBeGreaterThan(3);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: kept, unavailable: 1 });
    expect(harness.drain.counters.held).toBe(1);
    expect(harness.drain.health()).toMatchObject({ ok: false, lagRecords: kept });
    await harness.drain.commit({ '/drain/logplex/0': kept });
    expect(harness.drain.health().ok).toBe(true);
  });

  test('a held request is taken when the engine commits', async () => {
    const harness = await start({ journal: small, holdMs: 15_000 });
    const kept: Promise<number>[] = [];
    while (harness.drain.counters.held === 0) {
      kept.push(harness.post(frame(line('x'.repeat(400)))).then((answer) => answer.status));
      await Promise.race([kept.at(-1), new Promise((resolve) => setTimeout(resolve, 200))]);
    }
    harness.run();
    await harness.handedIn(kept.length - 1);
    await harness.drain.commit({ '/drain/logplex/0': kept.length - 1 });
    expect(new Set(await Promise.all(kept))).toEqual(new Set([200]));
    expect(await harness.handedIn(kept.length)).toHaveLength(kept.length);
    expect(harness.drain.health().ok).toBe(true);
  });

  test('a Logplex sender over its rate is held for the whole time it would wait before it is told so: a 429 burns one of its three sends', async () => {
    const harness = await start({ rate: { bytesPerSecond: 1, burstBytes: 100 }, holdMs: 300 });
    const body = frame(line('x'.repeat(200)));
    await harness.post(body);
    const startedMs = performance.now();
    expect(await harness.post(body)).toMatchObject({ status: 429, body: '', headers: { 'retry-after': expect.stringMatching(/^\d+$/) } });
    expect(performance.now() - startedMs).toBeGreaterThan(290);
    expect(harness.drain.counters.requests.rate_limited).toBe(1);
    expect(harness.drain.counters.held).toBe(1);
  });

  test('a sender that honours Retry-After is told at once when to come back', async () => {
    const harness = await start({
      now: () => 1_700_000_000_000,
      path: '/drain/json',
      rate: { bytesPerSecond: 100, burstBytes: 100 },
      holdMs: 1000,
    });
    const json = { 'Content-Type': 'application/json' };
    expect((await harness.post(`{"a":"${'x'.repeat(1000)}"}`, json)).status).toBe(200);
    const startedMs = performance.now();
    const answer = await harness.post('{}', json);
    expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '10' }, body: expect.stringContaining('rate_limited') });
    expect(performance.now() - startedMs).toBeLessThan(900);
  });

  test('a sender a little over its rate is slowed down, and loses nothing', async () => {
    const harness = (await start({ rate: { bytesPerSecond: 2000, burstBytes: 100 } })).run();
    const body = frame(line('x'.repeat(300)));
    const startedMs = performance.now();
    for (let i = 0; i < 4; i++) expect((await harness.post(body)).status).toBe(200);
    expect(performance.now() - startedMs).toBeGreaterThan(300);
    expect(await harness.handedIn(4)).toHaveLength(4);
    expect(harness.drain.counters.requests.rate_limited).toBe(0);
  });

  test('a sender over its rate waits, then is answered 429, and others are not touched', async () => {
    const harness = await start({ rate: { bytesPerSecond: 1, burstBytes: 100 }, holdMs: 10 });
    const body = frame(line('x'.repeat(200)));
    expect((await harness.post(body, { 'Logplex-Drain-Token': 'd.a' })).status).toBe(200);
    expect((await harness.post(body, { 'Logplex-Drain-Token': 'd.a' })).status).toBe(429);
    expect((await harness.post(body, { 'Logplex-Drain-Token': 'd.b' })).status).toBe(200);
    expect(harness.drain.counters.requests).toMatchObject({ accepted: 2, rate_limited: 1 });
  });

  test('a new token with each request passes no rate: all of one password have a hundred times it together', async () => {
    const rate = { bytesPerSecond: 1, burstBytes: 3 };
    const harness = await start({ rate, holdMs: 10, credentials: ['app:s3cret', 'other:s3cret'], now: () => 1_700_000_000_000 });
    // Two of them are more than the three hundred bytes, one is not.
    const body = frame(line('x'.repeat(200)));
    const send = async (headers: Record<string, string>) => (await harness.post(body, headers)).status;
    expect([await send({ 'Logplex-Drain-Token': 'd.a' }), await send({ 'Logplex-Drain-Token': 'd.b' })]).toEqual([200, 200]);
    expect(await send({ 'Logplex-Drain-Token': 'd.c' })).toBe(429);
    // However the same user and password are written.
    expect(await send({ 'Logplex-Drain-Token': 'd.d', Authorization: `bAsIc ${basic(password).slice(6)}== ` })).toBe(429);
    expect(await send({ 'Logplex-Drain-Token': 'd.a', Authorization: basic('other:s3cret') })).toBe(200);
  });

  test('a Logplex token means nothing to the rate of another kind of drain, nor a password where there is none', async () => {
    const rate = { bytesPerSecond: 1, burstBytes: 100 };
    const body = `{"a":"${'x'.repeat(200)}"}`;
    const json = { 'Content-Type': 'application/json' };
    const known = await start({ path: '/drain/json', rate, holdMs: 10 });
    const open = await start({ path: '/drain/json', rate, holdMs: 10, credentials: [] });
    for (const harness of [known, open]) {
      expect((await harness.post(body, { ...json, 'Logplex-Drain-Token': 'd.a' })).status).toBe(200);
      expect((await harness.post(body, { ...json, 'Logplex-Drain-Token': 'd.b' })).status).toBe(429);
    }
    expect((await open.post(body, { ...json, Authorization: basic('anybody:else') })).status).toBe(429);
  });

  test('after a stop nothing more is handed in, but requests are kept for the next start until the server is closed', async () => {
    const first = (await start()).run();
    await first.post(frame(line('before')));
    await first.handedIn(1);
    await first.drain.stop();
    expect((await first.post(frame(line('after')))).status).toBe(200);
    expect(first.texts()).toEqual([line('before')]);
    await first.stop(true);
    open = [];
    const second = (await start({ stateDir: first.stateDir })).run({ '/drain/logplex/0': 1 });
    expect(await second.handedIn(1)).toEqual([line('after')]);
  });

  test('a request that is being written when the server closes is answered first', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let syncing: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      syncing = resolve;
    });
    const sync: JournalOptions['sync'] = async (file) => {
      syncing();
      await gate;
      await file.datasync();
    };
    const harness = await start({ journal: { sync } });
    const answer = harness.post(frame(line('last')));
    await begun;
    const closed = harness.app.close();
    release();
    expect((await answer).status).toBe(200);
    await closed;
  });

  test('a disk that works again is noticed without a request', async () => {
    let failing = true;
    const sync: JournalOptions['sync'] = (file) => (failing ? Promise.reject(new Error('EIO')) : file.datasync());
    const harness = await start({ journal: { sync } });
    expect((await harness.post(frame(line('x')))).status).toBe(503);
    expect(harness.drain.health().ok).toBe(false);
    failing = false;
    while (!harness.drain.health().ok) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(harness.warnings).toEqual([expect.stringContaining('cannot be kept')]);
  });

  test('a restart goes on where the checkpoint says, also when the journal is gone', async () => {
    const first = await start();
    for (const text of ['a', 'b', 'c']) await first.post(frame(line(text)));
    await first.stop(true);
    open = [];
    const second = (await start({ stateDir: first.stateDir })).run({ '/drain/logplex/0': 2 });
    expect(await second.handedIn(1)).toEqual([line('c')]);
    const third = (await start()).run({ '/drain/logplex/0': 500 });
    await third.post(frame(line('d')));
    await third.handedIn(1);
    expect(third.records[0].offset).toBeGreaterThanOrEqual(500);
    expect(third.warnings).toEqual([expect.stringContaining('before the checkpoint')]);
  });
});

test('any frames, cut into any pieces on the wire, come back as they were', async () => {
  const harness = (await start({ maxBodyBytes: 1024 ** 2 })).run();
  const message = fc
    .tuple(fc.integer({ min: 0, max: 191 }), fc.uint8Array({ maxLength: 300 }))
    .map(([pri, text]) => Buffer.concat([Buffer.from(`<${pri}>1 `), text, Buffer.from('\n')]));
  const client = await RawClient.open(harness.port);
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
      async (messages, cuts) => {
        const body = Buffer.concat(messages.map(frame));
        const bytes = Buffer.concat([
          Buffer.from(head('POST /drain/logplex HTTP/1.1', { ...harness.headers(body.length), 'Logplex-Msg-Count': messages.length })),
          body,
        ]);
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length];
          await client.write(bytes.subarray(at, at + size));
          at += size;
        }
        expect((await client.answer())?.status).toBe(200);
        await harness.handedIn(seen + messages.length);
        const got = harness.records.slice(seen).map((each) => Buffer.from(each.value ?? []).toString('latin1'));
        seen = harness.records.length;
        expect(got).toEqual(messages.map((each) => each.toString('latin1')));
      },
    ),
    { seed: 20261121, numRuns: 60 },
  );
  client.close();
  expect(harness.drain.counters).toMatchObject({ countMismatches: 0, rejects: 0 });
});

test('a sender that waits for "100 Continue" gets it', async () => {
  const harness = (await start()).run();
  const body = frame(line('continued'));
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1',
      port: harness.port,
      path: '/drain/logplex',
      method: 'POST',
      headers: { ...harness.headers(body.length), Expect: '100-continue' },
    });
    request
      .on('continue', () => request.end(body))
      .on('response', (response) => resolve(response.resume().statusCode))
      .on('error', reject);
    request.flushHeaders();
  });
  expect(status).toBe(200);
  expect(await harness.handedIn(1)).toEqual([line('continued')]);
});
