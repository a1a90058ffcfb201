import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';
import { Harness } from './decode-lines.ts';

const fields = ['message', 'log.iostream', 'k8s.pod.name'];
const long = 'x'.repeat(9000);

/** As Fluent Bit sends a part. */
function fluentBit(logtag: string, log: string, pod: string, stream = 'stdout', more: object = {}): string {
  return JSON.stringify({
    date: 1554141513.5,
    log,
    stream,
    logtag,
    ...more,
    kubernetes: { pod_name: pod, pod_id: `uid-${pod}`, container_name: 'web' },
  });
}

/** As Vector does. */
function vector(partial: boolean, message: string, pod: string, stream = 'stdout'): string {
  const kubernetes = { pod_uid: `uid-${pod}`, pod_name: pod, container_name: 'web' };
  const file = `/var/log/pods/ns_${pod}/web/0.log`;
  return JSON.stringify({
    file,
    kubernetes,
    message,
    source_type: 'kubernetes_logs',
    stream,
    timestamp: '2020-10-15T11:01:46.499Z',
    ...(partial ? { _partial: true } : {}),
  });
}

/** As Docker's fluentd driver does. */
function docker(part: number, last: boolean, log: string, id: string): string {
  return JSON.stringify({
    container_id: id,
    source: 'stdout',
    log,
    partial_message: 'true',
    partial_id: `p-${id}`,
    partial_ordinal: String(part),
    partial_last: String(last),
  });
}

const messages = (rows: readonly { readonly fields: Readonly<Record<string, unknown>> }[]) => rows.map((row) => row.fields.message);

describe('parts of a line that came as JSON', () => {
  test.each([
    ['Fluent Bit (logtag)', (partial: boolean, text: string, pod: string) => fluentBit(partial ? 'P' : 'F', text, pod)],
    [
      'Fluent Bit (_p)',
      (partial: boolean, text: string, pod: string) => fluentBit('', text, pod, 'stdout', { logtag: undefined, _p: partial ? 'P' : 'F' }),
    ],
    ['Vector', vector],
    ['Docker', (partial: boolean, text: string, pod: string) => docker(1, !partial, text, pod)],
  ])('%s: are one row, though containers of one partition interleave', (_, line) => {
    const harness = new Harness({ fields });
    const rows = harness.decode([
      line(true, `a1${long}`, 'a'),
      line(true, `b1${long}`, 'b'),
      line(true, `a2${long}`, 'a'),
      '{"message":"between"}',
      line(false, 'a3', 'a'),
      line(false, 'b2', 'b'),
    ]);
    expect(messages(rows)).toEqual(['between', `a1${long}a2${long}a3`, `b1${long}b2`]);
    expect(rows.map((row) => row.record)).toEqual([3, 4, 5]);
    expect(harness.rejects.reasons).toEqual([]);
  });

  test("of Docker's file, with fields around it: as long as its buffer and without a line break", () => {
    const line = (log: string, pod: string) =>
      JSON.stringify({ log, stream: 'stdout', time: '2026-01-05T12:00:00Z', kubernetes: { pod_id: pod } });
    const full = 'x'.repeat(16 * 1024);
    const rows = new Harness({ fields }).decode([line(full, 'a'), line(`${full}y`, 'b'), line('end\n', 'a'), line('own\n', 'a')]);
    expect(messages(rows)).toEqual([`${full}y`, `${full}end`, 'own']);
  });

  test('streams of one container do not mix, and the first part gives the fields', () => {
    const harness = new Harness({ fields });
    const rows = harness.decode([fluentBit('P', `out${long}`, 'a'), fluentBit('F', 'error', 'a', 'stderr'), fluentBit('F:x', ' end', 'a')]);
    expect(rows.map((row) => [row.fields.message, row.fields['log.iostream'], row.fields['k8s.pod.name']])).toEqual([
      ['error', 'stderr', 'a'],
      [`out${long} end`, 'stdout', 'a'],
    ]);
  });

  test('a JSON line that was split is decoded as JSON once it is whole', () => {
    const harness = new Harness({ fields: ['message', 'user.email'] });
    const line = JSON.stringify({ msg: 'signup', user: { email: 'a@b.c' }, padding: long });
    const rows = harness.decode([fluentBit('P', line.slice(0, 8500), 'a'), fluentBit('F', line.slice(8500), 'a')]);
    expect(rows.map((row) => row.fields)).toEqual([{ message: 'signup', 'user.email': 'a@b.c' }]);
  });

  test('an end without a start, and a long line that is whole, are rows of their own', () => {
    const harness = new Harness({ fields });
    expect(messages(harness.decode([fluentBit('F', 'end', 'a'), fluentBit('F', long, 'a'), vector(false, long, 'b')]))).toEqual([
      'end',
      long,
      long,
    ]);
  });

  test('a part whose end never comes is a row once its partition is 30 s past it', () => {
    const harness = new Harness({ fields });
    expect(harness.decode([fluentBit('P', long, 'a')], { timestampMs: 1_000_000 })).toEqual([]);
    expect(messages(harness.decode(['{"message":"on time"}'], { timestampMs: 1_030_000 }))).toEqual(['on time']);
    expect(messages(harness.decode(['{"message":"late"}'], { timestampMs: 1_030_001 }))).toEqual([long, 'late']);
  });

  test('so many containers that they may not all be held cost the oldest its other parts, not memory', () => {
    const harness = new Harness({ fields });
    const rows = harness.decode(Array.from({ length: 400 }, (_, i) => fluentBit('P', `${i} ${long}`, `pod-${i}`)));
    expect(messages(rows)).toEqual(Array.from({ length: 144 }, (_, i) => `${i} ${long}`));
    const few = new Harness({ fields, maxRecordBytes: 20_000 });
    expect(few.decode(Array.from({ length: 400 }, (_, i) => fluentBit('P', `${i} ${long}`, `pod-${i}`))).length).toBeGreaterThan(390);
  });

  test('a restart in between changes nothing', () => {
    const line = (partial: boolean, text: string, pod: string) => fluentBit(partial ? 'P' : 'F', text, pod);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 3 })), { maxLength: 30 }), fc.nat(30), (parts, cut) => {
        const lines = parts.map(([partial, pod], i) => line(partial, `${i}${partial ? long : ''}`, `pod-${pod}`));
        const whole = messages(new Harness({ fields }).decode(lines));
        const one = new Harness({ fields });
        const before = messages(one.decode(lines.slice(0, cut)));
        const written = new SnapshotWriter();
        one.decoder.snapshot(written);
        const two = new Harness({ fields });
        two.decoder.restore(new SnapshotReader(written.done().slice()));
        expect([...before, ...messages(two.decode(lines.slice(cut)))]).toEqual(whole);
      }),
      { seed: 20261121, numRuns: 100 },
    );
  });
});
