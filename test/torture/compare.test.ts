import { expect, test } from 'vitest';
import { compare, type Out } from './compare.ts';
import { differences } from './scenario.ts';

const out = (finding: string, more: Partial<Out> = {}): Out => {
  return { finding, activity: 'Create', sequence: 0, rule: 'storm', value: 7, degraded: false, ...more };
};

test('what is lost, new, doubled, or tells another value is a difference', () => {
  const expected = [out('a'), out('b'), out('c')];
  expect(differences(compare(expected, [...expected, out('own', { rule: 'streamgauge.stopped' })]))).toEqual([]);
  expect(differences(compare(expected, [out('a'), out('a'), out('b', { value: 6 }), out('d')]))).toEqual([
    '1 missing: c Create 0',
    '1 extra: d Create 0',
    '2 doubled: a Create 0, a Create',
    '1 changed: b Create 0: 6, not 7',
  ]);
  expect(differences(compare([], []))).toEqual(['the undisturbed run found nothing']);
});

test('a finding that says it is degraded is one, unless the fault may do that; its value is not compared', () => {
  const comparison = compare([out('a'), out('b')], [out('a'), out('b', { value: 6, degraded: true })]);
  expect(comparison).toMatchObject({ values: 1, changed: [] });
  expect(differences(comparison)).toEqual(['1 degraded: b Create 0']);
  expect(differences(comparison, true)).toEqual([]);
});
