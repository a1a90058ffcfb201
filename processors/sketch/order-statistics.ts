/** Puts the number of rank k (0 … count - 1) of the first `count` numbers at index k, none greater before it, none less after it (Hoare, 1961). */
function select(numbers: Float32Array, count: number, k: number): void {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const pivot = numbers[(low + high) >> 1];
    let i = low;
    let j = high;
    while (i <= j) {
      while (numbers[i] < pivot) i++;
      while (numbers[j] > pivot) j--;
      if (i <= j) {
        const held = numbers[i];
        numbers[i++] = numbers[j];
        numbers[j--] = held;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else return;
  }
}

/** The quantile of the first `count` numbers by linear interpolation between the ranks 0 … n - 1; reorders them. NaN if there are none. */
export function exactQuantile(numbers: Float32Array, count: number, q: number): number {
  if (count === 0) return Number.NaN;
  const rank = q * (count - 1);
  const whole = Math.floor(rank);
  select(numbers, count, whole);
  const lower = numbers[whole];
  if (rank === whole) return lower;
  let upper = numbers[whole + 1];
  for (let i = whole + 2; i < count; i++) if (numbers[i] < upper) upper = numbers[i];
  return lower + (upper - lower) * (rank - whole);
}
