/** The two rules that whole-engine benchmarks run: one distinct count, one quantile, both by client address. */
import type { Rule } from '../../processors/rule.ts';
import { ruleOf } from '../support/rules.ts';

export interface BenchRuleOptions {
  /** As in a rule: `{ size: 10m, slide: 1m }`. */
  readonly window: string;
  /** As in a rule, of both rules; the default fires for the 80 heaviest of 100,000 Zipf keys, as a rule that found something does. */
  readonly detect?: string;
}

export function benchRules({ window, detect }: BenchRuleOptions): Rule[] {
  return [
    ruleOf(
      `id: emails\nwhere: { event.name: passkey.begin }\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: ${window}\ndetect: ${detect ?? '{ above: 100 }'}`,
    ),
    ruleOf(
      `id: slow\nkey: client.address\nmeasure: { quantile: { of: http.server.request.duration, q: 0.99, sketch: histogram } }\nwindow: ${window}\ndetect: ${detect ?? '{ above: 2.5 }'}`,
    ),
  ];
}
