/** What came out, held against what an undisturbed run gives: by finding, activity and sequence. */

export interface Out {
  readonly finding: string;
  readonly activity: string;
  readonly sequence: number;
  readonly rule: string;
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
}

/** Of lines of OCSF JSON. Throws for what is no finding: nobody else writes here. */
export function outOf(lines: readonly string[]): Out[] {
  return lines.map((line) => {
    const { finding_info, activity_name, metadata, unmapped } = JSON.parse(line);
    return { finding: finding_info.uid, activity: activity_name, sequence: metadata.sequence, rule: unmapped.rule };
  });
}

export function compare(expected: readonly Out[], found: readonly Out[]): Comparison {
  const ours = found.filter(({ rule }) => !rule.startsWith('streamgauge.'));
  const wanted = new Set(expected.map(name));
  const have = new Set(ours.map(name));
  const byActivity: Record<string, number> = {};
  for (const { activity } of ours) byActivity[activity] = (byActivity[activity] ?? 0) + 1;
  return {
    expected: wanted.size,
    found: ours.length,
    byActivity,
    self: found.length - ours.length,
    missing: [...wanted].filter((one) => !have.has(one)),
    extra: [...have].filter((one) => !wanted.has(one)),
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
