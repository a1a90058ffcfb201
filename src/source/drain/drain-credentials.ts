/** Basic auth of a drain. Several `user:password` pairs are valid at once, so that a password can be changed without a gap. */
import { timingSafeEqual } from 'node:crypto';

const lengthBytes = 4;

/** The pairs that are valid now; asked at every request. Another list is another array. */
export type CredentialsProvider = () => readonly string[];

export class Credentials {
  private readonly provider: CredentialsProvider;
  private pairs: readonly string[] | undefined;
  /** Their bytes, in cells of the same size: a length, the bytes, and zeros. */
  private cells: readonly Buffer[] = [];
  private given = Buffer.alloc(0);

  /** Pairs, each `user:password`, or where to ask for them; none means that everybody may send. */
  constructor(pairs: readonly string[] | CredentialsProvider) {
    this.provider = typeof pairs === 'function' ? pairs : () => pairs;
  }

  get open(): boolean {
    return this.current().length === 0;
  }

  /** Whether an `Authorization` header carries one of the pairs. The time taken tells nothing about any of them. */
  allow(authorization: string | undefined): boolean {
    const cells = this.current();
    if (cells.length === 0) return true;
    intoCell(pairOf(authorization), this.given);
    let allowed = false;
    for (const cell of cells) allowed = timingSafeEqual(cell, this.given) || allowed;
    return allowed;
  }

  private current(): readonly Buffer[] {
    const pairs = this.provider();
    if (pairs !== this.pairs) {
      const longest = Math.max(...pairs.map((pair) => Buffer.byteLength(pair)), 0);
      this.given = Buffer.alloc(lengthBytes + longest);
      this.cells = pairs.map((pair) => intoCell(pair, Buffer.alloc(this.given.length)));
      this.pairs = pairs;
    }
    return this.cells;
  }
}

/** The user of an `Authorization` header that was allowed: one name, in whichever of many ways the header is written. */
export function userOf(authorization: string | undefined): string {
  return pairOf(authorization).split(':', 1)[0];
}

function pairOf(authorization: string | undefined): string {
  const [scheme, value] = (authorization ?? '').split(' ', 2);
  return scheme.toLowerCase() === 'basic' ? Buffer.from(value ?? '', 'base64').toString() : '';
}

/** As many bytes, whatever was given: `timingSafeEqual` needs that. What does not fit is known by its length. */
function intoCell(text: string, cell: Buffer): Buffer {
  cell.fill(0);
  cell.writeUInt32LE(Buffer.byteLength(text), 0);
  cell.write(text, lengthBytes);
  return cell;
}
