/**
 * 32-bit words that pass for random and are the same in every run: sfc32 (Doty-Humphrey, PractRand). A counter through one 32-bit mix would
 * not do where accuracy is measured: it never gives a word twice.
 */
export function randomWords(seed: number): () => number {
  let a = 0x9e3779b9 | 0;
  let b = 0x243f6a88 | 0;
  let c = seed | 0;
  let counter = 1;
  const next = () => {
    const word = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + word;
    c |= 0;
    return word >>> 0;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}

/** Log-normal numbers, mu = ln 50 and sigma = 1: what durations look like (Box & Muller, 1958). */
export function logNormals(seed: number): () => number {
  const word = randomWords(seed);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - word() / 2 ** 32));
    return Math.exp(Math.log(50) + radius * Math.cos((2 * Math.PI * word()) / 2 ** 32));
  };
}
