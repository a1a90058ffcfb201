/** The whole path of a record, on one screen: decode -> watermark -> match -> window -> detect. Pure: bytes and ticks in, findings out. */
import { type BuiltRule, buildRule } from './build-rule.ts';
import { Counters, countBy } from './counters.ts';
import { createDecoder, type DecodeOptions } from './decode/create-decoder.ts';
import { type Decoder, Rejects } from './decode/decoder.ts';
import { EventBatch, FieldPlan } from './decode/event-batch.ts';
import type { Finding, Score } from './detect/finding.ts';
import { compileKey } from './match/key.ts';
import { type MatchIntake, RuleSet } from './match/rule-set.ts';
import { partitionKey, type RecordBatch, type SourceRecord } from './record.ts';
import type { Rule } from './rule.ts';
import { hashKeyOf, publishedHashKey } from './sketch/hash.ts';
import { SnapshotReader, SnapshotWriter } from './snapshot.ts';
import { partitionSeed, sampleHash } from './window/sample-hash.ts';
import { type Tick, Watermark } from './window/watermark.ts';
import { WindowStage } from './window/window-stage.ts';

export interface PipelineOptions {
  /** 8 bytes that key every hash; the published ones where there are none. */
  readonly hashKey?: Uint8Array;
  /** An event further ahead of its record's timestamp than this is set aside. Default 5 minutes. */
  readonly futureSkewMs?: number;
  readonly decode?: Omit<DecodeOptions, 'plan'>;
  /** Only events of [fromMs, toMs) count; others are passed over. */
  readonly span?: { readonly fromMs: number; readonly toMs: number };
  /** Gets a row for every evaluated window and key; every key is then judged at every close. */
  readonly score?: (score: Score) => void;
}

export class Pipeline {
  readonly counters = new Counters();
  /** Records of the last batch that could not be decoded or placed in time. */
  readonly rejects = new Rejects();
  readonly watermark = new Watermark();
  /** In the order of the rules. */
  readonly stages: readonly BuiltRule[];
  private readonly rules: readonly Rule[];
  private readonly hashKey: Uint32Array;
  private readonly decoder: Decoder;
  private readonly events: EventBatch;
  private readonly ruleSet: RuleSet;
  private readonly windows: WindowStage;
  private readonly intake: MatchIntake;
  private readonly futureSkewMs: number;
  private readonly fromMs: number;
  private readonly toMs: number;
  private findings: Finding[] = [];
  private started = false;

  constructor(rules: readonly Rule[], options: PipelineOptions = {}) {
    const plan = new FieldPlan();
    this.rules = rules;
    this.hashKey = hashKeyOf(options.hashKey ?? publishedHashKey);
    this.ruleSet = new RuleSet(rules, plan, this.hashKey);
    this.decoder = createDecoder({ ...options.decode, plan });
    this.events = new EventBatch(plan, this.hashKey);
    this.futureSkewMs = options.futureSkewMs ?? 300_000;
    this.fromMs = options.span?.fromMs ?? Number.NEGATIVE_INFINITY;
    this.toMs = options.span?.toMs ?? Number.POSITIVE_INFINITY;
    this.stages = rules.map((rule) => buildRule(rule, { score: options.score, partitionName: (index) => this.watermark.name(index) }));
    const keyedWindows = this.stages.map(({ windows }) => windows);
    this.windows = new WindowStage(rules, keyedWindows, this.watermark, this.counters);
    this.intake = {
      match: (match, key) => this.windows.add(match, key) && this.detected(match.rule),
      keyMissing: (rule) => countBy(this.counters.keyMissing, rules[rule].id),
      valueMissing: (rule) => countBy(this.counters.wrongType, rules[rule].id),
    };
  }

  /** One partition's records in, findings out. Live runs, drains and backtests all go through here; how input is cut into batches changes nothing. */
  process(batch: RecordBatch): Finding[] {
    const { events, watermark, windows } = this;
    const name = partitionKey(batch.topic, batch.partition);
    const partition = watermark.partition(name);
    const seed = partitionSeed(name);
    this.decode(batch);
    for (let row = 0; row < events.length; row++) {
      const record = batch.records[events.recordIndex[row]];
      if (!this.placeInTime(row, record, partition)) continue;
      watermark.observe(partition, events.timeMs[row]);
      if (watermark.lowMs >= windows.nextDueMs) this.close();
      if (events.lost[row] > 0) this.lost(row, partition);
      this.ruleSet.match(events, row, partition, record.offset, sampleHash(seed, record.offset), this.intake);
    }
    return this.takeFindings();
  }

  /** The clock's word on quiet streams: passes idle partitions by, and closes what only waited for them. */
  tick(tick: Tick): Finding[] {
    this.watermark.tick(tick);
    this.close();
    return this.takeFindings();
  }

  /** These partitions exist, and the watermark must wait for them. */
  partitions(keys: readonly string[]): void {
    for (const key of keys) this.watermark.partition(key);
  }

  /** A partition has no more records: the watermark waits for it no longer. */
  ended(key: string): Finding[] {
    this.watermark.end(this.watermark.partition(key));
    this.close();
    return this.takeFindings();
  }

