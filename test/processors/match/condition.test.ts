import { expect, test } from 'vitest';
import type { Scalar } from '../../../processors/decode/event-batch.ts';
import { compileCondition, maxRegexChars, requiredEqualities } from '../../../processors/match/condition.ts';
import { foldCase } from '../../../processors/match/glob.ts';
import { parseWhere } from '../../../schemas/where.ts';
import { batchOf, FieldPlan } from './rows.ts';

type Fields = Record<string, Scalar | readonly Scalar[] | undefined>;

function parsed(where: unknown) {
  return parseWhere(where, (fault) => expect.fail(`${fault.path.join('.')}: ${fault.text}`));
}

/** Does an event pass a `where`? */
function passes(where: unknown, fields: Fields): boolean {
  const plan = new FieldPlan();
  const test = compileCondition(parsed(where), plan);
  return test(batchOf(plan, [fields]), 0);
}

const cases: readonly (readonly [where: unknown, passing: readonly Fields[], failing: readonly Fields[]])[] = [
  [{ a: 'Foo' }, [{ a: 'foo' }, { a: 'FOO' }, { a: ['x', 'fOO'] }], [{ a: 'foo ' }, { a: 'fo' }, { a: null }, {}, { a: [] }, { a: 1 }]],
  [{ 'a|cased': 'Foo' }, [{ a: 'Foo' }], [{ a: 'foo' }]],
  [{ a: ['x', 'y'] }, [{ a: 'Y' }, { a: ['q', 'x'] }], [{ a: 'z' }, { a: ['q'] }]],
  [{ a: 1, b: 2 }, [{ a: 1, b: 2 }], [{ a: 1 }, { a: 1, b: 3 }]],
  [[{ a: 1 }, { b: 2 }], [{ a: 1 }, { b: 2 }], [{ a: 2, b: 1 }]],
  [{ a: 404 }, [{ a: 404 }, { a: '404' }, { a: [404] }], [{ a: 40 }, { a: '0404' }, { a: '404.0' }, { a: true }]],
  [{ a: '404' }, [{ a: 404 }, { a: '404' }], [{ a: 405 }]],
  [{ a: '0404' }, [{ a: '0404' }], [{ a: 404 }]],
  [{ a: '5*' }, [{ a: 503 }, { a: '5xx' }], [{ a: 404 }]],
  [{ a: true }, [{ a: true }, { a: 'True' }, { a: [false, true] }], [{ a: false }, { a: 1 }]],
  [{ a: null }, [{}, { a: null }, { a: [] }, { a: [null] }], [{ a: '' }, { a: 0 }, { a: false }]],
  [{ a: '' }, [{ a: '' }], [{}, { a: null }, { a: ' ' }]],
  [{ a: [null, 'x'] }, [{}, { a: 'x' }], [{ a: 'y' }]],
  [{ 'a|exists': true }, [{ a: '' }, { a: 0 }, { a: [1] }], [{}, { a: null }, { a: [] }, { a: [null] }]],
  [{ 'a|exists': false }, [{}, { a: null }], [{ a: '' }]],
  [{ 'a|contains': 'EVIL' }, [{ a: 'an evil thing' }, { a: ['x', 'Evil'] }], [{ a: 'evi' }, { a: 'live' }]],
  [{ 'a|contains': ['x', 'y'] }, [{ a: '-y-' }], [{ a: '-z-' }]],
  [{ 'a|contains|all': ['x', 'y'] }, [{ a: '-yx-' }, { a: ['x', 'y'] }], [{ a: '-y-' }, { a: ['x'] }]],
  [{ 'a|contains': 'a*b?c' }, [{ a: '--axxbxc--' }], [{ a: '--axxbc--' }]],
  [{ 'a|startswith': '/Admin' }, [{ a: '/admin/x' }, { a: '/ADMIN' }], [{ a: 'x/admin' }, { a: '/adm' }]],
  [{ 'a|endswith': '.PHP' }, [{ a: 'x.php' }, { a: '.php' }], [{ a: 'x.php5' }, { a: 'php' }]],
  [{ 'a|contains': 10 }, [{ a: 5101 }, { a: 'x10' }], [{ a: 11 }]],
  [{ a: 'a\\*b' }, [{ a: 'a*b' }], [{ a: 'axb' }]],
  [{ a: 'C:\\dir\\x' }, [{ a: 'c:\\DIR\\X' }], [{ a: 'c:dirx' }]],
  [{ a: 'x\\\\*' }, [{ a: 'x\\yz' }], [{ a: 'x*' }]],
  [{ 'a|re': '^fo+$' }, [{ a: 'foo' }], [{ a: 'FOO' }, { a: 'fooo ' }]],
  [{ 'a|re|i': '^fo+$' }, [{ a: 'FOO' }], [{ a: 'f' }]],
  [{ 'a|re': 'x.*y' }, [{ a: '--x-y--' }], [{ a: '' }, {}, { a: null }]],
  [{ 'a|gt': 10 }, [{ a: 11 }, { a: '10.5' }, { a: [1, 12] }], [{ a: 10 }, { a: 'many' }, { a: '' }, {}, { a: true }]],
  [{ 'a|gte': '10' }, [{ a: 10 }], [{ a: 9.99 }]],
  [{ 'a|lt': 0 }, [{ a: -1 }], [{ a: 0 }, { a: ' ' }]],
  [{ 'a|lte': 0 }, [{ a: 0 }], [{ a: 0.1 }]],
  [{ 'a|cidr': '10.0.0.0/8' }, [{ a: '10.255.0.1' }, { a: '::ffff:10.1.2.3' }], [{ a: '11.0.0.1' }, { a: '::' }, { a: 'x' }, { a: 10 }]],
  [{ 'a|cidr': ['2001:db8::/32', '192.0.2.1'] }, [{ a: '2001:DB8::1' }, { a: '192.0.2.1' }], [{ a: '192.0.2.2' }, { a: '2001:db9::' }]],
  [{ 'a|cidr': '::ffff:10.0.0.0/104' }, [{ a: '10.9.9.9' }], [{ a: '11.9.9.9' }]],
  [
    ['failed', 'denied*user'],
    [{ message: 'login FAILED' }, { message: 'denied to user' }],
    [{ message: 'fine' }, { a: 'failed' }],
  ],
  [{ '|all': ['a', 'b'] }, [{ message: 'b then a' }], [{ message: 'a' }]],
  [{ sel: { a: 1 }, filter: { b: 2 }, condition: 'sel and not filter' }, [{ a: 1 }], [{ a: 1, b: 2 }, { b: 3 }]],
  [{ s_1: { a: 1 }, s_2: [{ b: 1 }, { b: 2 }], condition: '1 of s_*' }, [{ a: 1 }, { b: 2 }], [{ a: 2 }]],
  [{ s_1: { a: 1 }, s_2: { b: 1 }, _x: { c: 1 }, condition: 'all of them' }, [{ a: 1, b: 1 }], [{ a: 1, c: 1 }]],
  [{ x: { a: 1 }, y: { b: 1 }, z: { c: 1 }, condition: 'x or y and not z' }, [{ a: 1, c: 1 }, { b: 1 }], [{ b: 1, c: 1 }]],
  [{ x: { a: 1 }, y: { b: 1 }, z: { c: 1 }, condition: '(x OR y) and NOT (z)' }, [{ a: 1 }, { b: 1 }], [{ a: 1, c: 1 }]],
  [{ words: ['boom', 'bang'], condition: 'words' }, [{ message: 'Big BANG' }], [{ message: 'quiet' }]],
  [{}, [{}, { a: 1 }], []],
  // Letters outside ASCII: the Kelvin sign is a small k, İ grows by a dot, a Σ at a word's end is still a sigma.
  [{ a: 'kelvin' }, [{ a: '\u212aelvin' }], []],
  [{ a: 'ŠTĚDRÝ' }, [{ a: 'štědrý' }], [{ a: 'stedry' }]],
  [{ a: 'i\u0307x' }, [{ a: 'İX' }], [{ a: 'ix' }]],
  [{ 'a|endswith': 'i\u0307' }, [{ a: 'aİ' }, { a: 'İ' }], [{ a: 'i' }]],
  [{ 'a|startswith': 'ΟΔΟΣ' }, [{ a: 'οδοσ' }, { a: 'ΟΔΟΣ' }, { a: 'οδος' }, { a: 'ΟΔΟΣΑ' }], []],
  [{ 'a|contains': 'é' }, [{ a: 'CAFÉ!' }], [{ a: 'cafe' }]],
];

