/**
 * `streamgauge.rule_error`: the windows or detectors of some rules threw. What they hold may be half changed, so they are not run any more,
 * and what they held is not kept: they begin anew at the next start or reload. Rules that share no windows with them go on.
 */
import type { Finding } from './finding.ts';
import { selfFinding } from './self-finding.ts';

export interface RuleFailure {
  /** All that share the windows. */
  readonly rules: readonly string[];
  readonly error: unknown;
  /** Event time. */
  readonly atMs: number;
}

export function ruleErrorFinding({ rules, error, atMs }: RuleFailure): Finding {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return selfFinding({
    rule: 'streamgauge.rule_error',
    title: 'A rule failed and is not run any more',
    key: { rule: rules[0] },
    summary: `${rules.join(', ')}: not run since ${new Date(atMs).toISOString()} of the input, because of ${what.slice(0, 300)}`,
    measure: 'rules',
    value: rules.length,
    sinceMs: atMs,
    nowMs: atMs,
  });
}