  /** End of input, the last tick: closes every pane up to the one that holds the newest event. */
  finish(): Finding[] {
    const { highMs } = this.watermark;
    if (highMs > this.watermark.lowMs) this.watermark.lowMs = highMs;
    this.close();
    this.windows.closeAll(highMs, (rule) => this.detected(rule));
    return this.takeFindings();
  }

  /** The state between two calls, whole. The hash key and the options are not in it: they must be the same at `restore`. */
  snapshot(): Uint8Array {
    const out = new SnapshotWriter(1 << 16);
    out.section('pipeline 1');
    out.u32(this.started ? 1 : 0);
    this.watermark.snapshot(out);
    this.decoder.snapshot(out);
    out.u32(this.rules.length);
    const ruleState = new SnapshotWriter(1 << 16);
    this.stages.forEach((stage, index) => {
      ruleState.reset();
      stage.windows.snapshot(ruleState);
      stage.detection.snapshot(ruleState);
      out.text(ruleIdentity(this.rules[index]));
      out.array(ruleState.done());
    });
    return out.done();
  }

  /**
   * Goes on from a snapshot. A rule that was changed since, or is new, begins with nothing; returns the ids of those. Throws
   * `SnapshotError` if the bytes are no snapshot; the pipeline must then be thrown away.
   */
  restore(bytes: Uint8Array): string[] {
    const from = new SnapshotReader(bytes);
    from.section('pipeline 1');
    this.started = from.u32() === 1;
    this.watermark.restore(from);
    this.decoder.restore(from);
    const states = new Map<string, Uint8Array>();
    for (let count = from.u32(); count > 0; count--) states.set(from.text(), from.u8s());
    const fresh: string[] = [];
    this.rules.forEach((rule, index) => {
      const state = states.get(ruleIdentity(rule));
      if (state === undefined) {
        fresh.push(rule.id);
        this.stages[index].windows.passed(this.watermark.lowMs);
        if (this.started) this.watchAll(index, this.watermark.lowMs);
        return;
      }
      const ruleFrom = new SnapshotReader(state);
      this.stages[index].windows.restore(ruleFrom);
      this.stages[index].detection.restore(ruleFrom);
    });
    return fresh;
  }

  private decode(batch: RecordBatch): void {
    this.rejects.reset();
    this.events.reset(batch);
    this.decoder.decode(batch, this.events, this.rejects);
    this.counters.records += batch.records.length;
    this.counters.events += this.events.length;
    for (const reason of this.rejects.reasons) countBy(this.counters.rejected, reason);
  }

  /** Gives an event without a time its record's (or the newest of its partition); sets a future-dated one aside. Returns false if the event does not count. */
  private placeInTime(row: number, record: SourceRecord, partition: number): boolean {
    const { timeMs } = this.events;
    if (Number.isNaN(timeMs[row])) {
      timeMs[row] = Number.isNaN(record.timestampMs) ? this.watermark.newest(partition) : record.timestampMs;
      this.counters.timeFromRecord++;
      if (Number.isFinite(timeMs[row])) return true;
      this.setAside(row, 'no_time');
      return false;
    }
    if (timeMs[row] > record.timestampMs + this.futureSkewMs) {
      this.setAside(row, 'future_dated');
      return false;
    }
    return timeMs[row] >= this.fromMs && timeMs[row] < this.toMs;
  }

  private setAside(row: number, reason: 'no_time' | 'future_dated'): void {
    this.rejects.add(this.events.recordIndex[row], reason);
    countBy(this.counters.rejected, reason);
  }

  /** The sender says that messages were lost: the windows they may have belonged to must know. */
  private lost(row: number, partition: number): void {
    const { lost, lostSinceMs, timeMs, records } = this.events;
    this.counters.lostUpstream += lost[row];
    const sinceMs = Number.isNaN(lostSinceMs[row]) ? timeMs[row] : lostSinceMs[row];
    this.windows.lost(records.dataset, partition, sinceMs, timeMs[row]);
  }

  /** Closes every pane that the watermark has passed. */
  private close(): void {
    const { lowMs } = this.watermark;
    if (!Number.isFinite(lowMs)) return;
    if (!this.started) this.start();
    this.windows.close(lowMs, (rule) => this.detected(rule));
  }

  /** From here on a rule with `key: all` hears silence, even if nothing of its own has come yet. */
  private start(): void {
    this.started = true;
    this.rules.forEach((_, index) => {
      this.watchAll(index, this.watermark.startMs);
    });
  }

  private watchAll(index: number, sinceMs: number): void {
    const { key: parts, detect } = this.rules[index];
    if (parts.length > 0 || !detect.some(({ kind }) => kind === 'silence')) return;
    const key = compileKey(parts, this.events.plan);
    key.read(this.events, 0, this.hashKey);
    this.stages[index].windows.watch(key.low, key.high, key.text(), sinceMs);
  }

  private detected(rule: number): void {
    const found = this.stages[rule].detection.take();
    if (found.length > 0) this.findings.push(...found);
  }

  private takeFindings(): Finding[] {
    const { findings } = this;
    this.findings = [];
    this.counters.findings += findings.length;
    return findings;
  }
}

/** What a rule's state depends on: all of it but the words. */
function ruleIdentity({ title: _, finding, severity: __, ...rest }: Rule): string {
  return JSON.stringify({ ...rest, muteMs: finding.muteMs });
}
