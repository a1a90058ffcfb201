/**
 * A body of JSON -> the byte ranges of its records: the elements of one array, or values one after the other (one object, NDJSON, a stream
 * of objects without anything between). Nothing is parsed here: what a decoder cannot read ends in the dead letter on its own, and the
 * bytes of a record stay the sender's.
 */

export interface JsonPiece {
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
}

const tab = 0x09;
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * The records of a JSON body, at most `maxPieces` (the last is then all the rest). Never throws; linear in the bytes. A value that is
 * never closed ends with its line, and from there on each line is a record: a broken line does not take the good ones after it along.
 */
export function splitJson(body: Uint8Array, maxPieces: number): JsonPiece[] {
  const pieces: JsonPiece[] = [];
  let at = afterSpace(body, afterMark(body));
  if (body[at] === openBracket) {
    at = splitArray(body, at + 1, maxPieces, pieces);
    if (at < 0) return pieces;
  }
  for (at = afterSpace(body, at); at < body.length; at = afterSpace(body, at)) {
    if (pieces.length === maxPieces - 1) return rest(body, at, pieces);
    const end = valueEnd(body, at);
    if (end < 0) return splitLines(body, at, maxPieces, pieces);
    pieces.push({ start: at, end });
    at = end;
  }
  return pieces;
}

/** NDJSON: each line that is not blank is a record, whatever is in it, from its first byte that is not blank. */
export function splitLines(body: Uint8Array, from: number, maxPieces: number, pieces: JsonPiece[] = []): JsonPiece[] {
  // Blank lines are stepped over together: each byte is looked at twice at most, however many of them are newlines.
  for (let at = afterSpace(body, from); at < body.length; at = afterSpace(body, at)) {
    if (pieces.length === maxPieces - 1) return rest(body, at, pieces);
    const lineEnd = body.indexOf(newline, at);
    const end = lineEnd < 0 ? body.length : lineEnd;
    pieces.push({ start: at, end });
    at = end;
  }
  return pieces;
}

/** Returns where the array ended, or -1 if all the body has been given out. */
function splitArray(body: Uint8Array, from: number, maxPieces: number, pieces: JsonPiece[]): number {
  for (let at = afterSpace(body, from); at < body.length; at = afterSpace(body, at)) {
    if (body[at] === closeBracket) return at + 1;
    if (body[at] === comma) {
      at++;
      continue;
    }
    const end = pieces.length === maxPieces - 1 ? -1 : valueEnd(body, at);
    if (end < 0) {
      rest(body, at, pieces);
      return -1;
    }
    pieces.push({ start: at, end });
    at = end;
  }
  return -1;
}

function rest(body: Uint8Array, at: number, pieces: JsonPiece[]): JsonPiece[] {
  if (afterSpace(body, at) < body.length) pieces.push({ start: at, end: body.length });
  return pieces;
}

/** One past the value that starts at `at`; -1 if it is never closed. At least one byte. */
function valueEnd(body: Uint8Array, at: number): number {
  let depth = 0;
  for (let i = at; i < body.length; i++) {
    switch (body[i]) {
      case quote:
        i = stringEnd(body, i);
        if (i < 0) return -1;
        if (depth === 0) return i + 1;
        break;
      case openBrace:
      case openBracket:
        if (depth === 0 && i > at) return i;
        depth++;
        break;
      case closeBrace:
      case closeBracket:
        if (depth === 0) return i > at ? i : i + 1;
        if (--depth === 0) return i + 1;
        break;
      case comma:
      case space:
      case tab:
      case newline:
      case carriageReturn:
        if (depth === 0) return i > at ? i : i + 1;
    }
  }
  return depth === 0 ? body.length : -1;
}

/** The closing quote of the string that opens at `at`; -1 if a line ends first: no JSON string holds a bare newline. */
function stringEnd(body: Uint8Array, at: number): number {
  for (let i = at + 1; i < body.length; i++) {
    if (body[i] === quote) return i;
    if (body[i] === backslash) i++;
    else if (body[i] === newline) return -1;
  }
  return -1;
}

function afterSpace(body: Uint8Array, at: number): number {
  let i = at;
  while (i < body.length && (body[i] === space || body[i] === newline || body[i] === carriageReturn || body[i] === tab)) i++;
  return i;
}

/** Steps over a UTF-8 byte order mark. */
function afterMark(body: Uint8Array): number {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
}