for (const [where, passing, failing] of cases) {
  test(`${JSON.stringify(where)} passes what it should and nothing else`, () => {
    for (const fields of passing) expect(passes(where, fields), JSON.stringify(fields)).toBe(true);
    for (const fields of failing) expect(passes(where, fields), JSON.stringify(fields)).toBe(false);
  });
}

test('a regular expression sees the first 8192 characters only', () => {
  const padding = 'x'.repeat(maxRegexChars);
  expect(passes({ 'a|re': 'end' }, { a: `${padding.slice(3)}end` })).toBe(true);
  expect(passes({ 'a|re': 'end' }, { a: `${padding}end` })).toBe(false);
});

test('required equalities are those that every passing event has', () => {
  expect(requiredEqualities(parsed({ a: ['X', 'y'], 'b|contains': 'z', c: 404 }))).toEqual([
    { field: 'a', values: ['x', 'y'] },
    { field: 'c', values: ['404'] },
  ]);
  expect(requiredEqualities(parsed([{ a: 1, b: 2 }, { a: 2 }]))).toEqual([{ field: 'a', values: ['1', '2'] }]);
  expect(requiredEqualities(parsed({ x: { a: 1 }, condition: 'not x' }))).toEqual([]);
  expect(requiredEqualities(parsed({ a: 'x*' }))).toEqual([]);
  expect(requiredEqualities(parsed({ a: 'x\\*' }))).toEqual([{ field: 'a', values: ['x*'] }]);
  expect(requiredEqualities(parsed({ a: [null, 'x'] }))).toEqual([]);
  expect(requiredEqualities(parsed({ 'a|all': ['x', 'y'] }))).toEqual([
    { field: 'a', values: ['x'] },
    { field: 'a', values: ['y'] },
  ]);
});

test('an event that lacks a required equality never passes', () => {
  const strings = ['x', 'X', 'y', '404', 'true', 'Σ', 'ς'];
  const events: Fields[] = [...strings, 404, 405, true, false, null].map((a) => ({ a }));
  for (const where of [{ a: 'x' }, { a: [404, 'Y'] }, { a: true }, { 'a|cased': 'X' }, { a: 'σ' }, [{ a: 'x' }, { a: 'y' }]]) {
    const required = requiredEqualities(parsed(where));
    expect(required).toHaveLength(1);
    for (const fields of events) {
      if (passes(where, fields)) expect(required[0].values).toContain(foldCase(String(fields.a)));
    }
  }
});
