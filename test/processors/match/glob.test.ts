import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileText, foldCase } from '../../../processors/match/glob.ts';

const seed = 20261121;

/** The plain reference: every way a `*` can go is tried. */
function reference(text: readonly string[], pattern: readonly string[]): boolean {
  if (pattern.length === 0) return text.length === 0;
  const [head, ...rest] = pattern;
  if (head === '*') return text.some((_, i) => reference(text.slice(i), rest)) || reference([], rest);
  return text.length > 0 && (head === '?' || head === text[0]) && reference(text.slice(1), rest);
}

const char = fc.constantFrom('a', 'b', 'A', '.', 'é', 'É', '😀');
const text = fc.array(char, { maxLength: 9 });
const pattern = fc.array(fc.oneof(char, fc.constantFrom('*', '?')), { maxLength: 7 });
const wrap = { equals: ['', ''], contains: ['*', '*'], startswith: ['', '*'], endswith: ['*', ''] } as const;

for (const anchor of ['equals', 'contains', 'startswith', 'endswith'] as const) {
  test(`${anchor} agrees with a matcher that tries every way, seed ${seed}`, () => {
    const [before, after] = wrap[anchor];
    const check = fc.property(text, pattern, fc.boolean(), (text, pattern, cased) => {
      const fold = (parts: readonly string[]) => (cased ? parts : parts.map(foldCase));
      const whole = [...before, ...pattern, ...after];
      expect(compileText(pattern.join(''), anchor, cased)(text.join(''))).toBe(reference(fold(text), fold(whole)));
    });
    fc.assert(check, { seed, numRuns: 3000 });
  });
}

test('what a text says is found in it whatever its case and letters', () => {
  const letters = fc.string({ unit: fc.constantFrom('k', 'K', '\u212a', 'İ', 'i', '\u0307', 'Σ', 'ς', 'ß', 'x'), maxLength: 6 });
  const check = fc.property(letters, letters, letters, (a, b, c) => {
    const text = a + b + c;
    expect(compileText(b, 'contains', false)(text)).toBe(true);
    expect(compileText(a, 'startswith', false)(text)).toBe(true);
    expect(compileText(c, 'endswith', false)(text)).toBe(true);
    expect(compileText(b, 'equals', false)(text)).toBe(foldCase(b) === foldCase(text));
  });
  fc.assert(check, { seed, numRuns: 3000 });
});

test('many stars on a long text that almost matches stay quick', () => {
  const matches = compileText(`${'*a'.repeat(20)}*b`, 'equals', false);
  const started = performance.now();
  expect(matches('a'.repeat(20_000))).toBe(false);
  // Text x pattern is under a million steps; trying every way would be 20000^20.
  expect(performance.now() - started).toBeLessThan(2000);
});
