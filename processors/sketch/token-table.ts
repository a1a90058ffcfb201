/**
 * Small open-addressed tables of tokens inside a block of the slab: 2^k cells of `stride` words, the first of which is the token, 0 where
 * the cell is empty. A token's low bits are a keyed hash already and serve as its home. Up to 8 cells are filled to the last, larger
 * tables to seven eighths.
 */

/** Most tokens a table of `cells` cells may hold. */
export function fullAt(cells: number): number {
  return cells <= 8 ? cells : cells - (cells >> 3);
}

/** log2 of the cells that `count` tokens need. */
export function cellsLog2For(count: number): number {
  let log2 = 0;
  while (fullAt(1 << log2) < count) log2++;
  return log2;
}

/** Index of the token's cell, or of the empty cell where it belongs, or -1 if the table is full and does not hold it. */
export function probe(words: Uint32Array, base: number, cells: number, stride: number, token: number): number {
  const mask = cells - 1;
  let cell = token & mask;
  for (let tried = 0; tried < cells; tried++) {
    const held = words[base + cell * stride];
    if (held === token || held === 0) return base + cell * stride;
    cell = (cell + 1) & mask;
  }
  return -1;
}
