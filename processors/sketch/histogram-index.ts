/**
 * Index of the base-2 exponential histogram (OpenTelemetry data model): at scale s, bucket i holds (2^(i / 2^s), 2^((i + 1) / 2^s)].
 * Taken from the bits of the number and a table of 2^(j / 256), so it is the same everywhere: no logarithm is asked for. Bucket i of
 * scale s is bucket i >> 1 of scale s - 1, so one table serves every scale up to 8.
 */
export const finestScale = 8;

const steps = 2 ** finestScale;
const bits = new DataView(new ArrayBuffer(8));
const one = new Float64Array(1);
const oneWords = new Uint32Array(one.buffer);

/** powers[j] = 2^(j / 256), rounded down to an f64: a mantissa is above it exactly if it is above the true value. */
const powers = powersOfTwo();

/** For the 12 leading bits of a mantissa, the least j that a number with these bits can have. */
const guesses = new Uint8Array(4096);
for (let lead = 0, j = 0; lead < guesses.length; lead++) {
  const mantissa = 1 + lead / guesses.length;
  while (j + 1 < steps && powers[j + 1] < mantissa) j++;
  guesses[lead] = j;
}

/** Index at scale 8 of a positive, normal number. At scale s <= 8 it is this >> (8 - s). */
export function finestIndex(x: number): number {
  one[0] = x;
  const high = oneWords[1];
  const exponent = (high >>> 20) - 1023;
  let j = guesses[(high >>> 8) & 4095];
  oneWords[1] = (high & 0xfffff) | 0x3ff00000;
  const mantissa = one[0];
  while (j + 1 < steps && powers[j + 1] < mantissa) j++;
  // 2^e itself is the upper edge of the bucket below.
  return exponent * steps + j - (mantissa === 1 ? 1 : 0);
}

/** Index of a positive, normal number at a scale of at most 8. */
export function histogramIndex(x: number, scale: number): number {
  return finestIndex(x) >> (finestScale - scale);
}

/** 2^(i / 256). */
export function powerAt(finest: number): number {
  const exponent = finest >> finestScale;
  return powers[finest & (steps - 1)] * 2 ** exponent;
}

/** The geometric middle of bucket i at a scale of at most 7; of a bucket at scale 8 the middle of its edges. */
export function bucketMiddle(index: number, scale: number): number {
  const width = 2 ** (finestScale - scale);
  if (width === 1) return (powerAt(index) + powerAt(index + 1)) / 2;
  return powerAt(index * width + width / 2);
}

/** In 150-bit fixed point: 2^(1/256) by eight square roots, its powers by multiplication; good to 2^-140, far past the 53 bits kept. */
function powersOfTwo(): Float64Array {
  const scaleBits = 150n;
  let root = 2n << scaleBits;
  for (let i = 0; i < finestScale; i++) root = squareRoot(root << scaleBits);
  const table = new Float64Array(steps);
  let power = 1n << scaleBits;
  for (let j = 0; j < steps; j++) {
    bits.setBigUint64(0, (0x3ffn << 52n) | ((power >> (scaleBits - 52n)) & ((1n << 52n) - 1n)));
    table[j] = bits.getFloat64(0);
    power = (power * root) >> scaleBits;
  }
  return table;
}

function squareRoot(square: bigint): bigint {
  let root = 1n << BigInt((square.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + square / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
