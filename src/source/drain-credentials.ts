/** Basic auth of a drain. Several `user:password` pairs are valid at once, so that a password can be changed without a gap. */
import { createHash, timingSafeEqual } from 'node:crypto';

export class Credentials {
  private readonly digests: readonly Buffer[];

  /** `pairs`: each `user:password`; none means that everybody may send. */
  constructor(pairs: readonly string[]) {
    this.digests = pairs.map(digest);
  }

  get open(): boolean {
    return this.digests.length === 0;
  }

  /** Whether an `Authorization` header carries one of the pairs. The time taken tells nothing about any of them. */
  allow(authorization: string | undefined): boolean {
    if (this.open) return true;
    const [scheme, value] = (authorization ?? '').split(' ', 2);
    const given = digest(scheme.toLowerCase() === 'basic' ? Buffer.from(value ?? '', 'base64').toString() : '');
    let allowed = false;
    for (const each of this.digests) allowed = timingSafeEqual(each, given) || allowed;
    return allowed;
  }
}

/** Equal lengths, whatever was given: `timingSafeEqual` needs them. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
