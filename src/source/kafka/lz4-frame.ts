/**
 * Reading LZ4 frames (LZ4 Frame Format 1.6.4, LZ4 Block Format; Yann Collet), for Kafka's lz4 batches. Checksums are left to Kafka's own
 * CRC over the batch; dictionaries are not read, Kafka never writes them.
 */

const frameMagic = 0x184d2204;
const skippableMagic = 0x184d2a50;

/** The frames' bytes, one after the other. Throws a RangeError that says where, if they are cut off, not LZ4, or above `maxBytes`. */
export function readLz4Frames(input: Uint8Array, maxBytes: number): Buffer {
  const out = new Output(maxBytes);
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let at = 0; at < input.length; ) at = readFrame(input, view, at, out);
  return out.bytes();
}

function readFrame(input: Uint8Array, view: DataView, start: number, out: Output): number {
  if (start + 7 > input.length) throw cutOff(start);
  const magic = view.getUint32(start, true);
  if ((magic & 0xfffffff0) >>> 0 === skippableMagic) return start + 8 + view.getUint32(start + 4, true);
  if (magic !== frameMagic) throw new RangeError(`lz4: expected a frame at byte ${start}, found 0x${magic.toString(16)}`);
  const flags = input[start + 4];
  if (flags >> 6 !== 1) throw new RangeError(`lz4: expected frame version 1 at byte ${start}, found ${flags >> 6}`);
  if ((flags & 0x01) !== 0) throw new RangeError(`lz4: a frame with a dictionary at byte ${start} cannot be read`);
  const hasBlockChecksums = (flags & 0x10) !== 0;
  // Magic, flags, block descriptor, perhaps the content's size, the header's checksum.
  let at = start + 6 + ((flags & 0x08) !== 0 ? 8 : 0) + 1;
  for (;;) {
    if (at + 4 > input.length) throw cutOff(at);
    const word = view.getUint32(at, true);
    at += 4;
    if (word === 0) return at + ((flags & 0x04) !== 0 ? 4 : 0);
    const end = at + (word & 0x7fffffff);
    if (end > input.length) throw cutOff(at);
    if (word >>> 31 === 1) out.copyIn(input, at, end);
    else readBlock(input, at, end, out);
    at = end + (hasBlockChecksums ? 4 : 0);
  }
}

function readBlock(input: Uint8Array, start: number, end: number, out: Output): void {
  for (let at = start; at < end; ) {
    const token = input[at++];
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw cutOff(at);
        more = input[at++];
        literals += more;
      }
    }
    if (at + literals > end) throw cutOff(at);
    out.copyIn(input, at, at + literals);
    at += literals;
    // The last sequence of a block has literals only.
    if (at === end) return;
    if (at + 2 > end) throw cutOff(at);
    const distance = input[at] | (input[at + 1] << 8);
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let more = 255;
      while (more === 255) {
        if (at >= end) throw cutOff(at);
        more = input[at++];
        length += more;
      }
    }
    out.repeat(distance, length, at);
  }
}

function cutOff(at: number): RangeError {
  return new RangeError(`lz4: cut off at byte ${at}`);
}

/** Grows by doubling; a block may look back into the blocks before it, so it is one piece. */
class Output {
  #bytes = Buffer.allocUnsafe(64 * 1024);
  #length = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  copyIn(from: Uint8Array, start: number, end: number): void {
    this.#room(end - start);
    this.#bytes.set(from.subarray(start, end), this.#length);
    this.#length += end - start;
  }

  /** The match may overlap what it writes: a run. */
  repeat(distance: number, length: number, at: number): void {
    if (distance === 0 || distance > this.#length) throw new RangeError(`lz4: a match before the beginning at byte ${at}`);
    this.#room(length);
    const bytes = this.#bytes;
    let to = this.#length;
    if (distance >= length) bytes.copyWithin(to, to - distance, to - distance + length);
    else for (let from = to - distance, left = length; left > 0; left--) bytes[to++] = bytes[from++];
    this.#length += length;
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    if (needed > this.#maxBytes) throw new RangeError(`lz4: expected at most ${this.#maxBytes} bytes, found more`);
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.length * 2)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
