/** Rules for tests, written as users write them. */
import type { Rule } from '../../processors/rule.ts';
import { parseRule } from '../../schemas/rule.ts';

/** Parses rule text; the fields a test does not care about may be left out. Throws with every problem. */
export function ruleOf(text: string): Rule {
  const defaults: Record<string, string> = {
    id: 'test_rule',
    title: 'A rule of a test',
    category: 'ops',
    severity: 'high',
    status: 'live',
    finding: '{ summary: "{key}: {value} in {window}" }',
  };
  const given = new Set([...text.matchAll(/^([a-z]+):/gm)].map((found) => found[1]));
  const missing = Object.entries(defaults).filter(([name]) => !given.has(name));
  const { rule, problems } = parseRule(`${missing.map(([name, value]) => `${name}: ${value}`).join('\n')}\n${text}`, 'rule.yaml');
  if (rule === undefined) throw new Error(problems.join('\n'));
  return rule;
}
