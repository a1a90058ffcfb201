/**
 * Aggregate Knowledge's HyperLogLog storage specification v1 (postgresql-hll, Citus, and what reads them): EMPTY, EXPLICIT, SPARSE and
 * FULL. For interchange only; our own state has the window in it.
 *
 * Byte 0: version 1, type (1 … 4). Byte 1: register width - 1 (3 bits), log2m (5 bits). Byte 2: sparse allowed (bit 6), how many explicit
 * hashes (6 bits: 0 none, 63 as many as take less room than FULL, else 2^(n-1)). Explicit: hashes as signed 64-bit, big-endian,
 * ascending. Sparse and full: bits from the most significant on; (register, value) pairs, or the values of all registers.
 *
 * The register of hash h is h & (m - 1), its value 1 + trailing zeros of h >>> log2m, at most 2^width - 1; and, a quirk of the
 * specification, 0 if h >>> log2m is 0.
 */
export interface PostgresHll {
  readonly log2m: number;
  readonly registerWidth: number;
  /** Byte 2 as it is. */
  readonly cutoffs: number;
  /** The hashes, while few; `registers` is empty then. */
  readonly explicit: Set<bigint> | undefined;
  readonly registers: Uint8Array;
}

export class PostgresHllError extends Error {
  override name = 'PostgresHllError';
}

const Type = { empty: 1, explicit: 2, sparse: 3, full: 4 } as const;

/** log2m 11, register width 5, as many explicit hashes as pay, sparse allowed: the defaults of postgresql-hll. */
export function emptyPostgresHll(log2m = 11, registerWidth = 5, cutoffs = 0x7f): PostgresHll {
  return { log2m, registerWidth, cutoffs, explicit: new Set(), registers: new Uint8Array(2 ** log2m) };
}

/** An export of registers that hold ranks of 64-bit hashes (1 … 65 - log2m), as `pareto-hll` has them under murmur3 with seed 0. */
export function fromRegisters(registers: Uint8Array, registerWidth = 5, cutoffs = 0x7f): PostgresHll {
  const log2m = Math.log2(registers.length);
  const most = 2 ** registerWidth - 1;
  // Rank 65 - log2m only comes of a hash without bits above log2m, for which the specification writes 0.
  const capped = registers.map((rank) => (rank >= 65 - log2m ? 0 : Math.min(rank, most)));
  return { log2m, registerWidth, cutoffs, explicit: undefined, registers: capped };
}

/** Reads a stored sketch. Throws a PostgresHllError that says what is wrong with it. */
export function parsePostgresHll(bytes: Uint8Array): PostgresHll {
  if (bytes.length < 3) throw new PostgresHllError(`${bytes.length} bytes are too few for a sketch: its header alone has 3`);
  const version = bytes[0] >> 4;
  const type = bytes[0] & 15;
  if (version !== 1) throw new PostgresHllError(`the sketch has storage version ${version}, expected 1`);
  const registerWidth = (bytes[1] >> 5) + 1;
  const log2m = bytes[1] & 31;
  const empty = emptyPostgresHll(log2m, registerWidth, bytes[2]);
  const body = bytes.subarray(3);
  switch (type) {
    case Type.empty:
      return empty;
    case Type.explicit:
      return { ...empty, explicit: readExplicit(body) };
    case Type.sparse:
      readSparse(body, empty);
      return { ...empty, explicit: undefined };
    case Type.full:
      readFull(body, empty);
      return { ...empty, explicit: undefined };
    default:
      throw new PostgresHllError(`the sketch has type ${type}, expected 1 (empty), 2 (explicit), 3 (sparse) or 4 (full)`);
  }
}

/** The smallest form that the sketch's own cut-offs allow. */
export function formatPostgresHll(hll: PostgresHll): Uint8Array {
  const explicit = hll.explicit;
  if (explicit?.size === 0) return withHeader(hll, Type.empty, new Uint8Array(0));
  if (explicit !== undefined && explicit.size <= explicitLimit(hll)) return withHeader(hll, Type.explicit, writeExplicit(explicit));
  const registers = registersOf(hll);
  const filled = registers.reduce((count, value) => count + (value > 0 ? 1 : 0), 0);
  const sparseBytes = Math.ceil((filled * (hll.log2m + hll.registerWidth)) / 8);
  if ((hll.cutoffs & 0x40) !== 0 && sparseBytes < fullBytes(hll)) return withHeader(hll, Type.sparse, writeSparse(hll, registers));
  return withHeader(hll, Type.full, writeFull(hll, registers));
}

/** Adds the hash with these two halves. */
export function addHash(hll: PostgresHll, hash: bigint): PostgresHll {
  if (hll.explicit !== undefined && explicitLimit(hll) > 0) {
    const explicit = new Set(hll.explicit).add(BigInt.asIntN(64, hash));
    return promoted({ ...hll, explicit });
  }
  const registers = registersOf(hll);
  raise(hll, registers, hash);
  return { ...hll, explicit: undefined, registers };
}

