/** What touched a rule's panes and should not have: late records, records for panes a tick had closed, messages lost upstream. */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';

export class Flaws {
  private readonly lateByPane = new Map<number, number>();
  private readonly lostByPane = new Map<number, number>();

  late(pane: number): void {
    this.lateByPane.set(pane, (this.lateByPane.get(pane) ?? 0) + 1);
  }

  lost(pane: number, messages: number): void {
    this.lostByPane.set(pane, (this.lostByPane.get(pane) ?? 0) + messages);
  }

  lateIn(firstPane: number, lastPane: number): number {
    return sum(this.lateByPane, firstPane, lastPane);
  }

  lostIn(firstPane: number, lastPane: number): number {
    return sum(this.lostByPane, firstPane, lastPane);
  }

  expire(firstPane: number): void {
    for (const panes of [this.lateByPane, this.lostByPane]) {
      for (const pane of panes.keys()) if (pane < firstPane) panes.delete(pane);
    }
  }

  snapshot(out: SnapshotWriter): void {
    out.section('flaws');
    for (const panes of [this.lateByPane, this.lostByPane]) out.array(Float64Array.from([...panes].flat()));
  }

  restore(from: SnapshotReader): void {
    from.section('flaws');
    for (const panes of [this.lateByPane, this.lostByPane]) {
      panes.clear();
      const pairs = from.f64s();
      for (let i = 0; i < pairs.length; i += 2) panes.set(pairs[i], pairs[i + 1]);
    }
  }
}

function sum(panes: Map<number, number>, firstPane: number, lastPane: number): number {
  let total = 0;
  for (const [pane, count] of panes) if (pane >= firstPane && pane <= lastPane) total += count;
  return total;
}
