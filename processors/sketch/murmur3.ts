/**
 * MurmurHash3 x64 128 (Appleby, public domain) on 32-bit halves. Not keyed: only for sketches that others are to read (Postgres-hll).
 * A 64-bit number is a pair of module variables while it is worked on; nothing is allocated.
 */
let low = 0;
let high = 0;

/** Hashes `bytes`. `out` gets h1 (low, high) and, if it has room for four, h2. `seed` is an unsigned 32-bit integer. */
export function murmur3(bytes: Uint8Array, seed: number, out: Uint32Array): void {
  let h1Low = seed | 0;
  let h1High = 0;
  let h2Low = seed | 0;
  let h2High = 0;
  const blocks = bytes.length >> 4;
  for (let at = 0; at < blocks * 16; at += 16) {
    mixFirst(word(bytes, at), word(bytes, at + 4));
    low ^= h1Low;
    high ^= h1High;
    rotate(27);
    add(h2Low, h2High);
    timesFive(0x52dce729);
    h1Low = low;
    h1High = high;
    mixSecond(word(bytes, at + 8), word(bytes, at + 12));
    low ^= h2Low;
    high ^= h2High;
    rotate(31);
    add(h1Low, h1High);
    timesFive(0x38495ab5);
    h2Low = low;
    h2High = high;
  }
  const tail = new Uint8Array(16);
  tail.set(bytes.subarray(blocks * 16));
  const rest = bytes.length & 15;
  if (rest > 8) {
    mixSecond(word(tail, 8), word(tail, 12));
    h2Low ^= low;
    h2High ^= high;
  }
  if (rest > 0) {
    mixFirst(word(tail, 0), word(tail, 4));
    h1Low ^= low;
    h1High ^= high;
  }
  finish(h1Low ^ bytes.length, h1High, h2Low ^ bytes.length, h2High, out);
}

function finish(h1Low: number, h1High: number, h2Low: number, h2High: number, out: Uint32Array): void {
  set(h1Low, h1High);
  add(h2Low, h2High);
  const sumLow = low;
  const sumHigh = high;
  add(h2Low, h2High);
  finalMix();
  const secondLow = low;
  const secondHigh = high;
  set(sumLow, sumHigh);
  finalMix();
  add(secondLow, secondHigh);
  out[0] = low;
  out[1] = high;
  if (out.length < 4) return;
  add(secondLow, secondHigh);
  out[2] = low;
  out[3] = high;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

function set(toLow: number, toHigh: number): void {
  low = toLow;
  high = toHigh;
}

/** k * c1, rotated by 31, * c2 */
function mixFirst(kLow: number, kHigh: number): void {
  set(kLow, kHigh);
  multiply(0x114253d5, 0x87c37b91);
  rotate(31);
  multiply(0x2745937f, 0x4cf5ad43);
}

/** k * c2, rotated by 33, * c1 */
function mixSecond(kLow: number, kHigh: number): void {
  set(kLow, kHigh);
  multiply(0x2745937f, 0x4cf5ad43);
  rotate(33);
  multiply(0x114253d5, 0x87c37b91);
}

function finalMix(): void {
  low ^= high >>> 1;
  multiply(0xed558ccd, 0xff51afd7);
  low ^= high >>> 1;
  multiply(0x1a85ec53, 0xc4ceb9fe);
  low ^= high >>> 1;
}

function add(otherLow: number, otherHigh: number): void {
  const sum = (low >>> 0) + (otherLow >>> 0);
  high = (high + otherHigh + (sum >= 2 ** 32 ? 1 : 0)) | 0;
  low = sum | 0;
}

function timesFive(plus: number): void {
  multiply(5, 0);
  add(plus, 0);
}

function rotate(by: number): void {
  if (by >= 32) set(high, low);
  const rest = by & 31;
  if (rest === 0) return;
  set((low << rest) | (high >>> (32 - rest)), (high << rest) | (low >>> (32 - rest)));
}

function multiply(byLow: number, byHigh: number): void {
  const a = low & 0xffff;
  const b = low >>> 16;
  const c = byLow & 0xffff;
  const d = byLow >>> 16;
  const bottom = a * c;
  const middle = b * c + (bottom >>> 16);
  const cross = a * d + (middle & 0xffff);
  // The upper half of low * byLow, each step below 2^53.
  const carried = b * d + Math.floor(middle / 65536) + Math.floor(cross / 65536);
  high = (Math.imul(high, byLow) + Math.imul(low, byHigh) + carried) | 0;
  low = (bottom & 0xffff) | (cross << 16);
}
