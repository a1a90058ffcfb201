/**
 * The state of rules in a snapshot: windows under what is counted, and below them each rule's judgement under the rule's own identity. So
 * an unchanged rule goes on whatever becomes of the rules it shares windows with, and a changed one whose windows stay the same only
 * judges anew.
 */
import type { GroupStages } from './build-group.ts';
import type { Rule } from './rule.ts';
import { judgedIdentity } from './rule-group.ts';
import { SnapshotReader, SnapshotWriter } from './snapshot.ts';

export function writeGroups(stages: readonly GroupStages[], out: SnapshotWriter): void {
  const state = new SnapshotWriter(1 << 16);
  const own = new SnapshotWriter();
  out.u32(stages.length);
  for (const { group, windows, detections, keyFlood } of stages) {
    state.reset();
    windows.snapshot(state);
    // A flood is told in the name of the group's first rule.
    state.text(group.rules[0].id);
    own.reset();
    keyFlood.snapshot(own);
    state.array(own.done());
    state.u32(group.rules.length);
    group.rules.forEach((rule, index) => {
      own.reset();
      windows.snapshotView(index, own);
      detections[index].snapshot(own);
      state.text(judgedIdentity(rule));
      state.array(own.done());
    });
    out.text(group.counted);
    out.array(state.done());
  }
}

/** Rules that begin anew: all of a group's if its windows do. */
export interface FreshRules {
  readonly stages: GroupStages;
  readonly windows: boolean;
  readonly rules: readonly Rule[];
}

/** Restores what is there. Returns what begins with nothing. Throws `SnapshotError` for bytes that are no such state. */
export function readGroups(stages: readonly GroupStages[], from: SnapshotReader): FreshRules[] {
  const states = new Map<string, Uint8Array>();
  for (let count = from.u32(); count > 0; count--) states.set(from.text(), from.u8s());
  return stages.flatMap((each): FreshRules[] => {
    const bytes = states.get(each.group.counted);
    if (bytes === undefined) return [{ stages: each, windows: true, rules: each.group.rules }];
    const rules = readGroup(each, new SnapshotReader(bytes));
    return rules.length === 0 ? [] : [{ stages: each, windows: false, rules }];
  });
}

function readGroup({ group, windows, detections, keyFlood }: GroupStages, state: SnapshotReader): Rule[] {
  windows.restore(state);
  const floodOf = state.text();
  const flood = state.u8s();
  if (floodOf === group.rules[0].id) keyFlood.restore(new SnapshotReader(flood));
  const judgements = new Map<string, Uint8Array>();
  for (let count = state.u32(); count > 0; count--) judgements.set(state.text(), state.u8s());
  return group.rules.filter((rule, index) => {
    const bytes = judgements.get(judgedIdentity(rule));
    if (bytes === undefined) return true;
    const own = new SnapshotReader(bytes);
    windows.restoreView(index, own);
    detections[index].restore(own);
    return false;
  });
}
