/**
 * Text against Sigma's values: `*` any run, `?` any one character, `\` before one of these or itself takes it as written (SigmaHQ
 * sigma-specification, "escaping"). Without case unless asked; nothing is allocated for text that is ASCII.
 */

/** A tested text; built once per value of a rule. */
export type TextTest = (text: string) => boolean;

/** A value taken apart: codes of its characters, `many` for `*`, `one` for `?`. */
const many = -1;
const one = -2;

export type Anchor = 'equals' | 'contains' | 'startswith' | 'endswith';

/** Compiles a value of `equals`, `contains`, `startswith` or `endswith`. */
export function compileText(value: string, anchor: Anchor, cased: boolean): TextTest {
  const tokens = tokensOf(cased ? value : foldCase(value));
  const open = { start: anchor === 'contains' || anchor === 'endswith', end: anchor === 'contains' || anchor === 'startswith' };
  while (tokens[0] === many) {
    open.start = true;
    tokens.shift();
  }
  while (tokens.at(-1) === many) {
    open.end = true;
    tokens.pop();
  }
  if (tokens.every((token) => token >= 0)) {
    const literal = textOf(tokens);
    return cased ? casedLiteral(literal, open.start, open.end) : foldedLiteral(literal, open.start, open.end);
  }
  const pattern = Int32Array.from([...(open.start ? [many] : []), ...tokens, ...(open.end ? [many] : [])]);
  return cased ? (text) => matchGlob(text, pattern, false) : (text) => matchGlob(isAscii(text) ? text : foldCase(text), pattern, true);
}

/** The text a value stands for if it has no wildcard; undefined if it has one. */
export function literalOf(value: string): string | undefined {
  const tokens = tokensOf(value);
  return tokens.every((token) => token >= 0) ? textOf(tokens) : undefined;
}

/** Lower case, whatever stands beside a letter: JavaScript writes a Σ at the end of a word as ς, which would make a word's end differ. */
export function foldCase(text: string): string {
  const lower = text.toLowerCase();
  return isAscii(lower) ? lower : lower.replaceAll('ς', 'σ');
}

function tokensOf(value: string): number[] {
  const tokens: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const char = value[i];
    const next = value[i + 1];
    if (char === '\\' && (next === '*' || next === '?' || next === '\\')) {
      tokens.push(value.charCodeAt(++i));
    } else if (char === '*') {
      if (tokens.at(-1) !== many) tokens.push(many);
    } else tokens.push(char === '?' ? one : value.charCodeAt(i));
  }
  return tokens;
}

function textOf(tokens: readonly number[]): string {
  return tokens.map((code) => String.fromCharCode(code)).join('');
}

function casedLiteral(literal: string, openStart: boolean, openEnd: boolean): TextTest {
  if (openStart && openEnd) return (text) => text.includes(literal);
  if (openStart) return (text) => text.endsWith(literal);
  return openEnd ? (text) => text.startsWith(literal) : (text) => text === literal;
}

function foldedLiteral(literal: string, openStart: boolean, openEnd: boolean): TextTest {
  const size = literal.length;
  if (openStart && openEnd) return containsFolded(literal);
  if (openStart) {
    return (text) => {
      const result = compareEnd(text, literal);
      return result === unsure ? foldCase(text).endsWith(literal) : result === same;
    };
  }
  if (openEnd) {
    return (text) => {
      const result = compareStart(text, literal);
      return result === unsure ? foldCase(text).startsWith(literal) : result === same;
    };
  }
  // İ is the one character whose lower case is longer (i and a dot above): length decides for every literal that cannot come of it.
  const growing = literal.includes('i\u0307');
  return (text) => {
    if (text.length !== size) return growing && foldCase(text) === literal;
    const result = compareStart(text, literal);
    return result === unsure ? foldCase(text) === literal : result === same;
  };
}

// Both comparisons stop at the first character that is not ASCII: up to there text and folded text line up, beyond it they may not.
const differs = 0;
const same = 1;
const unsure = 2;

function compareStart(text: string, literal: string): 0 | 1 | 2 {
  for (let i = 0; i < literal.length; i++) {
    if (i === text.length) return differs;
    let code = text.charCodeAt(i);
    if (code > 127) return unsure;
    if (code >= 65 && code <= 90) code |= 32;
    if (code !== literal.charCodeAt(i)) return differs;
  }
  return same;
}

function compareEnd(text: string, literal: string): 0 | 1 | 2 {
  const shift = text.length - literal.length;
  for (let i = literal.length - 1; i >= 0; i--) {
    if (i + shift < 0) return differs;
    let code = text.charCodeAt(i + shift);
    if (code > 127) return unsure;
    if (code >= 65 && code <= 90) code |= 32;
    if (code !== literal.charCodeAt(i)) return differs;
  }
  return same;
}

/**
 * The engine's own search for a literal without case: 50 ns for a line of 110 characters where a loop over `charCodeAt` takes 350 to
 * 900 and folding the text first 90 to 140 and a copy (Node 20.20). It is a search, so its time stays linear. Only ASCII is left to
 * it: its folding of other letters is not ours.
 */
function containsFolded(literal: string): TextTest {
  if (!isAscii(literal)) return (text) => foldCase(text).includes(literal);
  const search = new RegExp(literal.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'), 'i');
  // Beyond ASCII only these two have ASCII in their lower case: K (Kelvin) is k, \u0130 is i and a dot above.
  const odd = /[\u0130\u212a]/;
  return (text) => search.test(text) || (odd.test(text) && foldCase(text).includes(literal));
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/**
 * Whole-text match, iterative: after a `*` only its last one is ever tried again, so time is at most text x pattern and nothing recurses.
 * `?` takes a surrogate pair as one character. With `fold`, ASCII capitals of the text count as small.
 */
function matchGlob(text: string, pattern: Int32Array, fold: boolean): boolean {
  let t = 0;
  let p = 0;
  let starAt = -1;
  let retry = 0;
  while (t < text.length) {
    const token = p < pattern.length ? pattern[p] : Number.NaN;
    if (token === many) {
      starAt = p++;
      retry = t;
      continue;
    }
    let code = text.charCodeAt(t);
    if (fold && code >= 65 && code <= 90) code |= 32;
    if (token === code) {
      t++;
      p++;
    } else if (token === one) {
      t += widthAt(text, t);
      p++;
    } else if (starAt >= 0) {
      retry += widthAt(text, retry);
      t = retry;
      p = starAt + 1;
    } else return false;
  }
  while (p < pattern.length && pattern[p] === many) p++;
  return p === pattern.length;
}

function widthAt(text: string, at: number): 1 | 2 {
  const high = text.charCodeAt(at);
  if (high < 0xd800 || high > 0xdbff || at + 1 >= text.length) return 1;
  const low = text.charCodeAt(at + 1);
  return low >= 0xdc00 && low <= 0xdfff ? 2 : 1;
}
