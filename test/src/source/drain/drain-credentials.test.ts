import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Credentials } from '../../../../src/source/drain/drain-credentials.ts';

function basic(pair: string | Uint8Array): string {
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

test('lets in what is one of the pairs to the byte, and nothing else', () => {
  const pairs = ['heroku:one', 'heroku:a longer one', 'ü:ö'];
  const credentials = new Credentials(pairs);
  for (const pair of pairs) expect(credentials.allow(basic(pair))).toBe(true);
  const near = [
    '',
    ':',
    'heroku:on',
    'heroku:one\0',
    'heroku:one\0\0',
    '\0heroku:one',
    'heroku:a longer one and more',
    'heroku:onE',
    'ü:o',
  ];
  for (const pair of near) expect([pair, credentials.allow(basic(pair))]).toEqual([pair, false]);
  for (const header of [undefined, '', 'Basic', 'Basic ', `Bearer ${Buffer.from('heroku:one').toString('base64')}`, 'heroku:one'])
    expect([header, credentials.allow(header)]).toEqual([header, false]);
});

test('says of any pair what comparing the texts says, whatever was asked before', () => {
  const text = fc.string({ unit: 'binary', maxLength: 12 });
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 3 }), fc.array(text, { maxLength: 5 }), (pairs, others) => {
      const credentials = new Credentials(pairs);
      for (const asked of [...others, ...pairs, ...others]) expect(credentials.allow(basic(asked))).toBe(pairs.includes(asked));
    }),
    { seed: 20261121, numRuns: 300 },
  );
});

test('follows a list that is replaced', () => {
  let pairs: readonly string[] = ['a:old'];
  const credentials = new Credentials(() => pairs);
  expect(credentials.allow(basic('a:a new, longer one'))).toBe(false);
  pairs = ['a:old', 'a:a new, longer one'];
  expect(credentials.allow(basic('a:a new, longer one'))).toBe(true);
  pairs = [];
  expect([credentials.open, credentials.allow(undefined)]).toEqual([true, true]);
});
