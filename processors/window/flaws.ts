/** What touched a rule's panes and should not have: late records, records for panes a tick had closed, messages lost upstream. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

/** Messages lost over a span of panes. It counts for windows that end with `fromPane` or later: earlier ones may be decided already. */
interface Loss {
  readonly firstPane: number;
  readonly lastPane: number;
  readonly fromPane: number;
}

/** Losses looked through for one that says it all. */
const lookedBack = 64;
const maxLosses = 4096;

export class Flaws {
  private readonly lateByPane = new Map<number, number>();
  private losses: Loss[] = [];

  late(pane: number): void {
    this.lateByPane.set(pane, (this.lateByPane.get(pane) ?? 0) + 1);
  }

  /** A stream full of holes says the same of a pane over and over: what is known is not kept again. */
  lost(firstPane: number, lastPane: number, fromPane: number): void {
    const { losses } = this;
    for (let i = losses.length - 1; i >= 0 && i >= losses.length - lookedBack; i--) {
      const known = losses[i];
      if (known.firstPane <= firstPane && known.lastPane >= lastPane && known.fromPane <= fromPane) return;
    }
    losses.push({ firstPane, lastPane, fromPane });
    if (losses.length > maxLosses) this.mergeOldest();
  }

  /** The older half becomes one loss that covers them all: never less than there was. */
  private mergeOldest(): void {
    const old = this.losses.splice(0, maxLosses >> 1);
    this.losses.unshift({
      firstPane: Math.min(...old.map(({ firstPane }) => firstPane)),
      lastPane: Math.max(...old.map(({ lastPane }) => lastPane)),
      fromPane: Math.min(...old.map(({ fromPane }) => fromPane)),
    });
  }

  /** Late records counted in the window of panes firstPane..lastPane. */
  lateIn(firstPane: number, lastPane: number): number {
    let total = 0;
    for (const [pane, count] of this.lateByPane) if (pane >= firstPane && pane <= lastPane) total += count;
    return total;
  }

  /** Whether a loss touches that window. */
  lostIn(firstPane: number, lastPane: number): boolean {
    return this.losses.some((loss) => lastPane >= loss.fromPane && loss.firstPane <= lastPane && loss.lastPane >= firstPane);
  }

  expire(firstPane: number): void {
    for (const pane of this.lateByPane.keys()) if (pane < firstPane) this.lateByPane.delete(pane);
    this.losses = this.losses.filter(({ lastPane, fromPane }) => Math.max(lastPane, fromPane) >= firstPane);
  }

  snapshot(out: SnapshotWriter): void {
    out.section('flaws');
    out.array(Float64Array.from([...this.lateByPane].flat()));
    out.array(Float64Array.from(this.losses.flatMap(({ firstPane, lastPane, fromPane }) => [firstPane, lastPane, fromPane])));
  }

  restore(from: SnapshotReader): void {
    from.section('flaws');
    this.lateByPane.clear();
    const late = from.f64s();
    for (let i = 0; i < late.length; i += 2) this.lateByPane.set(late[i], late[i + 1]);
    this.losses = [];
    const losses = from.f64s();
    for (let i = 0; i < losses.length; i += 3) this.losses.push({ firstPane: losses[i], lastPane: losses[i + 1], fromPane: losses[i + 2] });
  }
}
