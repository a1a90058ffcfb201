/** The whole path of a record, on one screen: decode -> watermark -> match -> window -> detect. Pure: bytes and ticks in, findings out. */
import { buildGroup, type GroupStages } from './build-group.ts';
import { Counters, countBy } from './counters.ts';
import { createDecoder, type DecodeOptions } from './decode/create-decoder.ts';
import { type Decoder, Rejects } from './decode/decoder.ts';
import { EventBatch, FieldPlan } from './decode/event-batch.ts';
import type { Finding, Score } from './detect/finding.ts';
import { type RuleFailure, ruleErrorFinding } from './detect/rule-error.ts';
import { EventTime, type EventTimeOptions } from './event-time.ts';
import { Holes, type SaidLoss } from './holes.ts';
import { compileKey } from './match/key.ts';
import { type MatchIntake, RuleSet } from './match/rule-set.ts';
import { readGroups, writeGroups } from './pipeline-state.ts';
import { partitionKey, type RecordBatch } from './record.ts';
import type { Rule } from './rule.ts';
import { groupRules, type RuleGroup } from './rule-group.ts';
import { hashKeyOf, publishedHashKey } from './sketch/hash.ts';
import { type Slices, whole } from './slices.ts';
import { type Snapshot, SnapshotReader } from './snapshot.ts';
import type { SnapshotCopies } from './snapshot-copies.ts';
import { joined, PartsWriter } from './snapshot-parts.ts';
import { Gaps } from './window/gaps.ts';
import { MemoryBudget } from './window/memory-share.ts';
import { partitionHash, sampleHash } from './window/sample-hash.ts';
import { type Tick, Watermark } from './window/watermark.ts';
import { WindowStage } from './window/window-stage.ts';

const defaultMemoryBytes = 512 * 2 ** 20;

export interface PipelineOptions extends EventTimeOptions {
  /** 8 bytes that key every hash; the published ones where there are none. */
  readonly hashKey?: Uint8Array;
  readonly decode?: Omit<DecodeOptions, 'plan'>;
  /** What the state of all rules may take. Default 512 MiB. */
  readonly memoryBytes?: number;
  /** Gets a row for every evaluated window and key; every key is then judged at every close. */
  readonly score?: (score: Score) => void;
  /** Goes on counting in these, where it takes the place of another. */
  readonly counters?: Counters;
  /** Told, beside the finding, of rules that threw. */
  readonly ruleFailed?: (failure: RuleFailure) => void;
}

/** Each step comes in two forms: whole, and (`…InSlices`) as a generator that pauses, for a caller with others to serve. */
export class Pipeline {
  readonly counters: Counters;
  /** Records of the last batch that could not be decoded or placed in time. */
  readonly rejects = new Rejects();
  readonly watermark = new Watermark();
  /** Rules that threw and are not run any more. */
  readonly failures: RuleFailure[] = [];
  /** In the order of the groups. */
  readonly stages: readonly GroupStages[];
  private readonly rules: readonly Rule[];
  private readonly options: PipelineOptions;
  private readonly hashKey: Uint32Array;
  private readonly decoder: Decoder;
  private readonly events: EventBatch;
  private readonly ruleSet: RuleSet;
  private readonly windows: WindowStage;
  private readonly gaps: Gaps;
  private readonly intake: MatchIntake;
  private readonly holes: Holes;
  private readonly eventTime: EventTime;
  private findings: Finding[] = [];
  private started = false;

