import type { MeasureSpec, WindowSpec } from '../rule.ts';
import { Count } from './count.ts';
import { Digits } from './digits.ts';
import { Distinct } from './distinct.ts';
import { Extreme } from './extreme.ts';
import { Last } from './last.ts';
import type { Measure } from './measure.ts';
import { Quantile } from './quantile.ts';
import { Ratio } from './ratio.ts';
import { RecentCount } from './recent-count.ts';
import { Sum } from './sum.ts';

export interface MeasureOptions {
  /** Windows of a `count` begin on real time (`recent-count.ts`) and not with a pane. */
  readonly realTime?: boolean;
}

/** The state of a rule's measure. Throws a RangeError for a spec or window that it cannot hold. */
export function createMeasure(spec: MeasureSpec, window: WindowSpec, { realTime = false }: MeasureOptions = {}): Measure {
  switch (spec.kind) {
    case 'count':
      return realTime ? new RecentCount(window.slideMs) : new Count();
    case 'sum':
    case 'avg':
      return new Sum(spec.kind);
    case 'min':
    case 'max':
      return new Extreme(spec.kind);
    case 'last':
      return new Last();
    case 'ratio':
      return new Ratio(spec.minCount);
    case 'distinct':
      return new Distinct(Math.ceil(window.sizeMs / window.slideMs), spec.precision);
    case 'quantile':
      return new Quantile(spec.q, spec.sketch, Math.ceil(window.sizeMs / window.slideMs));
    case 'digits':
      return new Digits();
    case 'values':
      throw new RangeError(`the measure "${spec.kind}" is not there yet: use quantile, or leave the rule dormant`);
  }
}
