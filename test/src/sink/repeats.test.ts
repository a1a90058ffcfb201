import { expect, test } from 'vitest';
import { findingJson } from '../../../processors/detect/ocsf.ts';
import { Repeats, writtenFinding } from '../../../src/sink/repeats.ts';
import { sampleFinding } from '../../contracts/sink-laws.ts';

const dayMs = 24 * 3_600_000;
const finding = (id: string, timeMs = 0, rule = 'r') => ({ id, rule, timeMs });

test('what was written is recognised once, and forgotten then', () => {
  const repeats = new Repeats();
  repeats.remember(finding('a'));
  repeats.remember(finding('a'));
  expect([repeats.take(finding('b')), repeats.take(finding('a')), repeats.take(finding('a'))]).toEqual([false, true, false]);
  expect(repeats.size).toBe(0);
});

test('what has not come again by the time its rule is a day further is forgotten, and what other rules wrote is not', () => {
  const repeats = new Repeats();
  repeats.remember(finding('old', 0));
  repeats.remember(finding('young', 2 * dayMs));
  repeats.remember(finding('other', 0, 'quiet rule'));
  expect(repeats.take(finding('new', dayMs))).toBe(false);
  expect(repeats.size).toBe(3);
  expect(repeats.take(finding('newer', dayMs + 1))).toBe(false);
  expect(repeats.size).toBe(2);
  expect(repeats.take(finding('other', 0, 'quiet rule'))).toBe(true);
  expect(repeats.take(finding('young', 2 * dayMs))).toBe(true);
});

test('more than it may remember is said, once, and what it remembers stays right', () => {
  const warnings: string[] = [];
  const repeats = new Repeats((message) => warnings.push(message), 2);
  for (const id of ['a', 'b', 'c', 'd']) repeats.remember(finding(id));
  expect(warnings).toEqual([expect.stringMatching(/more than 2 findings/)]);
  expect(['a', 'b', 'c', 'd'].map((id) => repeats.take(finding(id)))).toEqual([true, true, false, false]);
});

test('what has not come again yet goes into the mark and comes out of it', () => {
  const repeats = new Repeats();
  for (const id of ['a', 'b']) repeats.remember(finding(id, 7));
  repeats.take(finding('a', 7));
  const next = new Repeats();
  next.addJson(JSON.parse(JSON.stringify(repeats.toJson())));
  expect([next.size, next.take(finding('b', 7)), next.take(finding('a', 7))]).toEqual([1, true, false]);
});

test('a finding is known by its identity, not by its bytes; what is none is nothing', () => {
  const written = sampleFinding(3);
  const again = { ...written, samples: written.samples.map(({ text, ...place }) => ({ ...place, unreadable: 'gone' })) };
  expect(findingJson(again)).not.toBe(findingJson(written));
  expect(writtenFinding(findingJson(again))).toEqual(writtenFinding(findingJson(written)));
  expect(writtenFinding(findingJson(written))).toEqual({ id: `${written.id}:open:0`, rule: written.rule, timeMs: written.timeMs });
  for (const other of ['', 'null', '7', '{}', '{"metadata":{"uid":1}}', 'half of a li']) expect(writtenFinding(other)).toBeUndefined();
});
