/**
 * A token is what the exact phase keeps of a 64-bit hash: its 26 low bits, and above them the rank (1 … 39) of the other 38, that is 1 +
 * the number of their trailing zeros (Ertl, hash4j and ExaLogLog, 2024). It gives the HyperLogLog register and rank for every precision
 * up to 26, so a set of tokens becomes the same sketch as the hashes would have made. Never 0. Two of 256 values share a token with a
 * chance of 1.6e-4.
 *
 * Registers are those of Postgres-hll and Redis: number = hash & (m - 1), rank = 1 + trailing zeros of hash >>> p, at most 65 - p.
 */
const lowBits = 26;
const lowMask = 2 ** lowBits - 1;

/** Rank of the 38 high bits when all of them are 0. */
const maxHighRank = 39;

export function tokenOf(hashLow: number, hashHigh: number): number {
  const middle = hashLow >>> lowBits;
  let rank: number;
  if (middle !== 0) rank = 32 - Math.clz32(middle & -middle);
  else if (hashHigh !== 0) rank = 6 + 32 - Math.clz32(hashHigh & -hashHigh);
  else rank = maxHighRank;
  return ((hashLow & lowMask) | (rank << lowBits)) >>> 0;
}

/** Rank of a token in a sketch of 2^precision registers. Its register is `token & (2^precision - 1)`. */
export function rankOf(token: number, precision: number): number {
  const rest = (token & lowMask) >>> precision;
  return rest !== 0 ? 32 - Math.clz32(rest & -rest) : lowBits - precision + (token >>> lowBits);
}
