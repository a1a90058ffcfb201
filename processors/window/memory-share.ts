/**
 * The memory of all rule groups, and one group's share of it. Four fifths are split evenly and nobody else can have them; a fifth is a
 * pool that is lent to whoever is short. Each group has a claim to an even part of the pool too: while nobody else asks it may have more
 * of it, and when another one asks for its claim, whoever has the most beyond its own gives it back.
 *
 * Lent is what a group holds: a loan that was called back counts until the group's bytes have really fallen.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

const pooledPart = 0.2;
/** The pool is lent and returned in this many parts. */
const loans = 16;

export class MemoryBudget {
  readonly totalBytes: number;
  readonly ownBytes: number;
  readonly loanBytes: number;
  private readonly shares: MemoryShare[] = [];

  /** @param groups how many shares there will be */
  constructor(totalBytes: number, groups: number) {
    this.totalBytes = totalBytes;
    this.ownBytes = (totalBytes * (1 - pooledPart)) / Math.max(1, groups);
    this.loanBytes = (totalBytes * pooledPart) / loans;
  }

  share(): MemoryShare {
    const share = new MemoryShare(this);
    this.shares.push(share);
    return share;
  }

  /** What a group can have at the most, when nobody else is short. */
  get mostBytes(): number {
    return this.ownBytes + loans * this.loanBytes;
  }

  /** Lends one more part of the pool to a share, or calls one back for it. Returns whether it was lent. */
  lend(to: MemoryShare): boolean {
    const taken = this.shares.reduce((sum, share) => sum + share.taken, 0);
    if (taken + 1 <= loans) {
      to.lent++;
      return true;
    }
    // Others have what this one has a claim to; the claims are whole parts, and never more than there are.
    const claim = Math.floor(loans / this.shares.length);
    if (to.lent >= claim) return false;
    let most: MemoryShare | undefined;
    for (const share of this.shares) if (share.lent > claim && share.lent > (most?.lent ?? 0)) most = share;
    if (most !== undefined) most.lent--;
    return false;
  }
}

export class MemoryShare {
  /** Parts of the pool this group may fill. */
  lent = 0;
  private heldBytes = 0;
  private readonly budget: MemoryBudget;

  constructor(budget: MemoryBudget) {
    this.budget = budget;
  }

  /** What the group may hold now. */
  get limitBytes(): number {
    return this.budget.ownBytes + this.lent * this.budget.loanBytes;
  }

  get mostBytes(): number {
    return this.budget.mostBytes;
  }

  /** Parts of the pool that nobody else can have: lent, or called back and not yet freed. */
  get taken(): number {
    return Math.max(this.lent, Math.ceil((this.heldBytes - this.budget.ownBytes) / this.budget.loanBytes));
  }

  /** Says what the group holds; gives parts of the pool back that it does not need, one kept so as not to ask again at once. */
  holds(bytes: number): void {
    this.heldBytes = bytes;
    const needed = Math.max(0, Math.ceil((bytes - this.budget.ownBytes) / this.budget.loanBytes) + 1);
    if (this.lent > needed) this.lent = needed;
  }

  /** Asks for one more part of the pool. Returns whether the limit rose; it may rise later, when others have given back. */
  ask(): boolean {
    return this.budget.lend(this);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('memory-share');
    out.u32(this.lent);
    out.f64(this.heldBytes);
  }

  restore(from: SnapshotReader): void {
    from.section('memory-share');
    this.lent = from.u32();
    this.heldBytes = from.f64();
  }
}
