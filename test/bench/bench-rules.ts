/** The two rules that whole-engine benchmarks run: one distinct count, one quantile, both by client address. */
import type { Rule } from '../../processors/rule.ts';
import { ruleOf } from '../support/rules.ts';

export interface BenchRuleOptions {
  /** As in a rule: `{ size: 10m, slide: 1m }`. */
  readonly window: string;
  /** As in a rule; the default never fires, and judges only keys that something came for. */
  readonly detect?: string;
}

export function benchRules({ window, detect = '{ above: 1000000000 }' }: BenchRuleOptions): Rule[] {
  return [
    ruleOf(
      `id: emails\nwhere: { event.name: passkey.begin }\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: ${window}\ndetect: ${detect}`,
    ),
    ruleOf(
      `id: slow\nkey: client.address\nmeasure: { quantile: { of: http.server.request.duration, q: 0.99, sketch: histogram } }\nwindow: ${window}\ndetect: ${detect}`,
    ),
  ];
}
