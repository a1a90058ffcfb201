import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { missingHeader } from '../../processors/decode/reject-header.ts';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch, SourceRecord } from '../../processors/record.ts';
import { ruleOf } from '../support/rules.ts';

const seed = 20260103;
const baseMs = Date.parse('2026-01-05T12:00:00Z');
const timing = 'window: { size: 60s, slide: 5s, lateness: 5s }';
const silent = ruleOf(`id: silent\nkey: all\nmeasure: count\n${timing}\ndetect: { silence: { after: 60s } }`);
const many = ruleOf(`id: many\nkey: all\nmeasure: count\n${timing}\ndetect: { above: 2 }`);

/** A line of the stream: an event at a second after the base, or bytes as they stand. */
type Line = number | string;

/** Offsets begin at `first`; a batch of partition 0. */
function batchOf(lines: readonly Line[], first = 0, partition = 0): RecordBatch {
  const records = lines.map((line, i): SourceRecord => {
    const text = typeof line === 'number' ? JSON.stringify({ time: baseMs + line * 1000 }) : line;
    return { value: Buffer.from(text), offset: first + i, timestampMs: Number.NaN };
  });
  return { topic: 'logs', partition, dataset: 'app', format: 'json', records };
}

function found(lines: readonly Line[], rule = silent): Finding[] {
  const pipeline = new Pipeline([rule]);
  return [...pipeline.process(batchOf(lines)), ...pipeline.finish()];
}

describe('records that could not be decoded', () => {
  //        event         garbage                event
  //  0s ───●─────────────────✗──────────────────●── 200s     60 s without an event, but something came
  test('prove no silence: nobody knows what they were', () => {
    expect(found([0, 200]).map(({ rule, activity }) => [rule, activity])).toContainEqual(['silent', 'open']);
    expect(found([0, '{"broken', 200])).toEqual([]);
    expect(found([0, '[5]', 200])).toEqual([]);
  });

  test('prove nothing where they were empty: nothing was in them', () => {
    expect(found([0, '', '', 200]).map(({ activity }) => activity)).toContain('open');
  });

  test('make what is found in their window say degraded, and only that', () => {
    const degraded = (lines: readonly Line[]) =>
      found(lines, many)
        .filter(({ activity }) => activity === 'open')
        .map((finding) => finding.degraded);
    expect(degraded([0, 1, 'x', 2, 3, 200])).toEqual([true]);
    expect(degraded(['x', 0, 100, 101, 102, 300])).toEqual([false]);
  });

  test('are counted by reason, however many come', () => {
    const pipeline = new Pipeline([silent]);
    for (let i = 0; i < 50; i++) pipeline.process(batchOf([...Array.from({ length: 200 }, () => '{"x'), i * 10], i * 201));
    expect(pipeline.counters.rejected).toEqual({ bad_json: 10_000 });
    expect(pipeline.finish()).toEqual([]);
  });

  test('of the future, which are set aside, count like them', () => {
    const pipeline = new Pipeline([silent]);
    const [first, ahead, last] = batchOf([0, 100_000, 200]).records;
    const records = [first, { ...ahead, timestampMs: baseMs }, last];
    expect([...pipeline.process({ ...batchOf([]), records }), ...pipeline.finish()]).toEqual([]);
    expect(pipeline.counters.rejected).toEqual({ future_dated: 1 });
  });
});

describe('records that a source lost', () => {
  test('prove no silence until the partition goes on, and are counted by kind', () => {
    const pipeline = new Pipeline([silent]);
    pipeline.process(batchOf([0]));
    pipeline.loss('logs/0', 'app', 'expired', 41);
    expect(pipeline.process(batchOf([200], 42))).toEqual([]);
    expect(pipeline.counters.losses).toEqual({ expired: 1 });
    expect(pipeline.counters.lostRecords).toEqual({ expired: 41 });
    // The next silence is a silence.
    expect(pipeline.process(batchOf([400], 43)).map(({ activity }) => activity)).toContain('open');
  });

  test('of another dataset than the rule reads do not touch it', () => {
    const pipeline = new Pipeline([
      ruleOf(`id: other\nfrom: [heroku]\nkey: all\nmeasure: count\n${timing}\ndetect: { silence: { after: 60s } }`),
    ]);
    pipeline.process({ ...batchOf([0]), dataset: 'heroku' });
    pipeline.loss('elsewhere/0', 'nginx', 'expired', 1);
    pipeline.tick({ nowMs: baseMs, idle: ['elsewhere/0'] });
    expect(pipeline.process({ ...batchOf([200], 1), dataset: 'heroku' }).map(({ activity }) => activity)).toContain('open');
  });

  test('are over when the clock passes the partition by: what it closes then is degraded, a later silence is one', () => {
    const pipeline = new Pipeline([silent]);
    pipeline.process(batchOf([0]));
    pipeline.loss('logs/0', 'app', 'reset');
    const tick = (seconds: number) => pipeline.tick({ nowMs: baseMs + seconds * 1000, idle: ['logs/0'] });
    expect(tick(100)).toEqual([]);
    expect(tick(150)).toEqual([]);
    expect(tick(240).map(({ activity }) => activity)).toContain('open');
    expect(pipeline.counters.lostRecords).toEqual({ reset: 0 });
  });

  test('are still missing after a restart', () => {
    const before = new Pipeline([silent]);
    before.process(batchOf([0]));
    before.loss('logs/0', 'app', 'expired', 1);
    const after = new Pipeline([silent]);
    after.restore(before.snapshot());
    expect(after.process(batchOf([200], 2))).toEqual([]);
  });
});

