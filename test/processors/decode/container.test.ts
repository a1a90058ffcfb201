import { expect, test } from 'vitest';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { decodeOne, Harness } from './decode-lines.ts';

const fields = ['message', 'log.iostream', 'log.level'];

test('a full CRI line is a row, its text decoded like any other', () => {
  const row = decodeOne('2019-05-07T18:57:52.904275089+00:00 stderr F log\n', fields);
  expect(row).toMatchObject({ time: '2019-05-07T18:57:52.904Z', fields: { message: 'log', 'log.iostream': 'stderr' } });
  const json = decodeOne('2019-05-07T18:57:52.9Z stdout F:x {"level":50,"time":1795232467376,"msg":"boom"}', fields);
  expect(json).toMatchObject({ timeMs: 1795232467376, fields: { message: 'boom', 'log.level': 'error', 'log.iostream': 'stdout' } });
});

test('parts are joined per stream without a separator, with the first part’s time, though streams interleave', () => {
  const harness = new Harness({ fields });
  const rows = harness.decode([
    '2016-10-06T00:17:09.669794202Z stdout P log con',
    '2016-10-06T00:17:09.700000000Z stderr F other',
    '2016-10-06T00:17:09.800000000Z stdout P tent',
    '2016-10-06T00:17:10.000000000Z stdout F  1',
  ]);
  expect(rows.map((row) => [row.record, row.time, row.fields.message])).toEqual([
    [1, '2016-10-06T00:17:09.700Z', 'other'],
    [3, '2016-10-06T00:17:09.669Z', 'log content 1'],
  ]);
  expect(harness.rejects.reasons).toEqual([]);
});

test('a code point that was cut by the split is whole again', () => {
  const harness = new Harness({ fields });
  const [first, second] = [Buffer.from('µ').subarray(0, 1), Buffer.from('µ').subarray(1)];
  const rows = harness.decode([
    Buffer.concat([Buffer.from('2016-10-06T00:17:09Z stdout P a'), first]),
    Buffer.concat([Buffer.from('2016-10-06T00:17:09Z stdout F '), second, Buffer.from('b\n')]),
  ]);
  expect(rows.map((row) => row.fields.message)).toEqual(['aµb']);
});

test('a part whose end never comes is a row once the partition is 30 s past it, and an end without a start is a row', () => {
  const harness = new Harness({ fields });
  const line = (second: string, rest: string) => `2016-10-06T00:17:${second}Z ${rest}`;
  expect(harness.decode([line('00', 'stdout P lost'), line('30', 'stderr F a')]).map((row) => row.fields.message)).toEqual(['a']);
  expect(harness.decode([line('30.001', 'stderr F b'), line('31', 'stdout F end')]).map((row) => [row.time, row.fields.message])).toEqual([
    ['2016-10-06T00:17:00.000Z', 'lost'],
    ['2016-10-06T00:17:30.001Z', 'b'],
    ['2016-10-06T00:17:31.000Z', 'end'],
  ]);
});

test('held parts are capped in bytes', () => {
  const harness = new Harness({ fields, maxRecordBytes: 60 });
  const part = `2016-10-06T00:17:09Z stdout P ${'x'.repeat(25)}`;
  const rows = harness.decode([part, part, part, '2016-10-06T00:17:09Z stdout F y']);
  expect(rows.map((row) => (row.fields.message as string).length)).toEqual([50, 26]);
});

test('what is held survives a snapshot, and partitions do not mix', () => {
  const one = new Harness({ fields });
  one.decode(['2016-10-06T00:17:09Z stdout P left '], { partition: 1 });
  one.decode(['2016-10-06T00:17:09Z stdout P other '], { partition: 2 });
  const written = new SnapshotWriter();
  one.decoder.snapshot(written);
  const two = new Harness({ fields });
  two.decoder.restore(new SnapshotReader(written.done().slice()));
  expect(two.decode(['2016-10-06T00:17:10Z stdout F right'], { partition: 1 })[0].fields.message).toBe('left right');
  expect(two.decode(['2016-10-06T00:17:10Z stdout F two'], { partition: 2 })[0].fields.message).toBe('other two');
  const again = new SnapshotWriter();
  two.decoder.snapshot(again);
  const empty = new SnapshotWriter();
  new Harness({ fields }).decoder.snapshot(empty);
  expect(again.done()).toEqual(empty.done());
});

test('Docker lines: a log without a line break is a part', () => {
  const harness = new Harness({ fields });
  const rows = harness.decode([
    '{"log":"content 1\\n","stream":"stdout","time":"2016-10-20T18:39:20.57606443Z"}',
    '{"log":"first ","stream":"stdout","time":"2016-10-20T18:39:21Z"}',
    '{"log":"second\\n","stream":"stdout","time":"2016-10-20T18:39:22Z","attrs":{"tag":"x"}}',
  ]);
  expect(rows.map((row) => [row.time, row.fields.message, row.fields['log.iostream']])).toEqual([
    ['2016-10-20T18:39:20.576Z', 'content 1', 'stdout'],
    ['2016-10-20T18:39:21.000Z', 'first second', 'stdout'],
  ]);
});

test('in format cri what is no CRI line is rejected', () => {
  const harness = new Harness({ fields });
  expect(harness.decode(['hello', '2016-10-20T18:39:21Z stdin F x', '2016-10-20T18:39:21Z stdout X x'], { format: 'cri' })).toEqual([]);
  expect(harness.rejects.reasons).toEqual(['bad_cri', 'bad_cri', 'bad_cri']);
});
