/**
 * The first digit that is not 0 of a number, as the number is written: 3 for 0.3, although 0.3 / 0.1 is below 3. No logarithm and no
 * division is asked for. Number('3e-1') is the double nearest to 0.3 and rounding keeps order, so a number begins with 3 or more exactly
 * if it is not below that.
 */
const leastExponent = -308;
const greatestExponent = 308;
/** starts[10 (k + 308) + d] = d 10^k, Infinity where there is none. */
const starts = new Float64Array(10 * (greatestExponent - leastExponent + 1));
for (let exponent = leastExponent; exponent <= greatestExponent; exponent++) {
  for (let digit = 1; digit <= 9; digit++) starts[10 * (exponent - leastExponent) + digit] = Number(`${digit}e${exponent}`);
}

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** 1 … 9; 0 for what has none: 0, numbers below 1e-307, and what is not finite. The sign does not count. */
export function leadingDigit(number: number): number {
  const size = Math.abs(number);
  if (!(size >= 1e-307) || size === Number.POSITIVE_INFINITY) return 0;
  double[0] = size;
  // log10(2) as 1233 / 4096, from the exponent of two: never above the power of ten, and at most one below it.
  let row = 10 * (Math.floor(((words[1] >>> 20) - 1023) * (1233 / 4096)) - leastExponent);
  while (row + 10 < starts.length && starts[row + 11] <= size) row += 10;
  while (starts[row + 1] > size) row -= 10;
  let digit = 1;
  while (digit < 9 && starts[row + digit + 1] <= size) digit++;
  return digit;
}
