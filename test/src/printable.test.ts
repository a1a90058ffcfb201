import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable } from '../../src/printable.ts';

const seed = 20260105;

test('escapes, line ends and marks that turn text around are shown as what they are; other text stays', () => {
  expect(printable('\u001b[2J\u001b]0;title\u0007')).toBe('\\x1b[2J\\x1b]0;title\\x07');
  expect(printable('a\r\nb\tc\u0000\u007f')).toBe('a\\x0d\\x0ab\\x09c\\x00\\x7f');
  // A terminal may take C1 controls for escapes too; the second line shows "exe.txt" backwards in a terminal that knows bidi.
  expect(printable('\u009b31m')).toBe('\\x9b31m');
  expect(printable('\u202etxt.exe\u2066\u200f')).toBe('\\u202etxt.exe\\u2066\\u200f');
  expect(printable('\u2028\ufeff')).toBe('\\u2028\\ufeff');
  expect(printable('Grüße, 数, 👍 {value} <b>')).toBe('Grüße, 数, 👍 {value} <b>');
});

test(`no text is left with a control character in it, and one without is left alone (seed ${seed})`, () => {
  const deceptive = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;
  const piece = fc.oneof(fc.string({ unit: 'binary', maxLength: 4 }), fc.constantFrom('\u001b', '\n', '\u202e', '\u0085', 'plain'));
  const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(text, (given) => {
      const shown = printable(given);
      expect(shown).not.toMatch(deceptive);
      if (!deceptive.test(given)) expect(shown).toBe(given);
    }),
    { seed },
  );
});
