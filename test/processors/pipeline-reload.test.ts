/** Rules come, go and change while the state goes on: a rule that stays finds what it would have found undisturbed. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import type { Rule } from '../../processors/rule.ts';
import { batchesOf, type TestEvent } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';
import { streamsOf } from '../support/streams.ts';

const seed = 20260105;
const baseMs = Date.parse('2026-01-05T12:00:00Z');

/** One way of counting, and rules that share it: the first one stays. */
function counting(text: string, sizes: readonly string[], detectors: readonly string[], more = ''): Rule[] {
  return sizes.map((size, i) =>
    ruleOf(
      `id: rule_${i}\nkey: client.address\n${text}\nwindow: { size: ${size}, slide: 5s, lateness: 5s }\ndetect: ${detectors[i]}\n${more}`,
    ),
  );
}

const sizes = ['40s', '20s', '90s', '300s'];
const kinds: Readonly<Record<string, Rule[]>> = {
  'count on real time': counting('measure: count', sizes, ['{ above: 3 }', '{ above: 1 }', '{ above: 5 }', '{ above: 9 }']),
  'count with a hold, a mute and early neighbours': [
    ...counting(
      'measure: count',
      sizes.slice(0, 3),
      ['{ above: 2, for: 10s }', '{ above: 1, for: 5s }', '{ above: 200 }'],
      'finding: { summary: "{key}", mute: 30s }',
    ),
    ruleOf(
      'id: rule_3\nearly: true\nkey: client.address\nmeasure: count\nwindow: { size: 300s, slide: 5s, lateness: 5s }\ndetect: { above: 150 }',
    ),
  ],
  silence: counting('measure: count', sizes, [
    '{ silence: { after: 8s } }',
    '{ silence: { after: 15s } }',
    '{ above: 300 }',
    '[{ above: 4, for: 10s }, { silence: { after: 20s } }]',
  ]),
  average: counting('measure: { avg: took }', sizes, ['{ above: 50 }', '{ below: 40 }', '{ above: 60, for: 10s }', '{ above: 70 }']),
  quantile: counting('measure: { quantile: { of: took, q: 0.9 } }', sizes, [
    '{ above: 80 }',
    '{ above: 60 }',
    '{ below: 30 }',
    '{ above: 90 }',
  ]),
  minimum: counting('measure: { min: took }', sizes, ['{ below: 20 }', '{ below: 10 }', '{ above: 30 }', '{ below: 5 }']),
  distinct: counting(
    'measure: { distinct: user.email }',
    ['40s', '40s', '40s', '40s'],
    ['{ above: 2 }', '{ above: 3 }', '{ below: 2 }', '{ above: 4 }'],
  ),
};

const streams = streamsOf({ partitions: 2, longestStepMs: 9_000, minLength: 20, baseMs });

/** Runs the events; before batch n the rules become `changes[n]`. */
function run(events: readonly TestEvent[], first: readonly Rule[], changes: Readonly<Record<number, readonly Rule[]>> = {}): Finding[] {
  let pipeline = new Pipeline(first);
  pipeline.partitions(['logs/0', 'logs/1']);
  const findings: Finding[] = [];
  batchesOf(events, 3).forEach((batch, index) => {
    if (index in changes) {
      const next = new Pipeline(changes[index], { counters: pipeline.counters });
      next.restore(pipeline.snapshot());
      pipeline = next;
    }
    findings.push(...pipeline.process(batch));
  });
  return [...findings, ...pipeline.finish()];
}

const of = (findings: readonly Finding[], id: string) => findings.filter(({ rule }) => rule === id);

for (const [kind, [stays, ...others]] of Object.entries(kinds)) {
  test(`${kind}: a rule that stays finds the same whichever rules join, leave or change beside it (seed ${seed})`, () => {
    let found = 0;
    fc.assert(
      fc.property(streams, fc.array(fc.tuple(fc.nat(60), fc.subarray(others), fc.boolean()), { maxLength: 3 }), (events, reloads) => {
        const changes = Object.fromEntries(reloads.map(([at, beside, before]) => [at, before ? [...beside, stays] : [stays, ...beside]]));
        const alone = run(events, [stays]);
        expect(of(run(events, [stays, ...others.slice(0, 2)], changes), stays.id)).toEqual(alone);
        found += alone.length;
      }),
      { seed, numRuns: 25 },
    );
    expect(found).toBeGreaterThan(10);
  });
}

test('a neighbour that is changed judges the windows that are there; one whose windows change begins with nothing; both are told', () => {
  const rule = (id: string, detect: string, window = '{ size: 60s, slide: 5s, lateness: 5s }', where = '') =>
    ruleOf(`id: ${id}\n${where}key: client.address\nmeasure: count\nwindow: ${window}\ndetect: ${detect}`);
  const before = new Pipeline([rule('same', '{ above: 8 }'), rule('other', '{ above: 90 }'), rule('moved', '{ above: 5 }')]);
  const events = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ timeMs: baseMs + (from + i) * 1_000, 'client.address': '192.0.2.9' }));
  const offsets = new Map<number, number>();
  const opened = (pipeline: Pipeline, from: number, to: number) =>
    batchesOf(events(from, to), 9, offsets)
      .flatMap((batch) => pipeline.process(batch))
      .filter(({ activity }) => activity === 'open')
      .map((finding) => `${finding.rule} ${finding.value}`);
  expect(opened(before, 0, 22)).toEqual(['same 10', 'moved 10']);
  const after = new Pipeline([
    rule('other', '{ above: 11 }'),
    rule('moved', '{ above: 5 }', undefined, 'where: { client.address: "192.0.2.9" }\n'),
    rule('fresh', '{ above: 12 }', '{ size: 600s, slide: 5s, lateness: 5s }'),
    rule('same', '{ above: 8 }'),
  ]);
  expect(after.restore(before.snapshot())).toEqual(['other', 'fresh', 'moved']);
  // `same` has opened already; `other` sees what was counted before it was changed; `moved` has to count anew.
  expect(opened(after, 22, 45)).toEqual(['other 20', 'fresh 20', 'moved 8']);
});