  constructor(rules: readonly Rule[], options: PipelineOptions = {}) {
    const plan = new FieldPlan();
    const groups = groupRules(rules);
    this.rules = rules;
    this.options = options;
    this.counters = options.counters ?? new Counters();
    this.hashKey = hashKeyOf(options.hashKey ?? publishedHashKey);
    this.ruleSet = new RuleSet(
      groups.map((group) => group.rules[0]),
      plan,
      this.hashKey,
    );
    this.decoder = createDecoder({ ...options.decode, plan });
    this.events = new EventBatch(plan, this.hashKey);
    const partitionName = (index: number) => this.watermark.name(index);
    const count = (counter: Record<string, number>, group: RuleGroup) => {
      for (const { id } of group.rules) countBy(counter, id);
    };
    const memory = new MemoryBudget(options.memoryBytes ?? defaultMemoryBytes, groups.length);
    const evicted = (group: RuleGroup) => count(this.counters.evictions, group);
    this.stages = groups.map((group) => buildGroup(group, { score: options.score, partitionName, memory, evicted }));
    const keyedWindows = this.stages.map(({ windows }) => windows);
    const failed = (group: number, error: unknown, atMs: number) => {
      const failure = { rules: groups[group].rules.map(({ id }) => id), error, atMs };
      this.failures.push(failure);
      this.findings.push(ruleErrorFinding(failure));
      options.ruleFailed?.(failure);
    };
    this.windows = new WindowStage(groups, keyedWindows, this.watermark, this.counters, failed);
    this.gaps = new Gaps(this.watermark, this.windows);
    const { events, rejects, counters, gaps, watermark, windows } = this;
    this.holes = new Holes({ events, rejects, counters, gaps, windows });
    this.eventTime = new EventTime({ events, rejects, counters, gaps, watermark }, options);
    this.intake = {
      match: (match, key) => {
        // Costs nothing where nothing is thrown; what throws outside of windows and detectors belongs to no rule, and stops the process.
        try {
          if (this.windows.add(match, key)) this.detected(match.group);
        } catch (error) {
          this.windows.fail(match.group, error, match.timeMs);
        }
      },
      keyMissing: (group) => count(this.counters.keyMissing, groups[group]),
      valueMissing: (group) => count(this.counters.wrongType, groups[group]),
    };
  }

  /** What senders say they lost, in the last batch. */
  get saidLosses(): readonly SaidLoss[] {
    return this.holes.said;
  }

  /** One of the same rules and options, with no state; it goes on counting where this one did. */
  emptied(): Pipeline {
    return new Pipeline(this.rules, { ...this.options, counters: this.counters });
  }

  /** One partition's records in, findings out. Live runs, drains and backtests all go through here; how input is cut into batches changes nothing. */
  *processInSlices(batch: RecordBatch): Slices<Finding[]> {
    const name = partitionKey(batch.topic, batch.partition);
    const partition = this.watermark.partition(name);
    const place = { partition, partitionHash: partitionHash(name), offset: 0, sampleHash: 0 };
    this.decode(batch);
    this.holes.begin(batch, partition);
    for (let row = 0; row < this.events.length; row++) {
      const index = this.events.recordIndex[row];
      const record = batch.records[index];
      this.holes.before(index);
      if (!this.eventTime.place(row, record, partition)) continue;
      // Before the event moves the watermark: what lies between it and the event before is not decided yet.
      this.gaps.close(partition, this.events.timeMs[row]);
      if (this.events.lost[row] > 0) this.holes.lost(row);
      this.watermark.observe(partition, this.events.timeMs[row]);
      if (this.watermark.lowMs >= this.windows.nextDueMs) yield* this.close();
      place.offset = record.offset;
      place.sampleHash = sampleHash(place.partitionHash, record.offset);
      this.ruleSet.match(this.events, row, place, this.intake);
    }
    this.holes.end();
    return this.takeFindings();
  }

  process(batch: RecordBatch): Finding[] {
    return whole(this.processInSlices(batch));
  }

  /** The clock's word on quiet streams: passes idle partitions by, and closes what only waited for them. */
  *tickInSlices(tick: Tick): Slices<Finding[]> {
    for (const key of tick.idle) this.gaps.close(this.watermark.partition(key), tick.nowMs);
    this.watermark.tick(tick);
    yield* this.close();
    return this.takeFindings();
  }

  tick(tick: Tick): Finding[] {
    return whole(this.tickInSlices(tick));
  }

  /** These partitions exist, and the watermark must wait for them. */
  partitions(keys: readonly string[]): void {
    for (const key of keys) this.watermark.waitFor(this.watermark.partition(key));
  }

  /**
   * Records of a partition are missing after those that have gone through: what its next event, or a tick that passes it by, ends is
   * degraded. `records`: how many, where that is known.
   */
  loss(key: string, dataset: string, kind: string, records = 0): void {
    countBy(this.counters.losses, kind);
    countBy(this.counters.lostRecords, kind, records);
    const partition = this.watermark.partition(key);
    this.watermark.waitFor(partition);
    this.gaps.open(partition, dataset);
  }

  /** Nothing of a partition is known before what it brings first: windows that reach behind that are degraded. */
  beginsLate(key: string, dataset: string): void {
    this.gaps.open(this.watermark.partition(key), dataset);
  }

