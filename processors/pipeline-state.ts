/**
 * The state of rules in a snapshot: windows under what is counted, and below them each rule's judgement under the rule's own identity. So
 * an unchanged rule goes on whatever becomes of the rules it shares windows with, and a changed one whose windows stay the same only
 * judges anew.
 */
import type { GroupStages } from './build-group.ts';
import type { Rule } from './rule.ts';
import { judgedIdentity } from './rule-group.ts';
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts';

export function writeGroups(stages: readonly GroupStages[], out: SnapshotWriter): void {
  out.u32(stages.length);
  for (const each of stages) {
    out.text(each.group.counted);
    out.nested((state) => writeGroup(each, state));
  }
}

function writeGroup({ group, windows, detections, keyFlood }: GroupStages, state: SnapshotWriter): void {
  windows.snapshot(state);
  // A flood is told in the name of the group's first rule.
  state.text(group.rules[0].id);
  state.nested((own) => keyFlood.snapshot(own));
  state.u32(group.rules.length);
  group.rules.forEach((rule, index) => {
    state.text(judgedIdentity(rule));
    state.nested((own) => {
      windows.snapshotView(index, own);
      detections[index].snapshot(own);
    });
  });
}

/** Rules that begin anew: all of a group's if its windows do. */
export interface FreshRules {
  readonly stages: GroupStages;
  readonly windows: boolean;
  readonly rules: readonly Rule[];
}

/** Restores what is there. Returns what begins with nothing. Throws `SnapshotError` for bytes that are no such state. */
export function readGroups(stages: readonly GroupStages[], from: SnapshotReader): FreshRules[] {
  const states = new Map<string, SnapshotReader>();
  for (let count = from.u32(); count > 0; count--) states.set(from.text(), from.nested());
  return stages.flatMap((each): FreshRules[] => {
    const state = states.get(each.group.counted);
    if (state === undefined) return [{ stages: each, windows: true, rules: each.group.rules }];
    const rules = readGroup(each, state);
    return rules.length === 0 ? [] : [{ stages: each, windows: false, rules }];
  });
}

function readGroup({ group, windows, detections, keyFlood }: GroupStages, state: SnapshotReader): Rule[] {
  windows.restore(state);
  const floodOf = state.text();
  const flood = state.nested();
  if (floodOf === group.rules[0].id) keyFlood.restore(flood);
  const judgements = new Map<string, SnapshotReader>();
  for (let count = state.u32(); count > 0; count--) judgements.set(state.text(), state.nested());
  return group.rules.filter((rule, index) => {
    const own = judgements.get(judgedIdentity(rule));
    if (own === undefined) return true;
    windows.restoreView(index, own);
    detections[index].restore(own);
    return false;
  });
}
