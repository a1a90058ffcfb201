/**
 * How often each of very many keys came, roughly and never too low: a count-min sketch (Cormode & Muthukrishnan, 2005) of four rows with
 * conservative update (Estan & Varghese, 2002). It covers two generations, the present one and the one before, so old counts fade; a cell
 * is one byte and stops at 255, which is more than a decision about a newcomer needs.
 */
import { SnapshotError, type SnapshotReader, type SnapshotWriter } from '../snapshot.ts';

const rows = 4;
/** Where a generation stops counting a key. */
export const cellLimit = 255;

export class CountMin {
  /** Cells in a row. */
  readonly width: number;
  /** The present generation; older ones than the one before it are forgotten. */
  generation: number;
  private readonly mask: number;
  private present: Uint8Array;
  private before: Uint8Array;

  /** @param width a power of two. Throws a RangeError for anything else. */
  constructor(width: number, generation: number) {
    if (!(width >= 2 && width <= 2 ** 24 && (width & (width - 1)) === 0)) {
      throw new RangeError(`a count-min sketch has a width of ${width}, expected a power of two from 2 to 2^24`);
    }
    this.width = width;
    this.mask = width - 1;
    this.generation = generation;
    this.present = new Uint8Array(rows * width);
    this.before = new Uint8Array(rows * width);
  }

  /** Bytes that a sketch of this width holds. */
  static bytesFor(width: number): number {
    return 2 * rows * width;
  }

  bytes(): number {
    return CountMin.bytesFor(this.width);
  }

  /** Moves on to a generation; an older one than the present changes nothing. */
  advance(generation: number): void {
    if (generation <= this.generation) return;
    const passed = this.before;
    this.before = this.present;
    this.present = passed.fill(0);
    if (generation > this.generation + 1) this.before.fill(0);
    this.generation = generation;
  }

  /** Counts a key (the two halves of its hash) and returns its estimate, this one included. */
  add(low: number, high: number): number {
    const count = this.lowest(this.present, low, high);
    if (count < cellLimit) this.raise(low, high, count + 1);
    return Math.min(cellLimit, count + 1) + this.lowest(this.before, low, high);
  }

  /** How often the key came in two generations: never too low, as long as it came at most 255 times in each. */
  estimate(low: number, high: number): number {
    return this.lowest(this.present, low, high) + this.lowest(this.before, low, high);
  }

  /** Says that the key came at least this often in the present generation. */
  raise(low: number, high: number, count: number): void {
    const { present, mask, width } = this;
    const to = Math.min(count, cellLimit);
    for (let row = 0, column = low; row < rows; row++, column = (column + high) | 0) {
      const at = row * width + (column & mask);
      if (present[at] < to) present[at] = to;
    }
  }

  snapshot(out: SnapshotWriter): void {
    out.section('count-min');
    out.u32(this.width);
    out.f64(this.generation);
    out.array(this.present);
    out.array(this.before);
  }

  /** Throws `SnapshotError` if what it reads is none. */
  static restore(from: SnapshotReader): CountMin {
    from.section('count-min');
    const width = from.u32();
    const sketch = new CountMin(width, from.f64());
    sketch.present = from.u8s();
    sketch.before = from.u8s();
    if (sketch.present.length !== rows * width || sketch.before.length !== rows * width) {
      throw new SnapshotError(`a count-min sketch of width ${width} has ${sketch.present.length} cells, expected ${rows * width}`);
    }
    return sketch;
  }

  /** The rows are hashed by steps of `high` from `low` (Kirsch & Mitzenmacher, 2006): the key's hash is keyed and well mixed already. */
  private lowest(cells: Uint8Array, low: number, high: number): number {
    const { mask, width } = this;
    let lowest = cellLimit;
    for (let row = 0, column = low; row < rows; row++, column = (column + high) | 0) {
      const cell = cells[row * width + (column & mask)];
      if (cell < lowest) lowest = cell;
    }
    return lowest;
  }
}
