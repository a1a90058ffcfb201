import type { FieldNames } from './field-table.ts';
import type { RowWriter } from './row-writer.ts';
import { skipBlanks } from './text-of.ts';

/** Whether a text is logfmt: it begins with `key=`, and what follows that pair, if anything, is another one. */
export function isLogfmt(text: string): boolean {
  const first = valueStart(text, skipBlanks(text, 0));
  if (first < 0) return false;
  const next = skipBlanks(text, valueEnd(text, first));
  return next >= text.length || valueStart(text, next) >= 0;
}

/**
 * Puts every pair of a logfmt text. `key=` is an absent value, `key=""` an empty one; in quotes `\"`, `\\`, `\n`, `\t` and `\r` are
 * escapes; words without `=` are skipped. Of a key that comes twice the last value counts.
 */
export function fillLogfmt(text: string, row: RowWriter): void {
  row.untyped = true;
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const start = valueStart(text, at);
    if (start < 0) {
      at = skipBlanks(text, wordEnd(text, at));
      continue;
    }
    const end = valueEnd(text, start);
    const quoted = text.charCodeAt(start) === 34;
    if (quoted || end > start) row.text(text.slice(at, start - 1), quoted ? unquoted(text, start, end) : text.slice(start, end));
    at = skipBlanks(text, end);
  }
  row.untyped = false;
}

/**
 * The same for a sender that does not escape (Heroku's router, whose paths may hold raw blanks, quotes and backslashes): a quote closes
 * where the text ends or another pair follows.
 */
export function fillRawLogfmt(text: string, row: RowWriter, names: FieldNames): void {
  row.untyped = true;
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const start = valueStart(text, at);
    if (start < 0) {
      at = skipBlanks(text, wordEnd(text, at));
      continue;
    }
    let end = wordEnd(text, start);
    if (text.charCodeAt(start) === 34) {
      let quote = text.indexOf('"', start + 1);
      while (quote >= 0 && !endsValue(text, quote + 1)) quote = text.indexOf('"', quote + 1);
      end = quote < 0 ? text.length : quote;
      row.text(text.slice(at, start - 1), text.slice(start + 1, end), names);
      end++;
    } else if (end > start) row.text(text.slice(at, start - 1), text.slice(start, end), names);
    at = skipBlanks(text, end);
  }
  row.untyped = false;
}

function endsValue(text: string, at: number): boolean {
  const next = skipBlanks(text, at);
  return next >= text.length || (next > at && valueStart(text, next) >= 0);
}

/** The index after the `=` of the pair at `at`; -1 if no pair begins there. */
function valueStart(text: string, at: number): number {
  let to = at;
  for (; to < text.length; to++) {
    const code = text.charCodeAt(to);
    if (code === 61) return to > at ? to + 1 : -1;
    if (!isKeyCharacter(code)) return -1;
  }
  return -1;
}

/** Letters, digits and `_ - . @ # / %`, as loggers and Heroku's `sample#name` use them. */
function isKeyCharacter(code: number): boolean {
  const lower = code | 32;
  return (
    (lower >= 97 && lower <= 122) || (code >= 45 && code <= 57) || code === 95 || code === 64 || code === 35 || code === 37 || code > 127
  );
}

function valueEnd(text: string, start: number): number {
  if (text.charCodeAt(start) !== 34) return wordEnd(text, start);
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) return at + 1;
  }
  return text.length;
}

function wordEnd(text: string, at: number): number {
  let to = at;
  while (to < text.length && text.charCodeAt(to) > 32) to++;
  return to;
}

/** The text between the quotes at `start` and before `end`; a missing last quote is forgiven (a line cut short). */
function unquoted(text: string, start: number, end: number): string {
  const closed = isClosed(text, start, end);
  const raw = text.slice(start + 1, closed ? end - 1 : end);
  return raw.includes('\\') ? unescaped(raw) : raw;
}

/** Whether the quote before `end` closes: it does if an even number of backslashes stands before it. */
function isClosed(text: string, start: number, end: number): boolean {
  if (end - start < 2 || text.charCodeAt(end - 1) !== 34) return false;
  let backslashes = 0;
  for (let at = end - 2; at > start && text.charCodeAt(at) === 92; at--) backslashes++;
  return backslashes % 2 === 0;
}

function unescaped(raw: string): string {
  let text = '';
  let from = 0;
  for (let at = raw.indexOf('\\'); at >= 0 && at + 1 < raw.length; at = raw.indexOf('\\', at + 2)) {
    const next = raw[at + 1];
    const plain = next === 'n' ? '\n' : next === 't' ? '\t' : next === 'r' ? '\r' : next === '"' || next === '\\' ? next : undefined;
    if (plain === undefined) continue;
    text += raw.slice(from, at) + plain;
    from = at + 2;
  }
  return text + raw.slice(from);
}