test('a batch that held fewer messages than its sender said is a loss at its place', () => {
  const pipeline = new Pipeline([silent]);
  const [first, last] = batchOf([0, 200]).records;
  const marked = (missing: string) => ({ ...last, headers: { [missingHeader]: missing } });
  expect(pipeline.process({ ...batchOf([]), records: [first, marked('3')] })).toEqual([]);
  expect(pipeline.counters).toMatchObject({ losses: { missing: 1 }, lostRecords: { missing: 3 } });
  for (const nonsense of ['-1', '1e99', 'x', '', '0.5']) {
    const other = new Pipeline([silent]);
    expect(other.process({ ...batchOf([]), records: [first, marked(nonsense)] }), nonsense).not.toEqual([]);
    expect(other.counters.losses).toEqual({});
  }
});

test('Logplex says after a silence that it lost messages in it: the silence is none', () => {
  const pipeline = new Pipeline([ruleOf(`id: silent\nkey: all\nmeasure: count\n${timing}\ndetect: { silence: { after: 60s } }`)]);
  const frames = [
    '<190>1 2026-01-05T12:00:00+00:00 host app web.1 - hello',
    '<172>1 2026-01-05T12:05:00+00:00 host heroku logplex - Error L10 (output buffer overflow): 7 messages dropped since 2026-01-05T12:00:10+00:00.',
  ];
  const records = frames.map((frame, offset) => ({ value: Buffer.from(frame), offset, timestampMs: Number.NaN }));
  expect(pipeline.process({ topic: 'drain', partition: 0, dataset: 'heroku', format: 'logplex', records })).toEqual([]);
});

test(`with garbage in the stream, neither cuts, nor interleaving, nor a restart changes a finding (seed ${seed})`, () => {
  const rules = [silent, many];
  const stream = fc.array(fc.tuple(fc.nat(1), fc.oneof(fc.integer({ min: -8, max: 40 }), fc.constantFrom('{"x', '', '7'))), {
    minLength: 1,
    maxLength: 60,
  });
  const run = (lines: readonly (readonly [number, Line])[], cut: number, restartAt: number): string[] => {
    let pipeline = new Pipeline(rules);
    pipeline.partitions(['logs/0', 'logs/1']);
    const findings: Finding[] = [];
    const offsets = [0, 0];
    for (let at = 0; at < lines.length; ) {
      const [partition] = lines[at];
      let end = at;
      while (end < lines.length && end - at < cut && lines[end][0] === partition) end++;
      findings.push(
        ...pipeline.process(
          batchOf(
            lines.slice(at, end).map(([, line]) => line),
            offsets[partition],
            partition,
          ),
        ),
      );
      offsets[partition] += end - at;
      if (at <= restartAt && restartAt < end) {
        const state = pipeline.snapshot().slice();
        pipeline = new Pipeline(rules);
        pipeline.restore(state);
      }
      at = end;
    }
    findings.push(...pipeline.finish());
    return findings.map((finding) => JSON.stringify(finding)).sort();
  };
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 9 }), fc.nat(60), (steps, cut, restartAt) => {
      const now = [0, 0];
      const lines = steps.map(([partition, step]): [number, Line] => {
        if (typeof step === 'string') return [partition, step];
        now[partition] += step;
        return [partition, now[partition]];
      });
      const apart = [...lines].sort(([a], [b]) => a - b);
      const whole = run(lines, Number.POSITIVE_INFINITY, -1);
      expect(run(lines, cut, restartAt)).toEqual(whole);
      expect(run(apart, cut, -1)).toEqual(whole);
    }),
    { seed, numRuns: 200 },
  );
});
