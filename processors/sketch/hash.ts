/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson & Bernstein, 2012), keyed, on two 32-bit lanes. Keyed because an attacker picks the
 * values we count, and with a known hash a HyperLogLog can be made as small as he likes (Paterson & Raynal, 2021).
 */

const encoder = new TextEncoder();
let scratch = new Uint8Array(4096);

/** Hashes `bytes[start..end)`. `key` holds the two halves of the 8-byte key, `out[0]` gets the low half, `out[1]` the high one. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, key: Uint32Array, out: Uint32Array): void {
  let v0 = key[0] | 0;
  let v1 = (key[1] ^ 0xee) | 0;
  let v2 = (0x6c796765 ^ key[0]) | 0;
  let v3 = (0x74656462 ^ key[1]) | 0;
  const length = end - start;
  const whole = end - (length & 3);
  let at = start;
  // The 2 rounds are written out in the loop, the 4+4 of the end in a second one: a function per round would need the lanes in memory.
  for (;;) {
    let word: number;
    const last = at >= whole;
    if (last) {
      word = length << 24;
      if (end > at) word |= bytes[at];
      if (end > at + 1) word |= bytes[at + 1] << 8;
      if (end > at + 2) word |= bytes[at + 2] << 16;
    } else {
      word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      at += 4;
    }
    v3 ^= word;
    for (let round = 0; round < 2; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
    if (last) break;
  }
  v2 ^= 0xee;
  for (let round = 0; round < 8; round++) {
    if (round === 4) {
      out[0] = v1 ^ v3;
      v1 ^= 0xdd;
    }
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  out[1] = v1 ^ v3;
}

/** Hashes the UTF-8 form of a text: the same as `hashBytes` of its bytes. */
export function hashText(text: string, key: Uint32Array, out: Uint32Array): void {
  const length = text.length;
  if (length * 3 > scratch.length) scratch = new Uint8Array(length * 3);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) {
      hashBytes(scratch, 0, encoder.encodeInto(text, scratch).written, key, out);
      return;
    }
    scratch[i] = code;
  }
  hashBytes(scratch, 0, length, key, out);
}

/** The two halves of an 8-byte key. Throws a RangeError for any other length. */
export function hashKeyOf(bytes: Uint8Array): Uint32Array {
  if (bytes.length !== 8) throw new RangeError(`a hash key has 8 bytes, this one has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  return new Uint32Array([view.getUint32(0, true), view.getUint32(4, true)]);
}

/** Used where the config names no key: public, so an attacker can steer the sketches; `doctor` says so. */
export const publishedHashKey: Uint8Array = new Uint8Array([0x73, 0x74, 0x72, 0x65, 0x61, 0x6d, 0x67, 0x61]);
