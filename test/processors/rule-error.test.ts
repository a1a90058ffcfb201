/** A rule that throws takes no other down with it, and is told. */
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import type { Rule } from '../../processors/rule.ts';
import { batchesOf } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const text = 'key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\n';
const good = ruleOf(`id: good\n${text}detect: { above: 200 }`);
const beside = ruleOf(`id: beside\n${text}detect: { above: 300 }`);
/** A zone that nobody knows: the schema refuses it, so only a rule made by hand throws when its hours are looked at. */
const throws = (id: string): Rule => ({
  ...ruleOf(`id: ${id}\nwhere: { kind: bad }\n${text}detect: { silence: { after: 20s } }`),
  detect: [{ kind: 'silence', afterMs: 20_000, during: { days: [0, 1, 2, 3, 4, 5, 6], startMinute: 1, endMinute: 2, zone: 'Not/AZone' } }],
});
const events = Array.from({ length: 2_000 }, (_, i) => ({
  timeMs: baseMs + i * 100,
  'client.address': '192.0.2.9',
  kind: i === 500 ? 'bad' : 'fine',
}));

test('at a close: the others find what they would without it, it is a finding once, and its state is not kept', () => {
  const failures: unknown[] = [];
  const pipeline = new Pipeline([throws('bad_a'), good, throws('bad_b'), beside], { ruleFailed: (failure) => failures.push(failure) });
  const findings = batchesOf(events, 100).flatMap((batch) => pipeline.process(batch));
  const alone = new Pipeline([good, beside]);
  const wanted = batchesOf(events, 100).flatMap((batch) => alone.process(batch));
  expect(wanted).not.toEqual([]);
  expect(findings.filter(({ rule }) => !rule.startsWith('streamgauge.'))).toEqual(wanted);
  expect(findings.filter(({ rule }) => rule.startsWith('streamgauge.'))).toMatchObject([
    {
      rule: 'streamgauge.rule_error',
      activity: 'open',
      key: { rule: 'bad_a' },
      openedMs: baseMs + 55_000,
      summary: expect.stringMatching(
        /^bad_a, bad_b: not run since 2026-01-05T12:00:55\.000Z of the input, because of RangeError: .*Not\/AZone/,
      ),
    },
  ]);
  expect(failures).toMatchObject([{ rules: ['bad_a', 'bad_b'], error: expect.any(RangeError) }]);
  expect(pipeline.failures).toEqual(failures);
  expect(new Pipeline([throws('bad_a'), good, throws('bad_b'), beside]).restore(pipeline.snapshot())).toEqual(['bad_a', 'bad_b']);
});

test('at a match too, however input is cut into batches', () => {
  const told = (maxRecords: number) => {
    // Announced at the record that crosses, and there is no sentence to say it with.
    const rule = ruleOf(`id: bad\nearly: true\nwhere: { kind: bad }\n${text}detect: { above: 0 }`);
    const pipeline = new Pipeline([{ ...rule, finding: { ...rule.finding, summary: undefined as never } }, good]);
    return batchesOf(events, maxRecords).flatMap((batch) => pipeline.process(batch));
  };
  expect(told(7)).toEqual(told(1_000));
  expect(told(7).filter(({ rule }) => rule !== 'good')).toMatchObject([
    { rule: 'streamgauge.rule_error', key: { rule: 'bad' }, openedMs: baseMs + 50_000 },
  ]);
  const alone = new Pipeline([good]);
  expect(told(7).filter(({ rule }) => rule === 'good')).toEqual(batchesOf(events, 7).flatMap((batch) => alone.process(batch)));
});

test('a silence among the detectors of a rule that announces early is not asked about a window that is open', () => {
  const rule = ruleOf(
    `early: true\n${text}detect: [{ above: 3 }, { silence: { after: 30s, during: { days: mon-fri, hours: "09:00-17:00", zone: UTC } } }]`,
  );
  const pipeline = new Pipeline([rule]);
  const of = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({ timeMs: baseMs + from + i * 100, 'client.address': i % 40 === 0 ? '192.0.2.9' : 'other' }));
  const findings = batchesOf([...of(0, 160), ...of(100_000, 1)]).flatMap((batch) => pipeline.process(batch));
  expect(findings.filter(({ key, activity }) => key['client.address'] === '192.0.2.9' && activity === 'open')).toMatchObject([
    { early: true, value: 4, detector: 'above' },
  ]);
});

test('what belongs to no rule stops the process: a record that is none', () => {
  const pipeline = new Pipeline([good]);
  const [batch] = batchesOf(events.slice(0, 1));
  expect(() => pipeline.process({ ...batch, records: [undefined as never] })).toThrow(TypeError);
});
