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
