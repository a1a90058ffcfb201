/** What came out, held against what an undisturbed run gives: by finding, activity and sequence, and the value that each of them tells. */

export interface Out {
  readonly finding: string;
  readonly activity: string;
  readonly sequence: number;
  readonly rule: string;
  readonly value: number;
  /** Its windows may hold too little or too much, and it says so. */
  readonly degraded: boolean;
}

export interface Comparison {
  /** Findings of an undisturbed run. */
  readonly expected: number;
  readonly found: number;
  readonly byActivity: Readonly<Record<string, number>>;
  /** What the watcher said of itself: each once, but no undisturbed run has it. */
  readonly self: number;
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly doubled: readonly string[];
  /** Findings whose values were compared: all but those that are degraded in one of the two runs alone. */
  readonly values: number;
  /** Those that tell another value. */
  readonly changed: readonly string[];
  /** Those that are degraded, and undisturbed are not. */
  readonly degraded: readonly string[];
}

/** Of lines of OCSF JSON. Throws for what is no finding: nobody else writes here. */
export function outOf(lines: readonly string[]): Out[] {
  return lines.map((line) => {
    const { finding_info, activity_name, metadata, unmapped } = JSON.parse(line);
    const { rule, value, degraded } = unmapped;
    return { finding: finding_info.uid, activity: activity_name, sequence: metadata.sequence, rule, value, degraded };
  });
}

export function compare(expected: readonly Out[], found: readonly Out[]): Comparison {
  const ours = found.filter(({ rule }) => !rule.startsWith('streamgauge.'));
  const wanted = new Map(expected.map((one) => [name(one), one]));
  const have = new Set(ours.map(name));
  const byActivity: Record<string, number> = {};
  for (const { activity } of ours) byActivity[activity] = (byActivity[activity] ?? 0) + 1;
  const both = ours.flatMap((one) => {
    const other = wanted.get(name(one));
    return other === undefined ? [] : [{ one, other }];
  });
  const alike = both.filter(({ one, other }) => one.degraded === other.degraded);
  return {
    expected: wanted.size,
    found: ours.length,
    byActivity,
    self: found.length - ours.length,
    missing: [...wanted.keys()].filter((one) => !have.has(one)),
    extra: [...have].filter((one) => !wanted.has(one)),
    values: alike.length,
    changed: alike
      .filter(({ one, other }) => one.value !== other.value)
      .map(({ one, other }) => `${name(one)}: ${one.value}, not ${other.value}`),
    degraded: both.filter(({ one, other }) => one.degraded && !other.degraded).map(({ one }) => name(one)),
    doubled: [...doubles(found.map(name)), ...doubles(found.filter(once).map(({ finding, activity }) => `${finding} ${activity}`))],
  };
}

/** An episode opens once and closes once; of updates there may be several. */
function once({ activity }: Out): boolean {
  return activity !== 'Update';
}

function name({ finding, activity, sequence }: Out): string {
  return `${finding} ${activity} ${sequence}`;
}

function doubles(names: readonly string[]): Set<string> {
  const seen = new Set<string>();
  return new Set(names.filter((one) => seen.size === seen.add(one).size));
}
