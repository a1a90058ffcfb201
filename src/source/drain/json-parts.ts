const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openBracket = 0x5b;
const openBrace = 0x7b;

/**
 * Whether a JSON text has more than so many values: what `JSON.parse` makes of it is bounded by their number, not by the bytes. Counts what
 * begins a list or an object, and what comes before each next value in one, outside of strings. One look at each byte, and nothing is made.
 */
export function hasMoreParts(text: Uint8Array, maxParts: number): boolean {
  if (text.length <= maxParts) return false;
  let parts = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (inString) {
      if (byte === backslash) i++;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === comma || byte === openBrace || byte === openBracket) {
      if (++parts > maxParts) return true;
    }
  }
  return false;
}
