/** A power of two. */
const entries = 256;
/** Longer texts are hardly ever the same again. */
const maxChars = 64;

/**
 * Texts made of ASCII bytes. What rules compare (methods, event names, paths) is the same few texts over and over: one that was made before
 * is given again, after a comparison that makes nothing. Only a cache.
 */
export class TextCache {
  private readonly texts: string[] = new Array(entries).fill('');

  of(bytes: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return '';
    if (length > maxChars) return bytes.toString('latin1', start, end);
    const entry = (length * 7 + bytes[start] * 31 + bytes[start + (length >> 1)] * 5 + bytes[end - 1]) & (entries - 1);
    const text = this.texts[entry];
    if (text.length === length && isText(text, bytes, start)) return text;
    const made = bytes.toString('latin1', start, end);
    this.texts[entry] = made;
    return made;
  }
}

function isText(text: string, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
