/**
 * What a snapshot copied of long arrays, kept for the next one: where an array is as it was, its copy is handed out again, the same object,
 * so that who knows its hash need not hash it again; where it changed, the memory is used again. Looking costs a fifth of copying and
 * hashing. The price is that the copies stay: as much memory as the state itself takes.
 */
export class SnapshotCopies {
  /** By the memory that was copied, then by the place in it; goes with that memory. */
  private readonly bySource = new WeakMap<ArrayBufferLike, Map<number, Uint8Array>>();

  /**
   * A copy of these bytes. What an earlier snapshot was handed out for the same place is no longer valid if it is another object. Arrays of
   * one snapshot may begin at the same place of the same memory: they hold the same.
   */
  of(bytes: Uint8Array): Uint8Array {
    let copies = this.bySource.get(bytes.buffer);
    if (copies === undefined) {
      copies = new Map();
      this.bySource.set(bytes.buffer, copies);
    }
    const before = copies.get(bytes.byteOffset);
    if (before !== undefined && Buffer.compare(before, bytes) === 0) return before;
    const isLongEnough = before !== undefined && before.buffer.byteLength >= bytes.length;
    // Shared memory is not what V8 counts when it decides to collect garbage: some 100 MB of copies would make it stop for that again and again.
    const copy = new Uint8Array(isLongEnough ? before.buffer : new SharedArrayBuffer(bytes.length), 0, bytes.length);
    copy.set(bytes);
    copies.set(bytes.byteOffset, copy);
    return copy;
  }
}
