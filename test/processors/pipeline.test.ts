import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { batchesOf, type TestEvent } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';
import { streamsOf } from '../support/streams.ts';

const seed = 20260102;
const runs = 120;
const baseMs = Date.parse('2026-01-05T12:00:00Z');

const rules: Rule[] = [
  ruleOf('id: many\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }'),
  ruleOf(
    'id: emails\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: { size: 60s, slide: 10s, lateness: 5s }\ndetect: { above: 3 }',
  ),
  ruleOf('id: slow\nkey: all\nmeasure: { avg: took }\nwindow: { size: 30s, slide: 5s, lateness: 5s }\ndetect: { above: 50, for: 10s }'),
  ruleOf(
    'id: tail\nkey: client.address\nmeasure: { quantile: { of: took, q: 0.9 } }\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 80 }',
  ),
  ruleOf(
    'id: quiet\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { silence: { after: 40s } }',
  ),
  ruleOf(
    'id: eager\nearly: true\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 3 }',
  ),
];

const streams = streamsOf({ partitions: 3, longestStepMs: 6_000, minLength: 1, baseMs });

function run(events: readonly TestEvent[], maxRecords: number, which = rules, restoreAt = -1): Finding[] {
  let pipeline = start(which);
  const findings: Finding[] = [];
  batchesOf(events, maxRecords).forEach((batch, index) => {
    if (index === restoreAt) {
      const state = pipeline.snapshot().slice();
      pipeline = start(which);
      pipeline.restore(state);
    }
    findings.push(...pipeline.process(batch));
  });
  findings.push(...pipeline.finish());
  return findings;
}

function start(which: readonly Rule[]): Pipeline {
  const pipeline = new Pipeline(which);
  pipeline.partitions(['logs/0', 'logs/1', 'logs/2']);
  return pipeline;
}

/** All that is told of a finding, in an order of its own. */
function told(findings: readonly Finding[]): string[] {
  return findings.map((finding) => JSON.stringify(finding)).sort();
}

test(`how input is cut into batches changes no finding, nor their order (seed ${seed})`, () => {
  fc.assert(
    fc.property(streams, fc.integer({ min: 1, max: 9 }), (events, maxRecords) => {
      expect(run(events, maxRecords)).toEqual(run(events, Number.POSITIVE_INFINITY));
    }),
    { seed, numRuns: runs },
  );
});

test(`how partitions interleave changes no finding (seed ${seed})`, () => {
  // An early announcement may carry the id of a neighbouring pane, so the rule that makes them is left out.
  const decided = rules.filter(({ early }) => !early);
  fc.assert(
    fc.property(streams, fc.infiniteStream(fc.nat(2)), (events, picks) => {
      const queues = [0, 1, 2].map((partition) => events.filter((event) => event.partition === partition));
      const shuffled: TestEvent[] = [];
      while (queues.some((queue) => queue.length > 0)) {
        const next = queues[picks.next().value as number].shift();
        if (next !== undefined) shuffled.push(next);
      }
      expect(told(run(shuffled, 4, decided))).toEqual(told(run(events, 4, decided)));
    }),
    { seed, numRuns: runs },
  );
});

test(`keys whose window did not change need not be judged: judging every key finds the same (seed ${seed})`, () => {
  const falling = [
    ...rules.filter(({ early }) => !early),
    ruleOf('id: low\nkey: client.address\nmeasure: { min: took }\nwindow: { size: 40s, slide: 5s, lateness: 5s }\ndetect: { below: 20 }'),
    ruleOf(
      'id: few\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: { size: 40s, slide: 5s, lateness: 5s }\ndetect: { below: 2 }',
    ),
    ruleOf(
      'id: debt\nkey: client.address\nmeasure: { sum: change }\nwindow: { size: 40s, slide: 5s, lateness: 5s }\ndetect: { above: 60 }',
    ),
  ];
  fc.assert(
    fc.property(streams, (stream) => {
      const events = stream.map((event) => ({ ...event, change: Number(event.took) - 50 }));
      const all = new Pipeline(falling, { score: () => {} });
      all.partitions(['logs/0', 'logs/1', 'logs/2']);
      const judged = batchesOf(events, 5).flatMap((batch) => all.process(batch));
      expect([...judged, ...all.finish()]).toEqual(run(events, 5, falling));
    }),
    { seed, numRuns: runs },
  );
});

