/**
 * A parsed rule. `schemas/rule.ts` validates the YAML and makes this of it; each stage reads its own section.
 */

export type Severity = 'low' | 'medium' | 'high' | 'critical';
export type RuleStatus = 'dormant' | 'shadow' | 'live' | 'retired';

export interface Rule {
  readonly id: string;
  readonly title: string;
  readonly category: string;
  readonly severity: Severity;
  readonly status: RuleStatus;
  /** Why a retired rule is retired. */
  readonly reason?: string;
  /** What a dormant rule waits for. */
  readonly needs: readonly { readonly dataset: string; readonly forMs: number }[];
  /** Datasets: an event's dataset is one of these or below one (`heroku` takes `heroku.router`). Empty: all. */
  readonly from: readonly string[];
  readonly where: Condition;
  readonly key: readonly KeyPart[];
  readonly measure: MeasureSpec;
  readonly window: WindowSpec;
  readonly detect: readonly DetectorSpec[];
  /** Announce at the crossing record, for a monotone measure. */
  readonly early: boolean;
  readonly finding: { readonly summary: string; readonly muteMs: number };
}

/** A `where` as a tree. `all` of nothing is true, `any` of nothing is false. */
export type Condition =
  | { readonly op: 'all'; readonly of: readonly Condition[] }
  | { readonly op: 'any'; readonly of: readonly Condition[] }
  | { readonly op: 'not'; readonly of: Condition }
  | FieldTest;

/** One field against its values; a field that holds a list passes if any element does. */
export interface FieldTest {
  readonly op: 'test';
  readonly field: string;
  readonly test: 'equals' | 'contains' | 'startswith' | 'endswith' | 're' | 'cidr' | 'gt' | 'gte' | 'lt' | 'lte' | 'exists';
  /** Any of these (all of them with `every`). Text values of equals/contains/startswith/endswith may hold `*` and `?` wildcards, `\` escapes. */
  readonly values: readonly (string | number | boolean | null)[];
  readonly every: boolean;
  readonly cased: boolean;
}

/** One part of a key. No parts at all is `key: all`. */
export interface KeyPart {
  readonly field: string;
  /** `a?`: a missing field counts as empty; otherwise an event without it does not count. */
  readonly optional: boolean;
  readonly transform: 'none' | 'domain' | 'lower' | 'subnet' | 'shape';
  /** Prefix length of `subnet`. */
  readonly bits?: number;
}

export type MeasureSpec =
  | { readonly kind: 'count' }
  | { readonly kind: 'sum' | 'avg' | 'min' | 'max' | 'last' | 'values' | 'digits'; readonly field: string }
  /** `precision`: log2 of the registers beyond 256 values; 11 if left out. */
  | { readonly kind: 'distinct'; readonly field: string; readonly precision?: number }
  | { readonly kind: 'quantile'; readonly field: string; readonly q: number; readonly sketch: 'tdigest' | 'histogram' }
  | { readonly kind: 'ratio'; readonly of: Condition; readonly minCount: number };

export interface WindowSpec {
  readonly sizeMs: number;
  /** Length of a pane; divides `sizeMs`. */
  readonly slideMs: number;
  readonly latenessMs: number;
}

export type DetectorSpec =
  | { readonly kind: 'above' | 'below'; readonly threshold: number; readonly forMs: number }
  | { readonly kind: 'silence'; readonly afterMs: number; readonly during?: BusinessHours };

/** Hours that count, in a zone; all of every day where a rule names none. */
export interface BusinessHours {
  /** 0 = Sunday … 6 = Saturday. */
  readonly days: readonly number[];
  /** Minutes since midnight, [start, end). */
  readonly startMinute: number;
  readonly endMinute: number;
  readonly zone: string;
}
