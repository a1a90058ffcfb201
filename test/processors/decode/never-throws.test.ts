import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formats } from '../../../processors/decode/create-decoder.ts';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { Harness } from './decode-lines.ts';

const seed = 20261121;
const fields = [
  'message',
  'log.level',
  'client.address',
  'user.name',
  'url.path',
  'http.server.request.duration',
  'event.name',
  'heroku.memory_total',
  '__proto__',
];
const valid = [
  '{"level":50,"time":1795232467376,"req":{"url":"/a?b","headers":{"x-forwarded-for":"1.1.1.1, 2.2.2.2"}},"msg":"boom"}',
  '[{"msg":"a"},{"msg":"b"}]',
  '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000","body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}}]}}}]}]}]}',
  '{"log":"content 1\\n","stream":"stdout","time":"2016-10-20T18:39:20.57606443Z"}',
  '{"log":"part","stream":"stderr","time":"2016-10-20T18:39:20.57606443Z"}',
  '{"log":"x","stream":"stdout","kubernetes":{"pod_name":"base"}}',
  '<158>1 2022-12-05T08:59:21.66229+00:00 host heroku router - at=info method=GET path="/" host=h request_id=r fwd="1.2.3.4" dyno=web.1 connect=1ms service=22ms status=304 bytes=656 protocol=http\n',
  '<134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - State changed from up to starting',
  '<134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - Error R10 (Boot timeout) -> Web process failed',
  '<134>1 2023-02-14T09:06:26.166517+00:00 host heroku web.1 - Process running mem=870M(170.1%)',
  '<45>1 2017-08-31T14:47:13.830178+00:00 host heroku web.1 - source=web.1 dyno=heroku.1 sample#memory_total=1.5MB',
  '<134>1 2023-06-05T19:33:14+00:00 host app postgres.1 - [DB] [12-1]  sql_error_code = 00000 pid="1" LOG:  duration: 2405.887 ms  statement: SELECT',
  '<172>1 2017-08-31T14:47:14+00:00 host heroku logplex - Error L10 (output buffer overflow): 2 messages dropped since 2017-08-31T14:44:12+00:00.',
  '<133>1 2023-06-05T19:33:14+00:00 host app api - Release v48 created by user a@b.c',
  '<38>1 2022-01-19T14:23:55+00:00 h sshd 44255 - [meta sequenceId="1"] Invalid user tutu from 1.2.3.4 port 33166',
  'Jul  1 09:30:56 usbkey sshd[8807]: Failed password for invalid user x from 1.2.3.4 port 5 ssh2',
  '2025-01-22T13:09:20.606136+01:00 host prog[9400]: text',
  '2016-10-06T00:17:09.669794202Z stdout P log content 1',
  '2019-05-07T18:57:52.904275089+00:00 stderr F log',
  'example.com 172.17.0.1 - - [29/Sep/2021:12:37:05 +0000] "GET /x?y HTTP/1.1" 404 196 "r" "a"',
  '2022/04/02 13:39:51 [error] 8#8: *6631 open() failed, client: 1.2.3.4, server: _, request: "GET /x HTTP/1.1"',
  '[Wed Oct 11 14:32:52.123456 2021] [core:error] [pid 123:tid 456] [client 1.2.3.4:5678] AH00128: File',
  'level=warn msg="a \\"b\\"" user_id=7 duration=1.5s',
  'hello',
];

/** A valid line with some bytes changed, cut out, doubled, or its end missing. */
const mutated = fc
  .tuple(
    fc.constantFrom(...valid),
    fc.array(fc.tuple(fc.nat(400), fc.nat(255), fc.constantFrom('set', 'cut', 'double', 'end')), { maxLength: 6 }),
  )
  .map(([line, edits]) => {
    let bytes = Buffer.from(line);
    for (const [place, byte, edit] of edits) {
      const at = place % (bytes.length + 1);
      if (edit === 'set' && at < bytes.length) bytes[at] = byte;
      else if (edit === 'cut') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (byte % 9))]);
      else if (edit === 'double') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - (byte % 30)))]);
      else if (edit === 'end') bytes = bytes.subarray(0, at);
    }
    return bytes;
  });
const anything = fc.oneof(
  mutated,
  fc.uint8Array({ maxLength: 200 }),
  fc.json().map((text) => Buffer.from(text)),
  fc.string({ unit: 'binary', maxLength: 80 }).map((text) => Buffer.from(text)),
);

/** Lines that are held, by the snapshot of the decoder: its third value. */
function heldLines(harness: Harness): number {
  const out = new SnapshotWriter();
  harness.decoder.snapshot(out);
  const from = new SnapshotReader(out.done());
  from.section('decode');
  from.section('held-lines');
  return from.u32();
}

test.each([...formats, 'unknown'])(`any bytes as %s end in rows, in rejects or held, and nothing throws (seed ${seed})`, (format) => {
  fc.assert(
    fc.property(anything, fc.constantFrom(Number.NaN, 1_700_000_000_000), (bytes, timestampMs) => {
      const harness = new Harness({ fields });
      const rows = harness.decode([bytes], { format, timestampMs });
      const ends = (rows.length > 0 ? 1 : 0) + harness.rejects.reasons.length + heldLines(harness);
      expect(ends).toBe(1);
      for (const row of rows) expect(Number.isNaN(row.timeMs) || Number.isInteger(row.timeMs)).toBe(true);
    }),
    { seed, numRuns: 400 },
  );
});

test(`how records are cut into batches changes no row (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 12 }), fc.nat(12), (records, cut) => {
      const whole = new Harness({ fields }).decode(records).map(({ record: _, ...row }) => row);
      const split = new Harness({ fields });
      const first = split.decode(records.slice(0, cut));
      const second = split.decode(records.slice(cut));
      expect([...first, ...second].map(({ record: _, ...row }) => row)).toEqual(whole);
    }),
    { seed, numRuns: 300 },
  );
});
