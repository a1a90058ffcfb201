/** The CrowdSec hub's suites as they lie on disk: events, rules, and which findings they must lead to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One CrowdSec rule, restated without its expression language. */
export interface PlainRule {
  readonly rule: string;
  readonly where: { readonly poured_into: string };
  readonly key: readonly string[];
  /** The field whose values are counted; null counts events. */
  readonly distinct: string | null;
  readonly above: number;
  readonly window_s: number;
  readonly mute_s: number;
}

interface Expected {
  readonly rule: string;
  readonly sources: readonly string[];
}

interface Case {
  readonly plain: readonly PlainRule[];
  readonly expected: readonly Expected[];
  readonly variants: {
    readonly minus_one: { readonly drop_event_index: number; readonly overflows: Readonly<Record<string, number>> };
    readonly one_per_hour: { readonly overflows: Readonly<Record<string, number>> };
  };
}

export interface SuiteEvent {
  readonly ts: string;
  readonly [field: string]: unknown;
}

export interface Suite {
  readonly name: string;
  readonly case: Case;
  readonly events: readonly SuiteEvent[];
  /** The log lines themselves. */
  readonly raw: readonly string[];
}

/** Reads every suite below `<dir>/suites`; undefined where the folder is not there. */
export function readSuites(dir: string): Suite[] | undefined {
  const root = join(dir, 'suites');
  if (!existsSync(root)) return undefined;
  const text = (name: string, file: string) => readFileSync(join(root, name, file), 'utf8');
  const lines = (name: string, file: string) =>
    text(name, file)
      .split('\n')
      .filter((line) => line !== '');
  return readdirSync(root)
    .sort()
    .map((name) => ({
      name,
      case: JSON.parse(text(name, 'case.json')),
      events: lines(name, 'events.ndjson').map((line) => JSON.parse(line)),
      raw: lines(name, 'raw.log'),
    }));
}
