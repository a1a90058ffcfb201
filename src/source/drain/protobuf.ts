/** The wire format of Protocol Buffers, as much of it as reading needs. */

/** The bytes are no message. */
export class ProtobufError extends Error {
  override name = 'ProtobufError';
}

/** The message and those inside it have more fields than were to be read. */
export class TooManyFieldsError extends ProtobufError {
  override name = 'TooManyFieldsError';
}

/** How many fields may still be read, of a message and all that are inside it. */
interface Allowance {
  readonly maxFields: number;
  left: number;
}

export const Wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Steps through the fields of one message. After `next`, `tag` is field number * 8 + wire type, and one of the readers that fits it, or
 * none of them, may be called. A `ProtobufError` from any of them means that the bytes are no message.
 */
export class ProtobufReader {
  tag = 0;
  private readonly bytes: Buffer;
  private at: number;
  private readonly end: number;
  /** Where the value of the field begins, and one past it. */
  private start = 0;
  // The halves of a varint: a number holds 53 bits only.
  private low = 0;
  private high = 0;
  private readonly allowance: Allowance;

  private constructor(bytes: Buffer, start: number, end: number, allowance: Allowance) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.allowance = allowance;
  }

  /** Reads a whole message, up to so many fields of it and of those inside it; one that is stepped through twice counts twice. */
  static of(bytes: Buffer, maxFields: number): ProtobufReader {
    return new ProtobufReader(bytes, 0, bytes.length, { maxFields, left: maxFields });
  }

  /** The next field; false at the end of the message. */
  next(): boolean {
    if (this.at === this.end) return false;
    if (--this.allowance.left < 0) throw new TooManyFieldsError(`more than ${this.allowance.maxFields} fields`);
    this.readVarint();
    this.tag = this.low;
    if (this.high !== 0 || this.tag >>> 3 === 0) throw new ProtobufError(`no field has the tag at byte ${this.at}`);
    this.start = this.at;
    switch (this.tag & 7) {
      case Wire.varint:
        this.readVarint();
        break;
      case Wire.fixed64:
        this.skip(8);
        break;
      case Wire.fixed32:
        this.skip(4);
        break;
      case Wire.bytes: {
        this.readVarint();
        const length = this.high === 0 ? this.low : Number.POSITIVE_INFINITY;
        this.start = this.at;
        this.skip(length);
        break;
      }
      default:
        throw new ProtobufError(`wire type ${this.tag & 7} before byte ${this.at} is not read here`);
    }
    return true;
  }

  /** A message inside this one. */
  message(): ProtobufReader {
    return new ProtobufReader(this.bytes, this.start, this.at, this.allowance);
  }

  /** UTF-8; what is none becomes U+FFFD. */
  text(): string {
    return this.bytes.toString('utf8', this.start, this.at);
  }

  encoded(encoding: 'hex' | 'base64'): string {
    return this.bytes.toString(encoding, this.start, this.at);
  }

  /** A signed 64-bit integer: a number where it is exact, else its decimal text. */
  integer(): number | string {
    const value = (this.high | 0) * 2 ** 32 + this.low;
    if (Number.isSafeInteger(value)) return value;
    return String(BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low)));
  }

  /** The decimal text of a `fixed64`. */
  fixed64(): string {
    return String(this.bytes.readBigUInt64LE(this.start));
  }

  double(): number {
    return this.bytes.readDoubleLE(this.start);
  }

  private skip(length: number): void {
    if (length > this.end - this.at)
      throw new ProtobufError(`the field at byte ${this.start} has ${this.end - this.at} of ${length} bytes`);
    this.at += length;
  }

  private readVarint(): void {
    this.low = 0;
    this.high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at === this.end) throw new ProtobufError(`a number ends in the middle, at byte ${this.at}`);
      const byte = this.bytes[this.at++];
      if (shift < 28) this.low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        this.low |= (byte & 0x0f) << 28;
        this.high |= (byte & 0x7f) >>> 4;
      } else this.high |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) {
        this.low >>>= 0;
        this.high >>>= 0;
        return;
      }
    }
    throw new ProtobufError(`a number of more than ten bytes at byte ${this.at}`);
  }
}

/** A field of bytes: its tag, its length, the bytes. `field` is at most 15. */
export function protobufBytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([protobufVarint(field, value.length, Wire.bytes), value]);
}

/** A field that is a whole number from 0 to 2^53. `field` is at most 15. */
export function protobufVarint(field: number, value: number, wire: number = Wire.varint): Buffer {
  const bytes = [field * 8 + wire];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  bytes.push(left);
  return Buffer.from(bytes);
}