test(`a snapshot restored at any point goes on as if nothing had happened (seed ${seed})`, () => {
  fc.assert(
    fc.property(streams, fc.nat(40), (events, at) => {
      expect(run(events, 3, rules, at)).toEqual(run(events, 3));
    }),
    { seed, numRuns: runs },
  );
});

/** Events that are not late against their own partition. */
function inTime(events: readonly TestEvent[], latenessMs: number): TestEvent[] {
  const newest = new Map<number, number>();
  return events.filter(({ timeMs, partition = 0 }) => {
    const late = timeMs < (newest.get(partition) ?? Number.NEGATIVE_INFINITY) - latenessMs;
    newest.set(partition, Math.max(timeMs, newest.get(partition) ?? timeMs));
    return !late;
  });
}

/** The most of these times that lie in a window [start, start + size) which ends with one of a pane, or with the pane if it has none. */
function mostInWindow(timesMs: readonly number[], paneEndMs: number, { sizeMs, slideMs }: { sizeMs: number; slideMs: number }): number {
  const inPane = timesMs.filter((timeMs) => timeMs >= paneEndMs - slideMs && timeMs < paneEndMs);
  const lastMs = inPane.length > 0 ? inPane : [paneEndMs - 1];
  return Math.max(...lastMs.map((endMs) => timesMs.filter((timeMs) => timeMs <= endMs && timeMs > endMs - sizeMs).length));
}

test(`counts open exactly where a plain recount of every window says, wherever it begins (seed ${seed})`, () => {
  const [rule] = rules;
  const { slideMs, latenessMs } = rule.window;
  fc.assert(
    fc.property(streams, (events) => {
      const counted = inTime(events, latenessMs);
      const lastMs = Math.max(...events.map(({ timeMs }) => timeMs));
      const firings = new Set<string>();
      const fired = new Set<unknown>();
      for (const key of new Set(counted.map((event) => event['client.address']))) {
        const times = counted.filter((event) => event['client.address'] === key).map(({ timeMs }) => timeMs);
        for (let endMs = baseMs - 2_000_000; endMs <= lastMs + slideMs; endMs += slideMs) {
          const most = mostInWindow(times, endMs, rule.window);
          if (most <= 4) continue;
          firings.add(`${key} ${endMs} ${most}`);
          fired.add(key);
        }
      }
      const opened = run(events, 5, [rule]).filter(({ activity }) => activity === 'open');
      for (const { key, windowEndMs, value } of opened) expect(firings).toContain(`${key['client.address']} ${windowEndMs} ${value}`);
      expect(new Set(opened.map(({ key }) => key['client.address']))).toEqual(fired);
    }),
    { seed, numRuns: runs },
  );
});

test('five in less than a minute open a finding wherever they lie to the panes, five in a minute do not', () => {
  for (let shiftMs = 0; shiftMs < 5_000; shiftMs += 250) {
    const burst = (spanMs: number) =>
      [0, 1, 2, 3, 4].map((i) => ({ timeMs: baseMs + shiftMs + (i * spanMs) / 4, 'client.address': '192.0.2.9' }));
    for (const which of [rules[0], ruleOf('early: true\nkey: client.address\nmeasure: count\nwindow: 60s\ndetect: { above: 4 }')]) {
      expect(run(burst(59_996), 50, [which]).map(({ value }) => value)).toEqual([5]);
      expect(run(burst(60_000), 50, [which])).toEqual([]);
    }
  }
});

