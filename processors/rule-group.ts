/**
 * Rules that count the same share their windows: the same events, key, measure, pane and lateness, however they judge and however long
 * their windows are. (One rule that warns above 10 and one that pages above 25 cost what one costs.)
 */
import { exactCount } from './measure/recent-count.ts';
import type { Rule } from './rule.ts';

export interface RuleGroup {
  /** Never empty; in the order of the rules. */
  readonly rules: readonly Rule[];
  readonly from: readonly string[];
  /** Whether any of them announces early. */
  readonly early: boolean;
  /** Whether their windows begin on real time. */
  readonly realTime: boolean;
}

/** The longest pane in which times are kept: 2^32 ms. */
const longestRealTimeMs = 2 ** 32;

/**
 * Whether a rule's windows begin on real time (`measure/recent-count.ts`) and not with a pane: a count that only asks whether it is above
 * numbers below 128, at once. Such a rule shares its windows with its like alone, so no rule's findings depend on which others there are.
 */
function isOnRealTime({ measure, detect, window }: Rule): boolean {
  const small = detect.every((detector) => detector.kind === 'above' && detector.forMs === 0 && detector.threshold < exactCount);
  return measure.kind === 'count' && small && window.slideMs <= longestRealTimeMs;
}

/** In the order of each group's first rule. */
export function groupRules(rules: readonly Rule[]): RuleGroup[] {
  const groups = new Map<string, Rule[]>();
  for (const rule of rules) {
    const { from, where, key, measure, window } = rule;
    // Whether a distinct count is exact is decided by the whole window, so a longer one would make a shorter one inexact.
    const size = measure.kind === 'distinct' ? window.sizeMs : undefined;
    const same = JSON.stringify([from, where, key, measure, window.slideMs, window.latenessMs, size, isOnRealTime(rule)]);
    groups.set(same, [...(groups.get(same) ?? []), rule]);
  }
  return [...groups.values()].map((members) => ({
    rules: members,
    from: members[0].from,
    early: members.some(({ early }) => early),
    realTime: isOnRealTime(members[0]),
  }));
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
      // Other state: a checkpoint from before real time is not taken for it.
      ...(group.realTime ? ['real time'] : []),
    ]),
  );
}
