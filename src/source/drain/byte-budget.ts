/** What a body waits with when there is no room for it. */
export interface RoomWait {
  /** Bytes it has taken already. */
  readonly heldBytes: number;
  /** Bytes it needs beside them; they are taken for it when there is room. */
  readonly moreBytes: number;
  readonly forMs: number;
  /** Called once, unless the wait is ended first: whether there is room now, or there was none in all that time. */
  readonly settled: (room: boolean) => void;
}

/**
 * Bytes of bodies that may be in memory at once. What does not fit waits for what others give back; whoever needs the least comes first, for
 * it is whole the soonest, and a large body that comes slowly holds up no small one. If all that is taken belongs to those who wait, nobody
 * would give anything back: then the first of them goes on over the limit, one at a time.
 */
export class ByteBudget {
  private readonly maxBytes: number;
  private usedBytes = 0;
  private heldByWaiting = 0;
  private readonly waiting = new Map<RoomWait, NodeJS.Timeout>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get isWaitedFor(): boolean {
    return this.waiting.size > 0;
  }

  /** Counts bytes that have come. False: they are more than may be, and whoever took them has to wait before the next. */
  take(bytes: number): boolean {
    this.usedBytes += bytes;
    return this.usedBytes <= this.maxBytes;
  }

  giveBack(bytes: number): void {
    this.usedBytes -= bytes;
    this.grant();
  }

  wait(wait: RoomWait): void {
    const late = (): void => {
      this.endWait(wait);
      wait.settled(false);
    };
    this.waiting.set(wait, setTimeout(late, wait.forMs));
    this.heldByWaiting += wait.heldBytes;
    this.grant();
  }

  /** Nobody waits any more; nothing happens if that is so already. */
  endWait(wait: RoomWait): void {
    if (!this.waiting.has(wait)) return;
    clearTimeout(this.waiting.get(wait));
    this.waiting.delete(wait);
    this.heldByWaiting -= wait.heldBytes;
  }

  private grant(): void {
    for (let wait = this.least(); wait !== undefined; wait = this.least()) {
      const alone = this.usedBytes === this.heldByWaiting;
      if (this.usedBytes + wait.moreBytes > this.maxBytes && !alone) return;
      this.endWait(wait);
      this.usedBytes += wait.moreBytes;
      wait.settled(true);
    }
  }

  private least(): RoomWait | undefined {
    let least: RoomWait | undefined;
    for (const wait of this.waiting.keys()) if (least === undefined || wait.moreBytes < least.moreBytes) least = wait;
    return least;
  }
}
