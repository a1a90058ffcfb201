import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { keyFloodRule } from '../../processors/detect/key-flood.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { spentBudgets } from '../../src/engine-status.ts';
import { benchFlood } from '../bench/flood.ts';
import { batchesOf, type TestEvent } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';

const seed = 20260108;
const baseMs = Date.parse('2026-01-05T12:00:00Z');

const rules: Rule[] = [
  ruleOf(
    'id: eager\nearly: true\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 6 }',
  ),
  ruleOf(
    'id: emails\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: { size: 60s, slide: 10s, lateness: 5s }\ndetect: { above: 6 }',
  ),
  ruleOf(
    'id: slow\nkey: client.address\nmeasure: { avg: took }\nwindow: { size: 30s, slide: 5s, lateness: 5s }\ndetect: { above: 90, for: 10s }',
  ),
  ruleOf(
    'id: tail\nkey: client.address\nmeasure: { quantile: { of: took, q: 0.9 } }\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 95 }',
  ),
];

/** Some hundred keys that come again and again among thousands that come once or twice. */
const floods = fc.record({
  count: fc.integer({ min: 2_000, max: 6_000 }),
  stepMs: fc.integer({ min: 2, max: 60 }),
  first: fc.nat(0x7fffffff),
});

function eventsOf({ count, stepMs, first }: { count: number; stepMs: number; first: number }): TestEvent[] {
  const numbers = numbersFrom(first);
  let timeMs = baseMs;
  return Array.from({ length: count }, () => {
    const number = numbers.next().value;
    const key = number % 3 === 0 ? number % 101 : number % 20_011;
    timeMs += (number >>> 8) % (2 * stepMs);
    return {
      timeMs: timeMs - ((number >>> 4) % 16 === 0 ? 4_000 : 0),
      partition: number % 2,
      'client.address': `10.0.${key >>> 8}.${key & 255}`,
      'user.email': `u${(number >>> 10) % 50}@x.org`,
      took: (number >>> 12) % 100,
    };
  });
}

function start(memoryBytes: number): Pipeline {
  const pipeline = new Pipeline(rules, { memoryBytes });
  pipeline.partitions(['logs/0', 'logs/1']);
  return pipeline;
}

interface Run {
  readonly findings: Finding[];
  readonly bytes: number;
  readonly lost: number;
}

function run(events: readonly TestEvent[], memoryBytes: number, maxRecords: number, restoreAt = -1): Run {
  let pipeline = start(memoryBytes);
  let lost = 0;
  const findings: Finding[] = [];
  const losses = () =>
    [pipeline.counters.untracked, pipeline.counters.evictions].flatMap((by) => Object.values(by)).reduce((a, b) => a + b, 0);
  batchesOf(events, maxRecords).forEach((batch, index) => {
    if (index === restoreAt) {
      lost += losses();
      const state = pipeline.snapshot().slice();
      pipeline = start(memoryBytes);
      pipeline.restore(state);
    }
    findings.push(...pipeline.process(batch));
  });
  findings.push(...pipeline.finish());
  return { findings, lost: lost + losses(), bytes: pipeline.stages.reduce((sum, { windows }) => sum + windows.stateBytes, 0) };
}

describe('under pressure', () => {
  test(`how input is cut into batches changes nothing (seed ${seed})`, () => {
    let pressed = 0;
    fc.assert(
      fc.property(floods, fc.integer({ min: 50_000, max: 600_000 }), fc.integer({ min: 1, max: 40 }), (flood, memory, maxRecords) => {
        const events = eventsOf(flood);
        const whole = run(events, memory, Number.POSITIVE_INFINITY);
        expect(run(events, memory, maxRecords)).toEqual(whole);
        if (whole.lost > 0) pressed++;
      }),
      { seed, numRuns: 12 },
    );
    expect(pressed).toBeGreaterThan(6);
  });

  test(`a snapshot restored at any point goes on as if nothing had happened, to the byte of what is held (seed ${seed})`, () => {
    let pressed = 0;
    fc.assert(
      fc.property(floods, fc.integer({ min: 50_000, max: 600_000 }), fc.nat(300), (flood, memory, at) => {
        const events = eventsOf(flood);
        const whole = run(events, memory, 7);
        expect(run(events, memory, 7, at)).toEqual(whole);
        if (whole.lost > 0) pressed++;
      }),
      { seed, numRuns: 12 },
    );
    expect(pressed).toBeGreaterThan(6);
  });

  test(`a value is never more than what came, nor less than that without what may be missing (seed ${seed})`, () => {
    let corrected = 0;
    const rule = ruleOf(
      'id: few\nkey: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 2 }',
    );
    fc.assert(
      fc.property(floods, (flood) => {
        const events = eventsOf(flood).map((event): TestEvent => ({ ...event, partition: 0 }));
        const pipeline = new Pipeline([rule], { memoryBytes: 60_000 });
        const findings = batchesOf(events, 50).flatMap((batch) => pipeline.process(batch));
        findings.push(...pipeline.finish());
        let newestMs = 0;
        const counted = events.filter(({ timeMs }) => {
          newestMs = Math.max(newestMs, timeMs);
          return timeMs >= newestMs - rule.window.latenessMs;
        });
        for (const { activity, key, value, countErr, windowStartMs, windowEndMs, rule: of } of findings) {
          if (of === keyFloodRule || activity === 'close') continue;
          const own = counted.filter((event) => event['client.address'] === key['client.address'] && event.timeMs < windowEndMs);
          // A count on real time may reach back into one more pane.
          expect(value).toBeLessThanOrEqual(own.filter(({ timeMs }) => timeMs >= windowStartMs - rule.window.slideMs).length);
          expect(value + countErr).toBeGreaterThanOrEqual(own.filter(({ timeMs }) => timeMs >= windowStartMs).length);
          if (countErr > 0) corrected++;
        }
      }),
      { seed, numRuns: 10 },
    );
    expect(corrected).toBeGreaterThan(0);
  });
});

