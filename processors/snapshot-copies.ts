/**
 * What a snapshot copied of long arrays, kept for the next one: where an array is as it was, its copy is handed out again, the same object,
 * so that who knows its hash need not hash it again; where it changed, the memory is used again. Looking costs a fifth of copying and
 * hashing. The price is that the copies stay: as much memory as the state itself takes.
 */
export class SnapshotCopies {
  /** By the memory that was copied, then by the place in it; goes with that memory. */
  private readonly bySource = new WeakMap<ArrayBufferLike, Map<number, Uint8Array>>();

  /** A copy of these bytes. What was handed out for the same place before is no longer valid if it is another object. */
  of(bytes: Uint8Array): Uint8Array {
    let copies = this.bySource.get(bytes.buffer);
    if (copies === undefined) {
      copies = new Map();
      this.bySource.set(bytes.buffer, copies);
    }
    const before = copies.get(bytes.byteOffset);
    if (before !== undefined && Buffer.compare(before, bytes) === 0) return before;
    const memory = before !== undefined && before.buffer.byteLength >= bytes.length ? before.buffer : undefined;
    const copy = copyOf(bytes, memory);
    copies.set(bytes.byteOffset, copy);
    return copy;
  }
}

/** A copy in memory of its own, which is not cleared first, or in memory that is there. No Buffer, because a slice of one is no copy. */
export function copyOf(bytes: Uint8Array, memory: ArrayBufferLike = Buffer.allocUnsafeSlow(bytes.length).buffer): Uint8Array {
  const copy = new Uint8Array(memory, 0, bytes.length);
  copy.set(bytes);
  return copy;
}