  /** A partition has no more records: the watermark waits for it no longer. */
  *endedInSlices(key: string): Slices<Finding[]> {
    this.gaps.close(this.watermark.partition(key), this.watermark.highMs);
    this.watermark.end(this.watermark.partition(key));
    yield* this.close();
    return this.takeFindings();
  }

  /** End of input, the last tick: closes every pane up to the one that holds the newest event. */
  *finishInSlices(): Slices<Finding[]> {
    const { highMs } = this.watermark;
    this.gaps.closeAll(highMs);
    if (highMs > this.watermark.lowMs) this.watermark.lowMs = highMs;
    yield* this.close();
    yield* this.windows.closeAll(highMs, (group) => this.detected(group));
    return this.takeFindings();
  }

  finish(): Finding[] {
    return whole(this.finishInSlices());
  }

  /**
   * The state between two calls. The hash key and the options are not in it: they must be the same at `restore`. Nothing may be processed
   * until it is done. With the `copies` of the last one, what changed since is overwritten there.
   */
  *snapshotInSlices(copies?: SnapshotCopies): Slices<Snapshot> {
    const out = new PartsWriter(copies);
    out.section('pipeline 3');
    out.u32(this.started ? 1 : 0);
    this.watermark.snapshot(out);
    this.decoder.snapshot(out);
    this.gaps.snapshot(out);
    writeGroups(
      this.stages.filter((_, group) => this.windows.runs(group)),
      out,
    );
    return yield* out.parts();
  }

  /** The same at once, in one piece. */
  snapshot(): Uint8Array {
    return joined(whole(this.snapshotInSlices()));
  }

  /**
   * Goes on from a snapshot. Rules that were changed since, or are new, begin with nothing; returns the ids of those. Throws
   * `SnapshotError` if the bytes are no snapshot; the pipeline must then be thrown away.
   */
  restore(bytes: Uint8Array | Snapshot): string[] {
    const from = new SnapshotReader(bytes);
    from.section('pipeline 3');
    this.started = from.u32() === 1;
    this.watermark.restore(from);
    this.decoder.restore(from);
    this.gaps.restore(from);
    const fresh = readGroups(this.stages, from);
    for (const { stages, windows, rules } of fresh) {
      const { lowMs } = this.watermark;
      if (windows) stages.windows.passed(lowMs);
      // Windows that go on have open panes before that, which stay open.
      if (this.started) this.watchAll(stages, rules, windows ? lowMs : lowMs - stages.windows.spec.latenessMs);
    }
    return fresh.flatMap(({ rules }) => rules.map(({ id }) => id));
  }

  private decode(batch: RecordBatch): void {
    this.rejects.reset();
    this.events.reset(batch);
    this.decoder.decode(batch, this.events, this.rejects);
    this.counters.records += batch.records.length;
    this.counters.events += this.events.length;
    for (const reason of this.rejects.reasons) countBy(this.counters.rejected, reason);
  }

  /** Closes every pane that the watermark has passed. */
  private *close(): Slices<void> {
    const { lowMs } = this.watermark;
    if (!Number.isFinite(lowMs)) return;
    if (!this.started) {
      this.started = true;
      for (const stages of this.stages) this.watchAll(stages, stages.group.rules, this.watermark.startMs);
    }
    yield* this.windows.close(lowMs, (group) => this.detected(group));
  }

  /** A rule with `key: all` hears silence from `sinceMs` on, even if nothing of its own has come yet. */
  private watchAll({ windows }: GroupStages, rules: readonly Rule[], sinceMs: number): void {
    const [{ key: parts }] = rules;
    if (parts.length > 0 || !rules.some(({ detect }) => detect.some(({ kind }) => kind === 'silence'))) return;
    const key = compileKey(parts, this.events.plan);
    key.read(this.events, 0, this.hashKey);
    windows.watch(key.low, key.high, key.text(), sinceMs);
  }

  private detected(group: number): void {
    const { detections, keyFlood } = this.stages[group];
    for (const detection of detections) for (const finding of detection.take()) this.findings.push(finding);
    for (const finding of keyFlood.take()) this.findings.push(finding);
  }

  private takeFindings(): Finding[] {
    const { findings } = this;
    this.findings = [];
    this.counters.findings += findings.length;
    return findings;
  }
}
