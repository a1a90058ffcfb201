/**
 * JSON as bytes (RFC 8259), without making anything of it: where a value ends, and whether it is well formed. Each function takes the index
 * where something begins and returns the index after it, or `odd` for what is not JSON, is too deep, or is cut short: the whole record is
 * then left to `JSON.parse`, whose word is the last one.
 */

export const odd = -1;

/** Blanks between tokens: the index of the first byte that is none. */
export function afterBlanks(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && (bytes[at] === 32 || bytes[at] === 10 || bytes[at] === 13 || bytes[at] === 9)) at++;
  return at;
}

/** @param from after the opening quote. Returns the index after the closing one. */
export function afterString(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end) {
    const byte = bytes[at++];
    if (byte === 34) return at;
    if (byte === 92) {
      at = afterEscape(bytes, at, end);
      if (at === odd) return odd;
    } else if (byte < 32) return odd;
  }
  return odd;
}

/** @param from after the backslash. */
function afterEscape(bytes: Uint8Array, from: number, end: number): number {
  if (from >= end) return odd;
  switch (bytes[from]) {
    case 34: // "
    case 47: // /
    case 92: // \
    case 98: // b
    case 102: // f
    case 110: // n
    case 114: // r
    case 116: // t
      return from + 1;
    case 117: // u
      for (let at = from + 1; at < from + 5; at++) if (at >= end || !isHexDigit(bytes[at])) return odd;
      return from + 5;
    default:
      return odd;
  }
}

function isHexDigit(byte: number): boolean {
  return (byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 102);
}

/** `true`, `false` or `null`. */
export function afterLiteral(bytes: Uint8Array, from: number, end: number): number {
  const first = bytes[from];
  const length = first === 102 ? 5 : 4;
  if (from + length > end) return odd;
  const right =
    first === 116
      ? bytes[from + 1] === 114 && bytes[from + 2] === 117 && bytes[from + 3] === 101
      : first === 102
        ? bytes[from + 1] === 97 && bytes[from + 2] === 108 && bytes[from + 3] === 115 && bytes[from + 4] === 101
        : first === 110 && bytes[from + 1] === 117 && bytes[from + 2] === 108 && bytes[from + 3] === 108;
  return right ? from + length : odd;
}

/** Any value. @param depth how many containers it may still open within each other. */
export function afterValue(bytes: Uint8Array, from: number, end: number, depth: number): number {
  if (from >= end) return odd;
  const byte = bytes[from];
  if (byte === 34) return afterString(bytes, from + 1, end);
  if (byte === 123 || byte === 91) return depth > 0 ? afterContainer(bytes, from, end, depth - 1) : odd;
  if (byte === 45 || (byte >= 48 && byte <= 57)) return afterNumber(bytes, from, end);
  return afterLiteral(bytes, from, end);
}

function afterContainer(bytes: Uint8Array, from: number, end: number, depth: number): number {
  const isObject = bytes[from] === 123;
  const close = isObject ? 125 : 93;
  let at = afterBlanks(bytes, from + 1, end);
  if (at < end && bytes[at] === close) return at + 1;
  for (;;) {
    if (isObject) {
      if (at >= end || bytes[at] !== 34) return odd;
      at = afterString(bytes, at + 1, end);
      if (at === odd) return odd;
      at = afterBlanks(bytes, at, end);
      if (at >= end || bytes[at] !== 58) return odd;
      at = afterBlanks(bytes, at + 1, end);
    }
    at = afterValue(bytes, at, end, depth);
    if (at === odd) return odd;
    at = afterBlanks(bytes, at, end);
    if (at >= end) return odd;
    if (bytes[at] === close) return at + 1;
    if (bytes[at] !== 44) return odd;
    at = afterBlanks(bytes, at + 1, end);
  }
}

export function afterNumber(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  if (bytes[at] === 45) at++;
  const whole = at;
  while (at < end && isDigit(bytes[at])) at++;
  if (at === whole || (bytes[whole] === 48 && at > whole + 1)) return odd;
  if (at < end && bytes[at] === 46) {
    const fraction = ++at;
    while (at < end && isDigit(bytes[at])) at++;
    if (at === fraction) return odd;
  }
  if (at < end && (bytes[at] | 32) === 101) {
    at++;
    if (at < end && (bytes[at] === 43 || bytes[at] === 45)) at++;
    const exponent = at;
    while (at < end && isDigit(bytes[at])) at++;
    if (at === exponent) return odd;
  }
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

const powersOfTen = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/**
 * The value of a well-formed number, the nearest double: up to 15 digits and a point are whole numbers over a power of ten that are both
 * exact, so one division rounds right (Clinger, 1990); anything longer is left to the language.
 */
export function numberOf(bytes: Buffer, from: number, end: number): number {
  const negative = bytes[from] === 45;
  let at = negative ? from + 1 : from;
  let digits = 0;
  let value = 0;
  let fraction = -1;
  for (; at < end; at++) {
    const byte = bytes[at];
    if (byte === 46) fraction = 0;
    else {
      const digit = byte - 48;
      if (digit < 0 || digit > 9 || digits === 15) return Number(bytes.toString('latin1', from, end));
      value = value * 10 + digit;
      if (value > 0) digits++;
      if (fraction >= 0) fraction++;
    }
  }
  if (fraction > 22) return Number(bytes.toString('latin1', from, end));
  if (fraction > 0) value /= powersOfTen[fraction];
  return negative ? -value : value;
}
