/** A field of the wrong type is counted by its rule, and changes nothing else. */
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { batchesOf } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');

test('values a measure cannot use are counted, the good ones of the same key add up', () => {
  const rule = ruleOf(
    'key: client.address\nmeasure: { sum: amount }\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 4 }',
  );
  const pipeline = new Pipeline([rule]);
  const amounts: unknown[] = [3, 'many', { of: 4 }, true, 2, null];
  const events = amounts.map((amount, i) => ({ timeMs: baseMs + i, 'client.address': '192.0.2.1', amount }));
  const findings = [...batchesOf(events).flatMap((batch) => pipeline.process(batch)), ...pipeline.finish()];
  expect(findings).toMatchObject([{ activity: 'open', value: 5 }]);
  expect(pipeline.counters.wrongType).toEqual({ test_rule: 4 });
  expect(pipeline.rejects.recordIndexes).toEqual([]);
});

test('an event without its rule\u2019s key is counted and does not count', () => {
  const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 0s }\ndetect: { above: 1 }');
  const pipeline = new Pipeline([rule]);
  const keys: unknown[] = ['192.0.2.1', null, '', { ip: '192.0.2.1' }, '192.0.2.1'];
  const events = keys.map((key, i) => ({ timeMs: baseMs + i, 'client.address': key }));
  const findings = [...batchesOf(events).flatMap((batch) => pipeline.process(batch)), ...pipeline.finish()];
  expect(findings).toMatchObject([{ key: { 'client.address': '192.0.2.1' }, value: 2 }]);
  expect(pipeline.counters.keyMissing).toEqual({ test_rule: 3 });
});