/** Both sketches' values. Throws a PostgresHllError if their shapes differ. */
export function unionOf(a: PostgresHll, b: PostgresHll): PostgresHll {
  if (a.log2m !== b.log2m || a.registerWidth !== b.registerWidth) {
    throw new PostgresHllError(
      `a sketch of log2m ${b.log2m}, width ${b.registerWidth} does not go with one of ${a.log2m}, ${a.registerWidth}`,
    );
  }
  if (b.explicit?.size === 0) return a;
  if (a.explicit?.size === 0) return { ...b, cutoffs: a.cutoffs };
  if (a.explicit !== undefined && b.explicit !== undefined) return promoted({ ...a, explicit: new Set([...a.explicit, ...b.explicit]) });
  const registers = registersOf(a);
  const others = registersOf(b);
  for (let i = 0; i < registers.length; i++) registers[i] = Math.max(registers[i], others[i]);
  return { ...a, explicit: undefined, registers };
}

/** Its registers, a copy, whatever form it has. */
export function registersOf(hll: PostgresHll): Uint8Array {
  const registers = hll.registers.slice();
  for (const hash of hll.explicit ?? []) raise(hll, registers, hash);
  return registers;
}

function promoted(hll: PostgresHll): PostgresHll {
  if (hll.explicit === undefined || hll.explicit.size <= explicitLimit(hll)) return hll;
  return { ...hll, explicit: undefined, registers: registersOf(hll) };
}

function explicitLimit(hll: PostgresHll): number {
  const code = hll.cutoffs & 63;
  if (code === 0) return 0;
  return code === 63 ? Math.floor(fullBytes(hll) / 8) : 2 ** (code - 1);
}

function fullBytes({ log2m, registerWidth }: PostgresHll): number {
  return Math.ceil((2 ** log2m * registerWidth) / 8);
}

function raise({ log2m, registerWidth }: PostgresHll, registers: Uint8Array, signed: bigint): void {
  const hash = BigInt.asUintN(64, signed);
  const register = Number(hash & BigInt(registers.length - 1));
  let rest = hash >> BigInt(log2m);
  if (rest === 0n) return;
  let value = 1;
  while ((rest & 1n) === 0n) {
    rest >>= 1n;
    value++;
  }
  registers[register] = Math.max(registers[register], Math.min(value, 2 ** registerWidth - 1));
}

function withHeader(hll: PostgresHll, type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(3 + body.length);
  bytes[0] = (1 << 4) | type;
  bytes[1] = ((hll.registerWidth - 1) << 5) | hll.log2m;
  bytes[2] = hll.cutoffs;
  bytes.set(body, 3);
  return bytes;
}

function readExplicit(body: Uint8Array): Set<bigint> {
  if (body.length % 8 !== 0)
    throw new PostgresHllError(`an explicit sketch has ${body.length} bytes after its header, expected a multiple of 8`);
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  return new Set(Array.from({ length: body.length / 8 }, (_, i) => view.getBigInt64(8 * i)));
}

function writeExplicit(hashes: ReadonlySet<bigint>): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * hashes.size));
  const ascending = [...hashes].sort((a, b) => (a < b ? -1 : 1));
  for (let i = 0; i < ascending.length; i++) view.setBigInt64(8 * i, ascending[i]);
  return new Uint8Array(view.buffer);
}

function readSparse(body: Uint8Array, into: PostgresHll): void {
  const width = into.log2m + into.registerWidth;
  const count = Math.floor((body.length * 8) / width);
  for (let i = 0; i < count; i++) {
    const pair = readBits(body, i * width, width);
    const value = pair & (2 ** into.registerWidth - 1);
    into.registers[pair >>> into.registerWidth] = Math.max(into.registers[pair >>> into.registerWidth], value);
  }
}

function writeSparse({ log2m, registerWidth }: PostgresHll, registers: Uint8Array): Uint8Array {
  const width = log2m + registerWidth;
  const pairs: number[] = [];
  registers.forEach((value, register) => {
    if (value > 0) pairs.push(register * 2 ** registerWidth + value);
  });
  const body = new Uint8Array(Math.ceil((pairs.length * width) / 8));
  for (let i = 0; i < pairs.length; i++) writeBits(body, i * width, width, pairs[i]);
  return body;
}

function readFull(body: Uint8Array, into: PostgresHll): void {
  if (body.length !== fullBytes(into)) {
    throw new PostgresHllError(
      `a full sketch has ${body.length} bytes after its header, expected ${fullBytes(into)} for 2^${into.log2m} registers`,
    );
  }
  for (let i = 0; i < into.registers.length; i++) into.registers[i] = readBits(body, i * into.registerWidth, into.registerWidth);
}

function writeFull(hll: PostgresHll, registers: Uint8Array): Uint8Array {
  const body = new Uint8Array(fullBytes(hll));
  for (let i = 0; i < registers.length; i++) writeBits(body, i * hll.registerWidth, hll.registerWidth, registers[i]);
  return body;
}

function readBits(bytes: Uint8Array, from: number, width: number): number {
  let value = 0;
  for (let bit = from; bit < from + width; bit++) value = value * 2 + ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1);
  return value;
}

function writeBits(bytes: Uint8Array, from: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) {
    if (Math.floor(value / 2 ** (width - 1 - i)) & 1) bytes[(from + i) >> 3] |= 1 << (7 - ((from + i) & 7));
  }
}