test('a window is decided when its pane closes, by event time alone', () => {
  // 12:00:00 …:05 …:10 …:15       lateness 5 s, panes of 5 s; five events in the first pane
  //    xxxxx                      closes when an event at 12:00:10 or later is seen
  const pipeline = new Pipeline([rules[0]]);
  const five = [0, 1, 2, 3, 4].map((second) => ({ timeMs: baseMs + second * 1000, 'client.address': '192.0.2.9' }));
  const offsets = new Map<number, number>();
  expect(batchesOf(five, 9, offsets).flatMap((batch) => pipeline.process(batch))).toEqual([]);
  expect(batchesOf([{ timeMs: baseMs + 9_999 }], 9, offsets).flatMap((batch) => pipeline.process(batch))).toEqual([]);
  const [finding] = batchesOf([{ timeMs: baseMs + 10_000 }], 9, offsets).flatMap((batch) => pipeline.process(batch));
  expect(finding).toMatchObject({
    activity: 'open',
    value: 5,
    threshold: 4,
    windowStartMs: baseMs - 55_000,
    windowEndMs: baseMs + 5_000,
    openedMs: baseMs,
    key: { 'client.address': '192.0.2.9' },
    summary: '192.0.2.9: 5 in 1m',
  });
  expect(finding.samples.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
});

test('a tick closes the panes of a quiet stream; what comes for them later is counted and marks the windows', () => {
  const pipeline = new Pipeline([rules[0]]);
  const offsets = new Map<number, number>();
  const many = (timeMs: number) => Array.from({ length: 5 }, () => ({ timeMs, 'client.address': '192.0.2.9' }));
  batchesOf(many(baseMs), 9, offsets).forEach((batch) => void pipeline.process(batch));
  const opened = pipeline.tick({ nowMs: baseMs + 61_000, idle: ['logs/0'] });
  expect(opened.map(({ activity, degraded }) => [activity, degraded])).toEqual([['open', false]]);
  batchesOf(many(baseMs + 2_000), 9, offsets).forEach((batch) => void pipeline.process(batch));
  expect(pipeline.counters.afterTick).toEqual({ many: 5 });
  expect(pipeline.counters.late).toEqual({});
  const again = batchesOf([...many(baseMs + 62_000), { timeMs: baseMs + 90_000 }], 9, offsets).flatMap((batch) => pipeline.process(batch));
  expect(again).toEqual([]);
});

test('late records are counted by rule and mark the windows that were open', () => {
  const pipeline = new Pipeline([rules[0]]);
  const key = '192.0.2.9';
  const events = [0, 20_000, 1_000, 21_000, 22_000, 23_000, 24_000, 40_000].map((ms) => ({ timeMs: baseMs + ms, 'client.address': key }));
  const findings = batchesOf(events).flatMap((batch) => pipeline.process(batch));
  expect(pipeline.counters.late).toEqual({ many: 1 });
  expect(findings.map(({ value, late, degraded }) => ({ value, late, degraded }))).toEqual([{ value: 6, late: 1, degraded: true }]);
});

test('an event too far ahead of its record moves no watermark and is set aside', () => {
  const pipeline = new Pipeline([rules[0]]);
  const record = (timeMs: number, offset: number) => ({
    value: Buffer.from(JSON.stringify({ time: timeMs, 'client.address': 'x' })),
    offset,
    timestampMs: baseMs,
  });
  pipeline.process({
    topic: 'logs',
    partition: 0,
    dataset: 'app',
    format: 'json',
    records: [record(baseMs, 0), record(baseMs + 300_001, 1)],
  });
  expect(pipeline.counters.rejected).toEqual({ future_dated: 1 });
  expect(pipeline.rejects.recordIndexes).toEqual([1]);
  expect(pipeline.watermark.highMs).toBe(baseMs);
});

test('a rule with key all hears silence from the first event of the input on, whoever sent it', () => {
  const rule = ruleOf('where: { event.name: audit }\nkey: all\nmeasure: count\nwindow: 60s\ndetect: { silence: { after: 60s } }');
  const pipeline = new Pipeline([rule]);
  const events = Array.from({ length: 20 }, (_, i) => ({ timeMs: baseMs + i * 10_000, 'event.name': 'other' }));
  const findings = batchesOf(events).flatMap((batch) => pipeline.process(batch));
  expect(findings.map(({ activity, key, windowEndMs, value }) => ({ activity, key, windowEndMs, value }))).toEqual([
    { activity: 'open', key: {}, windowEndMs: baseMs + 61_000, value: 61_000 },
    { activity: 'update', key: {}, windowEndMs: baseMs + 122_000, value: 122_000 },
  ]);
});

test('messages lost upstream prove no silence and say so on what is found', () => {
  const silent = ruleOf('id: silent\nfrom: [heroku.app]\nkey: all\nmeasure: count\nwindow: 60s\ndetect: { silence: { after: 60s } }');
  const pipeline = new Pipeline([silent]);
  const frames = [
    '<190>1 2026-01-05T12:00:00+00:00 host app web.1 - hello',
    '<172>1 2026-01-05T12:01:01+00:00 host heroku logplex - Error L10 (output buffer overflow): 7 messages dropped since 2026-01-05T12:00:30+00:00.',
    '<45>1 2026-01-05T12:01:40+00:00 host heroku web.1 - Cycling',
    '<45>1 2026-01-05T12:02:40+00:00 host heroku web.1 - Restarting',
  ];
  const records = frames.map((frame, offset) => ({ value: Buffer.from(frame), offset, timestampMs: Number.NaN }));
  const findings = pipeline.process({ topic: 'drain', partition: 0, dataset: 'heroku', format: 'logplex', records });
  expect(pipeline.counters.lostUpstream).toBe(7);
  expect(findings.map(({ windowEndMs }) => windowEndMs)).toEqual([Date.parse('2026-01-05T12:02:02Z')]);
});

test('rules that count the same share their windows, and each judges by its own length, threshold and mute', () => {
  const text = 'key: client.address\nmeasure: count\n';
  const page = ruleOf(`id: page\nseverity: critical\n${text}window: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 8 }`);
  const warn = ruleOf(`id: warn\n${text}window: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }`);
  const long = ruleOf(`id: long\n${text}window: { size: 300s, slide: 5s, lateness: 5s }\ndetect: { above: 12 }`);
  const events = Array.from({ length: 30 }, (_, i) => ({ timeMs: baseMs + i * 7_000, 'client.address': '192.0.2.9' }));
  const together = new Pipeline([page, warn, long]);
  expect(together.stages).toHaveLength(1);
  const shared = [...batchesOf(events).flatMap((batch) => together.process(batch)), ...together.finish()];
  const alone = [page, warn, long].flatMap((rule) => run(events, 50, [rule]));
  expect(told(shared)).toEqual(told(alone));
  expect(new Set(shared.map(({ rule }) => rule))).toEqual(new Set(['page', 'warn', 'long']));
});

test('a count that is exact on real time and one that is not keep windows of their own, and find what each alone finds', () => {
  const text = 'key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\n';
  const few = ruleOf(`id: few\n${text}detect: { above: 4 }`);
  const most = ruleOf(`id: most\n${text}detect: { above: 127 }`);
  const many = ruleOf(`id: many\n${text}detect: { above: 200 }`);
  const held = ruleOf(`id: held\n${text}detect: { above: 4, for: 10s }`);
  const events = Array.from({ length: 900 }, (_, i) => ({ timeMs: baseMs + i * 260, 'client.address': '192.0.2.9' }));
  const together = new Pipeline([few, many, most, held]);
  expect(together.stages.map(({ group }) => group.rules.map(({ id }) => id))).toEqual([
    ['few', 'most'],
    ['many', 'held'],
  ]);
  const shared = [...batchesOf(events).flatMap((batch) => together.process(batch)), ...together.finish()];
  const alone = [few, many, most, held].flatMap((rule) => run(events, 50, [rule]));
  expect(told(shared)).toEqual(told(alone));
  expect(new Set(shared.map(({ rule }) => rule))).toEqual(new Set(['few', 'most', 'many', 'held']));
});

test('a pane with many keys is closed in slices, and what comes of it is the same', () => {
  const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 60s, lateness: 1s }\ndetect: { above: 1 }');
  const events = Array.from({ length: 6_000 }, (_, i) => ({ timeMs: baseMs + (i % 50), 'client.address': `k${i % 3_000}` }));
  const sliced = new Pipeline([rule]);
  const findings: Finding[] = [];
  let pauses = 0;
  for (const batch of batchesOf([...events, { timeMs: baseMs + 120_000, 'client.address': 'last' }])) {
    const work = sliced.processInSlices(batch);
    for (let step = work.next(); ; step = work.next()) {
      if (step.done) {
        findings.push(...step.value);
        break;
      }
      pauses++;
    }
  }
  expect(pauses).toBeGreaterThanOrEqual(10);
  expect(findings).toHaveLength(3_000);
  expect(told(findings)).toEqual(
    told(run([...events, { timeMs: baseMs + 120_000, 'client.address': 'last' }], 100_000, [rule]).slice(0, 3_000)),
  );
});