describe('a flood of a million keys that come once', () => {
  const memoryBytes = 24 * 2 ** 20;
  const rule = ruleOf('id: many\nkey: client.address\nmeasure: count\nwindow: { size: 10m, slide: 1m }\ndetect: { above: 400 }');

  test('stays within the budget, keeps the heavy keys, and is a finding', { timeout: 120_000 }, () => {
    const pipeline = new Pipeline([rule], { memoryBytes });
    const findings: Finding[] = [];
    const perBatch = 5_000;
    let mostBytes = 0;
    for (let batch = 0; batch < 210; batch++) {
      const records = Array.from({ length: perBatch }, (_, i) => {
        const n = batch * perBatch + i;
        const address = i % 20 === 0 ? `heavy ${(i / 20) % 50}` : `once ${n}`;
        return {
          value: Buffer.from(`{"time":${baseMs + Math.floor(n * 0.6)},"client.address":"${address}"}`),
          offset: n,
          timestampMs: Number.NaN,
        };
      });
      findings.push(...pipeline.process({ topic: 'logs', partition: 0, dataset: 'app', format: 'json', records }));
      mostBytes = Math.max(mostBytes, pipeline.stages[0].windows.bytes());
    }
    findings.push(...pipeline.finish());
    const { untracked, evictions } = pipeline.counters;
    expect(mostBytes).toBeLessThanOrEqual(memoryBytes);
    expect(pipeline.stages[0].windows.keyCount).toBeGreaterThan(20_000);
    expect(untracked.many + (evictions.many ?? 0)).toBeGreaterThan(500_000);
    const opened = findings.filter(({ rule: id, activity }) => id === 'many' && activity === 'open');
    expect(opened.map(({ key }) => key['client.address']).sort()).toEqual(Array.from({ length: 50 }, (_, i) => `heavy ${i}`).sort());
    expect(opened.every(({ countErr }) => countErr === 0)).toBe(true);
    expect(opened[0].evicted).toBeGreaterThan(0);
    const floods = findings.filter(({ rule: id }) => id === keyFloodRule);
    expect(floods.map(({ activity }) => activity)).toEqual(['open', ...floods.slice(1).map(() => 'update')]);
    expect(new Set(floods.map(({ id }) => id)).size).toBe(1);
    const [flood] = floods;
    expect(flood).toMatchObject({ key: { rule: 'many' }, category: 'streamgauge', status: 'live' });
    expect(flood.summary).toMatch(/^many: about \d+ keys could not be tracked in 10m .* smallest detectable count \d+$/);
    expect(flood.samples).toHaveLength(5);
    // The sketch that counts the lost keys errs by 3.2 %.
    const last = floods[floods.length - 1];
    expect(last.value).toBeGreaterThan(200_000);
    expect(last.value).toBeLessThan(1_100_000);
  });

  test('is over when two windows have passed without', { timeout: 60_000 }, () => {
    const pipeline = new Pipeline([rule], { memoryBytes: 400_000 });
    const events: TestEvent[] = Array.from({ length: 20_000 }, (_, i) => ({ timeMs: baseMs + i, 'client.address': `once ${i}` }));
    for (let minute = 1; minute <= 60; minute++) events.push({ timeMs: baseMs + minute * 60_000, 'client.address': 'calm' });
    const findings = batchesOf(events, 1000).flatMap((batch) => pipeline.process(batch));
    const floods = findings.filter(({ rule: id }) => id === keyFloodRule);
    expect(floods.map(({ activity }) => activity)).toEqual(['open', 'close']);
    // The calm key itself is refused twice before it has come often enough.
    expect(floods[1].timeMs - floods[0].timeMs).toBe(22 * 60_000);
    expect(floods[1].summary).toBe('over: many: every key has a place again');
    expect(pipeline.stages[0].windows.lost).toEqual({ untracked: 0, evicted: 0, keys: 0, hidden: 0 });
    // What only pressure needs is given back: the rest is one key.
    expect(pipeline.stages[0].windows.keyCount).toBe(1);
  });
});

