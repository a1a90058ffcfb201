/**
 * Findings that are in a sink already and may come again: an earlier life of the process wrote them after its last checkpoint, or a write
 * was not acknowledged and nobody knows what of it landed. Told apart by identity (finding, activity, sequence), never by bytes: a
 * sample's text may have been read the one time and not the other.
 */

/** What tells a finding that was written apart from every other. */
export interface WrittenFinding {
  /** Finding, activity and sequence: `eventId` of `processors/detect/ocsf.ts`. */
  readonly id: string;
  readonly rule: string;
  /** When it was decided, ms. */
  readonly timeMs: number;
}

/** About 25 MB. More than lies between two checkpoints, unless others write to the same topic in great numbers. */
const maxRememberedDefault = 100_000;
/**
 * Findings of a rule come in the order of event time, but for `early` ones and partitions that lag. One that has not come by the time its
 * rule is a day further will not: a clock had closed its pane, or the rule was changed.
 */
const forgetAfterMs = 24 * 3_600_000;

export class Repeats {
  /** Id -> time, by rule. */
  private readonly byRule = new Map<string, Map<string, number>>();
  private readonly max: number;
  private readonly warn: (message: string) => void;
  private told = false;
  size = 0;
  /** Findings that came again and were left out. */
  dropped = 0;

  constructor(warn: (message: string) => void = () => {}, max = maxRememberedDefault) {
    this.warn = warn;
    this.max = max;
  }

  remember({ id, rule, timeMs }: WrittenFinding): void {
    let ids = this.byRule.get(rule);
    if (ids === undefined) {
      ids = new Map();
      this.byRule.set(rule, ids);
    }
    if (ids.has(id)) return;
    if (this.size >= this.max) {
      if (!this.told)
        this.warn(`more than ${this.max} findings were written since the last checkpoint: those past that may be there twice`);
      this.told = true;
      return;
    }
    ids.set(id, timeMs);
    this.size++;
  }

  /** Whether it is there already. It is forgotten then: what comes a second time after that is no repeat of ours. */
  take({ id, rule, timeMs }: WrittenFinding): boolean {
    const ids = this.byRule.get(rule);
    if (ids === undefined) return false;
    if (ids.delete(id)) {
      this.size--;
      this.dropped++;
      return true;
    }
    // They were remembered in about the order of their times.
    for (const [old, oldMs] of ids) {
      if (timeMs - oldMs <= forgetAfterMs) break;
      ids.delete(old);
      this.size--;
    }
    if (ids.size === 0) this.byRule.delete(rule);
    return false;
  }

  /** What has not come again yet, for a mark. */
  toJson(): Record<string, [id: string, timeMs: number][]> {
    return Object.fromEntries([...this.byRule].flatMap(([rule, ids]) => (ids.size === 0 ? [] : [[rule, [...ids]]])));
  }

  /** Remembers what `toJson` gave. Throws a TypeError for anything else. */
  addJson(value: unknown): void {
    if (typeof value !== 'object' || value === null) throw new TypeError(`expected findings by rule, found ${JSON.stringify(value)}`);
    for (const [rule, list] of Object.entries(value)) {
      for (const [id, timeMs] of list as [string, number][]) this.remember({ id, rule, timeMs });
    }
  }
}

/** Of a finding as it went out (OCSF JSON); undefined for what is none: others may write there too. */
export function writtenFinding(json: string): WrittenFinding | undefined {
  try {
    const { metadata, unmapped, time } = JSON.parse(json) as Partial<Record<string, Record<string, unknown>>> & { time?: unknown };
    const [id, rule] = [metadata?.uid, unmapped?.rule];
    return typeof id === 'string' && typeof rule === 'string' && typeof time === 'number' ? { id, rule, timeMs: time } : undefined;
  } catch {
    return undefined;
  }
}
