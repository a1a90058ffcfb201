/** The bytes as text, invalid UTF-8 replaced (U+FFFD), a byte-order mark left out. */
export function textOf(bytes: Uint8Array): string {
  const buffer = bufferOf(bytes);
  return buffer.toString('utf8', buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf ? 3 : 0);
}

export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Without the line break at its end (`\n`, `\r\n`). */
export function withoutLineBreak(text: string): string {
  let end = text.length;
  if (end > 0 && text.charCodeAt(end - 1) === 10) {
    end--;
    if (end > 0 && text.charCodeAt(end - 1) === 13) end--;
  }
  return end === text.length ? text : text.slice(0, end);
}

/** Index of the first character that is no blank; `text.length` if there is none. */
export function skipBlanks(text: string, at: number): number {
  let to = at;
  while (to < text.length && text.charCodeAt(to) <= 32) to++;
  return to;
}

/** An unsigned decimal at `at`, up to the first other character; -1 where there is no digit or more than 15. */
export function integerAt(text: string, at: number): number {
  let value = -1;
  for (let i = at; i < at + 15; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return value;
    value = value < 0 ? digit : value * 10 + digit;
  }
  return -1;
}
