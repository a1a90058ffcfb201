import { odd } from './json-bytes.ts';

const places = 64;
/** A power of two. */
const entries = 256;
/** Longer keys are looked up every time. */
const maxKeyBytes = 48;

/**
 * The names of one level by their bytes. Records of one sender have the same keys in the same order, so the key that stood at this place
 * last time is compared first, then one that looks like it; only a key that is neither becomes a text and is looked up. Only a cache: it
 * changes no answer, and a sender of ever new keys only makes it useless.
 */
export class KeyCache<Node> {
  /** Of the key last met; undefined where nobody wants it. */
  node: Node | undefined;
  private readonly find: (key: string) => Node | undefined;
  /** The entry of the key that stood at each place. */
  private readonly entryAt = new Uint8Array(places);
  private readonly bytes = new Uint8Array(entries * maxKeyBytes);
  /** 0: the entry is empty. */
  private readonly lengths = new Uint8Array(entries);
  private readonly nodes: (Node | undefined)[] = new Array(entries).fill(undefined);

  /** @param find what a key stands for; undefined where nobody wants it. */
  constructor(find: (key: string) => Node | undefined) {
    this.find = find;
  }

  /**
   * Reads the key of the object's `place`-th value and sets `node`. @param from after the opening quote. Returns the index after the closing
   * one; a key with an escape, or not of ASCII alone, is odd.
   */
  read(place: number, bytes: Buffer, from: number, end: number): number {
    if (place < places) {
      const entry = this.entryAt[place];
      const close = from + this.lengths[entry];
      if (close < end && bytes[close] === 34 && this.holds(entry, bytes, from, close)) {
        this.node = this.nodes[entry];
        return close + 1;
      }
    }
    const close = plainKeyEnd(bytes, from, end);
    return close === odd ? odd : this.meet(place, bytes, from, close);
  }

  private meet(place: number, bytes: Buffer, from: number, close: number): number {
    const length = close - from;
    const cached = length > 0 && length <= maxKeyBytes;
    const entry = cached ? (length * 7 + bytes[from] * 31 + bytes[from + (length >> 1)] * 5 + bytes[close - 1]) & (entries - 1) : 0;
    if (cached && this.lengths[entry] === length && this.holds(entry, bytes, from, close)) this.node = this.nodes[entry];
    else {
      this.node = this.find(bytes.toString('latin1', from, close));
      if (!cached) return close + 1;
      this.bytes.set(bytes.subarray(from, close), entry * maxKeyBytes);
      this.lengths[entry] = length;
      this.nodes[entry] = this.node;
    }
    if (place < places) this.entryAt[place] = entry;
    return close + 1;
  }

  /** Whether the entry's key stands at `from`; there is room for it. An empty entry holds nothing. */
  private holds(entry: number, bytes: Uint8Array, from: number, close: number): boolean {
    let kept = entry * maxKeyBytes;
    for (let at = from; at < close; at++) if (this.bytes[kept++] !== bytes[at]) return false;
    return close > from;
  }
}

/** The index of the closing quote. */
function plainKeyEnd(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (byte === 34) return at;
    if (byte < 32 || byte === 92 || byte > 126) return odd;
  }
  return odd;
}
