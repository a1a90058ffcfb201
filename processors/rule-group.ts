/**
 * Rules that count the same share their windows: the same events, key, measure, pane and lateness, however they judge and however long
 * their windows are. (One rule that warns above 10 and one that pages above 25 cost what one costs.)
 */
import { exactCount } from './measure/recent-count.ts';
import type { Rule } from './rule.ts';

export interface RuleGroup {
  /** What is counted, as text: two groups with the same have windows of the same form. */
  readonly counted: string;
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
    const counted = countedIdentity(rule);
    groups.set(counted, [...(groups.get(counted) ?? []), rule]);
  }
  return [...groups].map(([counted, members]) => ({
    counted,
    rules: members,
    from: members[0].from,
    early: members.some(({ early }) => early),
    realTime: isOnRealTime(members[0]),
  }));
}

/** What the state of windows depends on, whichever rules look at them. */
function countedIdentity(rule: Rule): string {
  const { from, where, key, measure, window } = rule;
  // Whether a distinct count is exact is decided by the whole window, so a longer one would make a shorter one inexact.
  const size = measure.kind === 'distinct' ? window.sizeMs : undefined;
  return JSON.stringify([from, where, key, measure, window.slideMs, window.latenessMs, size, isOnRealTime(rule)]);
}

/** What the state of a rule's own judgement (episodes, mutes, holds) depends on beside its windows: all of it but its words. */
export function judgedIdentity({ id, window, detect, early, finding }: Rule): string {
  return JSON.stringify([id, window.sizeMs, detect, early, finding.muteMs]);
}
