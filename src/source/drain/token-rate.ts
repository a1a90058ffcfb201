/** How many bytes a second each sender may bring: a token bucket per sender, in bytes. */
export class TokenRate {
  private readonly levels = new Map<string, { bytes: number; atMs: number }>();
  private readonly bytesPerSecond: number;
  private readonly burstBytes: number;
  private readonly maxSenders: number;

  constructor(bytesPerSecond: number, burstBytes: number, maxSenders = 10_000) {
    this.bytesPerSecond = bytesPerSecond;
    this.burstBytes = burstBytes;
    this.maxSenders = maxSenders;
  }

  /** How long the sender has to wait before these bytes may pass; they count as taken, unless the wait is over `maxWaitMs`. */
  take(sender: string, bytes: number, maxWaitMs: number, nowMs: number): { readonly taken: boolean; readonly waitMs: number } {
    const before = this.levels.get(sender) ?? { bytes: this.burstBytes, atMs: nowMs };
    const refilled = before.bytes + (Math.max(0, nowMs - before.atMs) / 1000) * this.bytesPerSecond;
    const level = Math.min(this.burstBytes, refilled);
    const waitMs = level >= 0 ? 0 : (-level / this.bytesPerSecond) * 1000;
    const taken = waitMs <= maxWaitMs;
    this.levels.delete(sender);
    this.levels.set(sender, { bytes: taken ? level - bytes : level, atMs: nowMs });
    if (this.levels.size > this.maxSenders) this.levels.delete(this.levels.keys().next().value as string);
    return { taken, waitMs };
  }
}

/** Tokens that may be at their rate at once with one password, or from one address: more than an app's drain has, far fewer than can be made up. */
const tokensAtOnce = 100;

/**
 * What the senders of a drain may bring: each token its rate, and whoever brings tokens a hundred times that over all of them. A token is what
 * the sender says, so without the second a new one with each request would pass any rate.
 */
export class DrainRate {
  private readonly tokens: TokenRate;
  private readonly owners: TokenRate;

  constructor({ bytesPerSecond, burstBytes }: { readonly bytesPerSecond: number; readonly burstBytes: number }) {
    this.tokens = new TokenRate(bytesPerSecond, burstBytes);
    this.owners = new TokenRate(tokensAtOnce * bytesPerSecond, tokensAtOnce * burstBytes);
  }

  /** As `TokenRate.take`. `owner`: who is known to send; `token`: which of its apps, as it says itself. */
  take(owner: string, token: string, bytes: number, maxWaitMs: number, nowMs: number): ReturnType<TokenRate['take']> {
    const own = this.tokens.take(`${owner} ${token}`, bytes, maxWaitMs, nowMs);
    if (!own.taken) return own;
    const all = this.owners.take(owner, bytes, maxWaitMs, nowMs);
    return { taken: all.taken, waitMs: Math.max(own.waitMs, all.waitMs) };
  }
}
