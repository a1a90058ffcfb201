/**
 * `streamgauge.key_flood`: a rule had more keys than its memory holds. Opens when a pane refused or evicted keys, is updated when there
 * are twice as many, and closes after two windows without.
 */
import type { Rule } from '../rule.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { lostKeysError, type PressureJudge, type PressurePane } from '../window/pressure.ts';
import { type Episode, Episodes } from './episodes.ts';
import type { Activity, Finding } from './finding.ts';
import { duration, findingId, sampleOf } from './write-finding.ts';

export const keyFloodRule = 'streamgauge.key_flood';
/** There is one flood at a time for a group. */
const only = 0;

export class KeyFlood implements PressureJudge {
  private readonly ids: readonly string[];
  private readonly windowMs: number;
  private readonly partitionName: (index: number) => string;
  private readonly episodes: Episodes;
  private found: Finding[] = [];

  /** @param rules that share the memory; the first one names the finding. */
  constructor(rules: readonly Rule[], partitionName: (index: number) => string) {
    this.ids = rules.map(({ id }) => id);
    this.windowMs = Math.max(...rules.map(({ window }) => window.sizeMs));
    this.partitionName = partitionName;
    this.episodes = new Episodes(this.windowMs, rules[0].window.slideMs, 0);
  }

  judge(pane: PressurePane): boolean {
    const firing = { detector: 0, value: pane.window.keys, down: false };
    const activity = pane.lost ? this.episodes.fired(only, pane.endMs, firing, false) : this.episodes.quiet(only, pane.endMs);
    const episode = this.episodes.get(only);
    if (activity !== undefined && episode !== undefined) this.found.push(this.write(pane, episode, activity));
    if (activity === 'close') this.episodes.forget(only);
    return this.episodes.get(only) !== undefined;
  }

  /** The findings since the last call. */
  take(): Finding[] {
    const { found } = this;
    if (found.length > 0) this.found = [];
    return found;
  }

  snapshot(out: SnapshotWriter): void {
    out.section('key-flood');
    this.episodes.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section('key-flood');
    this.episodes.restore(from);
  }

  private write(pane: PressurePane, episode: Episode, activity: Activity): Finding {
    const key = { rule: this.ids[0] };
    return {
      id: findingId(keyFloodRule, JSON.stringify(key), episode.openedMs),
      activity,
      sequence: episode.sequence,
      timeMs: pane.endMs,
      rule: keyFloodRule,
      title: 'More keys than the memory holds',
      category: 'streamgauge',
      severity: 'high',
      status: 'live',
      summary: activity === 'close' ? `over: ${this.ids.join(', ')}: every key has a place again` : this.summary(pane),
      key,
      measure: 'distinct(key) without a place',
      detector: 'self',
      value: pane.window.keys,
      valueError: lostKeysError,
      threshold: pane.keys,
      windowStartMs: pane.startMs,
      windowEndMs: pane.endMs,
      openedMs: episode.openedMs,
      early: false,
      degraded: false,
      late: 0,
      evicted: pane.window.keys,
      countErr: 0,
      samples: pane.samples.map((ref) => sampleOf(ref, this.partitionName)),
    };
  }

  private summary({ window, keys }: PressurePane): string {
    const lost = `${this.ids.join(', ')}: about ${window.keys} keys could not be tracked in ${duration(this.windowMs)}`;
    const how = `${window.untracked} events not counted, ${window.evicted} keys evicted`;
    return `${lost} (${how}; memory for ${keys} keys); smallest detectable count ${window.hidden + 1}`;
  }
}
