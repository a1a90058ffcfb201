/** The state of rule groups in a snapshot: each under its group's identity, so that a rule that changed begins anew and the others go on. */
import type { GroupStages } from './build-group.ts';
import { groupIdentity } from './rule-group.ts';
import { SnapshotReader, SnapshotWriter } from './snapshot.ts';

export function writeGroups(stages: readonly GroupStages[], out: SnapshotWriter): void {
  const state = new SnapshotWriter(1 << 16);
  out.u32(stages.length);
  for (const { group, windows, detections, keyFlood } of stages) {
    state.reset();
    windows.snapshot(state);
    for (const detection of detections) detection.snapshot(state);
    keyFlood.snapshot(state);
    out.text(groupIdentity(group));
    out.array(state.done());
  }
}

/** Restores the groups whose state is there; returns those that begin with nothing. Throws `SnapshotError` for bytes that are no such state. */
export function readGroups(stages: readonly GroupStages[], from: SnapshotReader): GroupStages[] {
  const states = new Map<string, Uint8Array>();
  for (let count = from.u32(); count > 0; count--) states.set(from.text(), from.u8s());
  return stages.filter(({ group, windows, detections, keyFlood }) => {
    const bytes = states.get(groupIdentity(group));
    if (bytes === undefined) return true;
    const state = new SnapshotReader(bytes);
    windows.restore(state);
    for (const detection of detections) detection.restore(state);
    keyFlood.restore(state);
    return false;
  });
}
