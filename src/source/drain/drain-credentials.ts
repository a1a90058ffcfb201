/** Basic auth of a drain. Several `user:password` pairs are valid at once, so that a password can be changed without a gap. */
import { hash, timingSafeEqual } from 'node:crypto';

/** The pairs that are valid now; asked at every request. Another list is another array. */
export type CredentialsProvider = () => readonly string[];

export class Credentials {
  private readonly provider: CredentialsProvider;
  private pairs: readonly string[] | undefined;
  private digests: readonly Buffer[] = [];
  /** What a connection was let in with, and the pairs of that time. */
  private readonly letIn = new WeakMap<object, { readonly authorization: string | undefined; readonly digests: readonly Buffer[] }>();

  /** Pairs, each `user:password`, or where to ask for them; none means that everybody may send. */
  constructor(pairs: readonly string[] | CredentialsProvider) {
    this.provider = typeof pairs === 'function' ? pairs : () => pairs;
  }

  get open(): boolean {
    return this.current().length === 0;
  }

  /**
   * Whether an `Authorization` header carries one of the pairs. The time taken tells nothing about any of them. A connection that sends
   * again what it was let in with is not looked at again: what it is compared with is its own.
   */
  allow(authorization: string | undefined, connection?: object): boolean {
    const digests = this.current();
    if (digests.length === 0) return true;
    const before = connection && this.letIn.get(connection);
    if (before !== undefined && before.digests === digests && before.authorization === authorization) return true;
    const [scheme, value] = (authorization ?? '').split(' ', 2);
    const given = digest(scheme.toLowerCase() === 'basic' ? Buffer.from(value ?? '', 'base64').toString() : '');
    let allowed = false;
    for (const each of digests) allowed = timingSafeEqual(each, given) || allowed;
    if (allowed && connection !== undefined) this.letIn.set(connection, { authorization, digests });
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

/** Equal lengths, whatever was given: `timingSafeEqual` needs them. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
