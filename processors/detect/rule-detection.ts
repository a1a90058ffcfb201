/** ClosedWindow -> Finding[] for one rule: asks the rule's detectors, keeps its episodes, and writes the findings. */
import type { Rule } from '../rule.ts';
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts';
import { type ClosedWindow, Interest, type WindowJudge } from '../window/closed-window.ts';
import type { Detector, Verdict } from './detector.ts';
import { Episodes, type Firing } from './episodes.ts';
import type { Finding, Score } from './finding.ts';
import { type Judged, writeFinding, writeScore } from './write-finding.ts';

export interface RuleDetectionOptions {
  /** The partition key (`topic/partition`) behind the index that samples carry. */
  readonly partitionName: (index: number) => string;
  readonly score?: (score: Score) => void;
}

export class RuleDetection implements WindowJudge {
  readonly rule: Rule;
  readonly episodes: Episodes;
  readonly quietBelow: number;
  private readonly detectors: readonly Detector[];
  private readonly options: RuleDetectionOptions;
  private readonly verdict: Verdict = { fired: false, near: false, value: 0, threshold: 0 };
  /** What was found since it was last taken. */
  private found: Finding[] = [];

  constructor(rule: Rule, detectors: readonly Detector[], options: RuleDetectionOptions) {
    this.rule = rule;
    this.detectors = detectors;
    this.options = options;
    // Every judgement is a score.
    this.quietBelow = options.score === undefined ? Math.min(...detectors.map((each) => each.quietBelow)) : Number.NEGATIVE_INFINITY;
    this.episodes = new Episodes(rule.window.sizeMs, rule.window.slideMs, rule.finding.muteMs);
  }

  judge(window: ClosedWindow): number {
    const { slot, endMs, provisional } = window;
    let interest: number = Interest.none;
    let firing: (Firing & { threshold: number }) | undefined;
    let judged: Pick<Verdict, 'value' | 'threshold' | 'fired'> | undefined;
    for (let i = 0; i < this.detectors.length; i++) {
      const detector = this.detectors[i];
      const { verdict } = this;
      detector.judge(window, verdict);
      if (verdict.near) interest |= Interest.samples;
      if (detector.holds(slot)) interest |= Interest.watch;
      const { value, threshold } = verdict;
      if (i === 0) judged = { value, threshold, fired: verdict.fired };
      if (verdict.fired && firing === undefined) {
        firing = { detector: i, value, threshold, down: detector.name === 'below' };
        judged = { value, threshold, fired: true };
      }
    }
    if (this.options.score !== undefined && judged !== undefined && !provisional && !Number.isNaN(judged.value)) {
      this.options.score(writeScore(this.rule, window, judged));
    }
    if (firing !== undefined) this.tell(window, this.episodes.fired(slot, endMs, firing, provisional), firing);
    else if (!provisional) this.tellQuiet(window);
    if (firing !== undefined || this.episodes.holds(slot, endMs)) interest |= Interest.watch;
    return interest;
  }

  release(slot: number): void {
    this.episodes.release(slot);
    for (const detector of this.detectors) detector.release(slot);
  }

  /** The findings since the last call, in the order of their keys: slots are handed out by arrival and must not show. */
  take(): Finding[] {
    const { found } = this;
    if (found.length === 0) return found;
    this.found = [];
    return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : a.sequence - b.sequence));
  }

  snapshot(out: SnapshotWriter): void {
    out.section(`rule ${this.rule.id}`);
    this.episodes.snapshot(out);
    for (const detector of this.detectors) detector.snapshot(out);
  }

  restore(from: SnapshotReader): void {
    from.section(`rule ${this.rule.id}`);
    this.episodes.restore(from);
    for (const detector of this.detectors) detector.restore(from);
  }

  private tellQuiet(window: ClosedWindow): void {
    const episode = this.episodes.get(window.slot);
    if (episode === undefined) return;
    const activity = this.episodes.quiet(window.slot, window.endMs);
    if (activity === undefined) return;
    const detector = this.detectors[episode.detector];
    detector.judge(window, this.verdict);
    const value = Number.isNaN(this.verdict.value) ? 0 : this.verdict.value;
    this.tell(window, activity, { detector: episode.detector, value, threshold: this.verdict.threshold });
  }

  private tell(window: ClosedWindow, activity: Finding['activity'] | undefined, judged: Omit<Judged, 'name'>): void {
    if (activity === undefined) return;
    const episode = this.episodes.get(window.slot);
    if (episode === undefined) throw new Error(`rule ${this.rule.id}: ${activity} without an episode for slot ${window.slot}`);
    const detector = this.detectors[judged.detector];
    const { name, measureName } = detector;
    this.found.push(writeFinding(this.rule, window, episode, activity, { ...judged, name, measureName }, this.options.partitionName));
    if (activity === 'close') this.episodes.forget(window.slot);
  }
}