test('a silence rule that joins rules of the same windows is watched from then on, and takes no open pane from them', () => {
  const text = 'where: { event.name: audit }\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 20s }\n';
  const stays = ruleOf(`id: stays\n${text}detect: { above: 4, for: 5s }`);
  const silent = ruleOf(`id: silent\n${text}detect: { silence: { after: 60s } }`);
  const audits = [30, 31, 32, 33, 34, 35, 38, 39].map((second) => ({ timeMs: baseMs + second * 1_000, 'event.name': 'audit' }));
  const others = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ timeMs: baseMs + (from + i) * 1_000, 'event.name': 'x' }));
  const events = [...others(0, 30), ...audits, ...others(40, 200)];
  // The reload comes while the panes with the audits are open: nothing of the rule is closed yet.
  const findings = run(events, [stays], { 13: [silent, stays] });
  expect(of(findings, 'stays')).toEqual(run(events, [stays]));
  expect(of(findings, 'stays')).not.toEqual([]);
  expect(of(findings, 'silent')[0]).toMatchObject({ activity: 'open', windowEndMs: baseMs + 100_000 });
});

test('under pressure too, keys and their counts go on when a rule with a longer window joins or leaves', () => {
  const rule = (id: string, size: string) =>
    ruleOf(`id: ${id}\nkey: client.address\nmeasure: count\nwindow: { size: ${size}, slide: 10s, lateness: 0s }\ndetect: { above: 20 }`);
  const [stays, longer] = [rule('stays', '60s'), rule('longer', '600s')];
  const options = { memoryBytes: 400_000 };
  const offsets = new Map<number, number>();
  const flood = (from: number, to: number): RecordBatch[] =>
    batchesOf(
      Array.from({ length: to - from }, (_, i) => {
        const at = from + i;
        return { timeMs: baseMs + at * 2, 'client.address': at % 50 === 0 ? 'heavy' : `k${at}` };
      }),
      1_000,
      offsets,
    );
  let pipeline = new Pipeline([stays], options);
  const findings: Finding[] = [];
  const feed = (from: number, to: number) => {
    for (const batch of flood(from, to)) findings.push(...pipeline.process(batch));
  };
  const become = (rules: readonly Rule[]) => {
    const next = new Pipeline(rules, { ...options, counters: pipeline.counters });
    next.restore(pipeline.snapshot());
    pipeline = next;
  };
  feed(0, 20_000);
  expect(pipeline.stages[0].windows.lost.untracked).toBeGreaterThan(0);
  become([stays, longer]);
  feed(20_000, 60_000);
  become([stays]);
  feed(60_000, 90_000);
  expect(pipeline.stages[0].windows.stateBytes).toBeLessThanOrEqual(options.memoryBytes);
  expect(pipeline.stages[0].windows.lost.untracked).toBeGreaterThan(0);
  // The heavy key kept its place and its count: one opening, no closing.
  expect(
    of(findings, 'stays')
      .filter(({ key }) => key['client.address'] === 'heavy')
      .map(({ activity }) => activity)[0],
  ).toBe('open');
  expect(of(findings, 'stays').filter(({ activity }) => activity === 'close')).toEqual([]);
  // The present window is not more than 60 s of it.
  expect(Math.max(...of(findings, 'stays').map(({ value }) => value))).toBeLessThanOrEqual(600);
  // Once all is quiet again nothing is remembered of the pressure.
  const later = [0, 100_000, 200_000, 900_000, 1_000_000].map((ms) => ({ timeMs: baseMs + 180_000 + ms, 'client.address': 'heavy' }));
  for (const batch of batchesOf(later, 9, offsets)) pipeline.process(batch);
  expect(pipeline.stages[0].windows.lost).toEqual({ untracked: 0, evicted: 0, keys: 0, hidden: 0 });
});

test('half a line that is held, a hole that is open and what was counted outlast a reload', () => {
  const stays = ruleOf(
    'id: stays\nwhere: { message|contains: whole }\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 1 }',
  );
  const other = ruleOf('id: other\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 90 }');
  const line = (second: number, flag: 'P' | 'F', text: string) =>
    `2026-01-05T12:00:${String(second).padStart(2, '0')}Z stdout ${flag} ${text}`;
  let offset = 0;
  const feed = (pipeline: Pipeline, lines: readonly string[]) => {
    const records = lines.map((text) => ({ value: Buffer.from(text), offset: offset++, timestampMs: Number.NaN }));
    return pipeline.process({ topic: 'logs', partition: 0, dataset: 'app', format: 'cri', records });
  };
  const before = new Pipeline([stays]);
  feed(before, [line(1, 'F', 'a whole one'), line(2, 'F', 'nothing'), line(2, 'P', 'half of a who')]);
  before.loss('logs/0', 'app', 'expired', 3);
  const after = new Pipeline([other, stays], { counters: before.counters });
  expect(after.restore(before.snapshot())).toEqual(['other']);
  const findings = feed(after, [line(3, 'F', 'le one'), line(20, 'F', 'nothing')]);
  expect(findings).toMatchObject([{ rule: 'stays', activity: 'open', value: 2, degraded: true }]);
  expect(after.counters).toMatchObject({ records: 5, losses: { expired: 1 }, lostRecords: { expired: 3 } });
});
