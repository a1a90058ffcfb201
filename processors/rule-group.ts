/**
 * Rules that count the same share their windows: the same events, key, measure, pane and lateness, however they judge and however long
 * their windows are. (One rule that warns above 10 and one that pages above 25 cost what one costs.)
 */
import type { Rule } from './rule.ts';

export interface RuleGroup {
  /** Never empty; in the order of the rules. */
  readonly rules: readonly Rule[];
  readonly from: readonly string[];
  /** Whether any of them announces early. */
  readonly early: boolean;
}

/** In the order of each group's first rule. */
export function groupRules(rules: readonly Rule[]): RuleGroup[] {
  const groups = new Map<string, Rule[]>();
  for (const rule of rules) {
    const { from, where, key, measure, window } = rule;
    // Whether a distinct count is exact is decided by the whole window, so a longer one would make a shorter one inexact.
    const size = measure.kind === 'distinct' ? window.sizeMs : undefined;
    const same = JSON.stringify([from, where, key, measure, window.slideMs, window.latenessMs, size]);
    groups.set(same, [...(groups.get(same) ?? []), rule]);
  }
  return [...groups.values()].map((members) => ({ rules: members, from: members[0].from, early: members.some(({ early }) => early) }));
}

/** What a group's state depends on: all of its rules but their words. */
export function groupIdentity(group: RuleGroup): string {
  return JSON.stringify(
    group.rules.map(({ id, from, where, key, measure, window, detect, early, finding }) => [
      id,
      from,
      where,
      key,
      measure,
      window,
      detect,
      early,
      finding.muteMs,
    ]),
  );
}