test('a flood of one rule takes no place from another, and the pool returns when that one needs it', { timeout: 60_000 }, () => {
  const flooded = ruleOf(
    'id: flooded\nwhere: { kind: flood }\nkey: client.address\nmeasure: { distinct: v }\nwindow: { size: 10m, slide: 1m }\ndetect: { above: 1000000 }',
  );
  const calm = ruleOf(
    'id: calm\nwhere: { kind: calm }\nkey: client.address\nmeasure: { distinct: v }\nwindow: { size: 10m, slide: 1m }\ndetect: { above: 1000000 }',
  );
  const memoryBytes = 4 * 2 ** 20;
  const pipeline = new Pipeline([flooded, calm], { memoryBytes });
  const [floodedBytes, calmBytes] = pipeline.stages.map(
    ({ windows }) =>
      () =>
        windows.stateBytes,
  );
  const feed = (kind: string, from: number, count: number) => {
    const events = Array.from({ length: count }, (_, i) => {
      const n = from + i;
      return { timeMs: baseMs + n, kind, v: n, 'client.address': `${kind} ${Math.floor(n / 20)}` };
    });
    for (const batch of batchesOf(events, 1000)) pipeline.process(batch);
  };
  feed('flood', 0, 150_000);
  // More than its own four fifths of a half: the pool is lent.
  expect(floodedBytes()).toBeGreaterThan(0.4 * memoryBytes);
  expect(pipeline.counters.untracked.calm ?? 0).toBe(0);
  for (let round = 0; round < 120; round++) {
    feed('calm', 150_000 + round * 2_000, 1_000);
    feed('flood', 151_000 + round * 2_000, 1_000);
    expect(floodedBytes() + calmBytes()).toBeLessThanOrEqual(memoryBytes);
  }
  expect(calmBytes()).toBeGreaterThan(0.42 * memoryBytes);
  expect(floodedBytes()).toBeLessThan(0.5 * memoryBytes);
});

test('a spent budget is a reason of health', () => {
  const pipeline = new Pipeline([rules[0]], { memoryBytes: 60_000 });
  expect(spentBudgets(pipeline)).toEqual([]);
  for (const batch of batchesOf(eventsOf({ count: 3_000, stepMs: 2, first: 5 }))) pipeline.process(batch);
  const [reason, ...others] = spentBudgets(pipeline);
  expect(others).toEqual([]);
  expect(reason).toMatchObject({ reason: 'budget_spent', severity: 'degraded' });
  expect(reason.detail).toMatch(
    /^eager: memory holds \d+ keys, about \d+ more found no place in the last window \(\d+ events not counted\)/,
  );
});

test('a memory that is not spent changes nothing', () => {
  const events = eventsOf({ count: 3_000, stepMs: 30, first: 1 });
  const roomy = run(events, 512 * 2 ** 20, 100);
  expect(run(events, 5 * 2 ** 20, 100)).toEqual(roomy);
  expect(roomy.lost).toBe(0);
  expect(roomy.findings.every(({ evicted, countErr }) => evicted === 0 && countErr === 0)).toBe(true);
});

function* numbersFrom(first: number): Generator<number, never> {
  for (let state = first; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    yield (state ^ (state >>> 15)) & 0x7fffffff;
  }
}

describe('the flood simulation', () => {
  for (const factor of [5, 20] as const) {
    test(`sees the attackers at ${factor} times the normal traffic, without a false alarm`, { timeout: 120_000 }, () => {
      const { floodFindings, ...figures } = benchFlood(factor);
      process.stdout.write(`flood x${factor}: ${JSON.stringify(figures)}\n`);
      expect(figures.attackersSeen).toBeGreaterThanOrEqual(390);
      expect(figures.falseAlarms).toBe(0);
      expect(figures.heavyContinuity).toBeGreaterThan(0.95);
      expect(figures.extraDelayEvents).toBeLessThan(4);
      expect(figures.mostBytes).toBeLessThanOrEqual(figures.memoryBytes);
      expect(floodFindings[0].activity).toBe('open');
    });
  }
});
