/** Basic auth of a drain. Several `user:password` pairs are valid at once, so that a password can be changed without a gap. */
import { hash, timingSafeEqual } from 'node:crypto';

/** The pairs that are valid now; asked at every request. Another list is another array. */
export type CredentialsProvider = () => readonly string[];

export class Credentials {
  private readonly provider: CredentialsProvider;
  private pairs: readonly string[] | undefined;
  private digests: readonly Buffer[] = [];

  /** Pairs, each `user:password`, or where to ask for them; none means that everybody may send. */
  constructor(pairs: readonly string[] | CredentialsProvider) {
    this.provider = typeof pairs === 'function' ? pairs : () => pairs;
  }

  get open(): boolean {
    return this.current().length === 0;
  }

  /**
   * Whether an `Authorization` header carries one of the pairs. The time taken tells nothing about any of them. What a connection was let in
   * with is not remembered to save the hash: behind a proxy many senders share one.
   */
  allow(authorization: string | undefined): boolean {
    const digests = this.current();
    if (digests.length === 0) return true;
    const given = digest(pairOf(authorization));
    let allowed = false;
    for (const each of digests) allowed = timingSafeEqual(each, given) || allowed;
    return allowed;
  }

  private current(): readonly Buffer[] {
    const pairs = this.provider();
    if (pairs !== this.pairs) {
      this.digests = pairs.map(digest);
      this.pairs = pairs;
    }
    return this.digests;
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

/** Equal lengths, whatever was given: `timingSafeEqual` needs them. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
