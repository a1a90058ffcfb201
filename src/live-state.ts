/**
 * What a checkpoint is taken of: the pipeline that runs, the offsets of exactly the records that have gone through it, and whom its
 * watermark waits for. To be changed in the engine's turn only, but for `expect`, which comes when it comes.
 */
import type { Finding } from '../processors/detect/finding.ts';
import type { Pipeline } from '../processors/pipeline.ts';
import { partitionKey, type RecordBatch, topicOf } from '../processors/record.ts';
import { SnapshotError } from '../processors/snapshot.ts';
import type { SnapshotCopies } from '../processors/snapshot-copies.ts';
import { type Checkpoint, CheckpointError } from './checkpoint/checkpoint.ts';
import { Idleness } from './idleness.ts';
import { inSlices } from './in-slices.ts';
import { lookbackMs, Rebuild } from './rebuild.ts';
import type { Positions, RebuildStart, RecordLoss } from './source/source.ts';

export class LiveState {
  pipeline: Pipeline;
  readonly positions: Record<string, number> = {};
  /** Whether there is something to save. */
  private changed = false;
  private rebuild: Rebuild | undefined;
  /** Partitions that were found while a reload wrote the state down: it may have passed their place. */
  private announced: string[] | undefined;
  private readonly idleMs: number;
  private readonly idleness: Idleness;
  private readonly steadyClock: () => number;

  /**
   * @param idleMs wall-clock silence after which a partition is passed by
   * @param steadyClock milliseconds that nobody sets
   */
  constructor(pipeline: Pipeline, idleMs: number, steadyClock: () => number) {
    this.pipeline = pipeline;
    this.idleMs = idleMs;
    this.idleness = new Idleness(idleMs);
    this.steadyClock = steadyClock;
  }

  /** These partitions are waited for until they have been silent for long enough. */
  expect(keys: readonly string[]): void {
    this.pipeline.partitions(keys);
    this.announced?.push(...keys);
    for (const key of keys) this.idleness.seen(key, this.steadyClock());
  }

  /** This partition is at its end: the clock need not pass it by. */
  ended(key: string): void {
    this.idleness.forget(key);
  }

  /** What a batch leads to. Its records are covered by a checkpoint only once they have `passed`. */
  async process(batch: RecordBatch): Promise<Finding[]> {
    const { pipeline, idleness } = this;
    const key = partitionKey(batch.topic, batch.partition);
    idleness.noted(key, this.steadyClock());
    const eventsBefore = pipeline.counters.events;
    const findings = await inSlices(pipeline.processInSlices(batch));
    // A partition of nothing but garbage moves no watermark: it is as good as silent, and must not hold the others up for ever.
    if (pipeline.counters.events > eventsBefore) idleness.seen(key, this.steadyClock());
    return findings;
  }

  /** What came of the batch is durable. */
  passed({ topic, partition, records }: RecordBatch): void {
    this.positions[partitionKey(topic, partition)] = records[records.length - 1].offset + 1;
    this.changed = true;
  }

  lost({ key, dataset, kind, records }: RecordLoss): void {
    this.expect([key]);
    this.pipeline.loss(key, dataset, kind, records);
    this.changed = true;
  }

  /** Nothing could be heard of these partitions until now: their silence counts from here. */
  unheard(which: (topic: string) => boolean): void {
    this.idleness.countAnew(this.steadyClock(), (key) => which(topicOf(key)));
  }

  /** What the passing of time leads to, where somebody has been silent for long enough. */
  async tick(nowMs: number): Promise<Finding[]> {
    if (this.rebuild !== undefined) return [];
    const idle = this.idleness.idle(this.steadyClock());
    if (idle.length === 0) return [];
    const findings = await inSlices(this.pipeline.tickInSlices({ nowMs, idle }));
    this.changed = true;
    return findings;
  }

  /** Whether there is something to save that may be saved. */
  get isDue(): boolean {
    return this.changed && this.rebuild === undefined;
  }

  /** State and offsets of this instant, the state over these copies. */
  async take(copies: SnapshotCopies): Promise<Pick<Checkpoint, 'positions' | 'state'>> {
    const state = await inSlices(this.pipeline.snapshotInSlices(copies));
    this.changed = false;
    return { positions: { ...this.positions }, state };
  }

  /** Goes on from a checkpoint. Returns the ids of rules that begin with nothing; throws a CheckpointError on a state of another layout. */
  restore({ positions, state }: Checkpoint): string[] {
    const fresh = this.restorePipeline(state);
    Object.assign(this.positions, positions);
    // What was written while we were away is still to be read: nobody is passed by before he had his time to speak again.
    this.expect(Object.keys(positions));
    return fresh;
  }

  private restorePipeline(state: Checkpoint['state']): string[] {
    try {
      return this.pipeline.restore(state);
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error;
      throw new CheckpointError([
        `the state of the checkpoint is none of this version's: ${error.message}; ` +
          'run the version that wrote it, or move the checkpoints away to begin with none',
      ]);
    }
  }

  /** Goes on in another pipeline. Returns the ids of rules that begin with nothing; where it throws, all goes on as it was. */
  async goOnIn(next: Pipeline): Promise<string[]> {
    this.announced = [];
    try {
      const fresh = next.restore(await inSlices(this.pipeline.snapshotInSlices()));
      next.partitions(this.announced);
      this.pipeline = next;
      this.changed = true;
      return fresh;
    } finally {
      this.announced = undefined;
    }
  }

  /** How far back a rebuild has to read, by the timestamps of records. */
  get lookbackMs(): number {
    const rules = this.pipeline.stages.flatMap(({ group }) => group.rules);
    return lookbackMs(rules, this.idleMs);
  }

  /** A rebuild begins: an empty pipeline, of which none of the source's partitions is known. Until `rebuilt` nothing is due. */
  beginAnew(start: RebuildStart): void {
    for (const key of Object.keys(this.positions)) {
      if (!start.topics.includes(topicOf(key))) continue;
      delete this.positions[key];
      this.idleness.forget(key);
    }
    this.pipeline = this.pipeline.emptied();
    this.rebuild = new Rebuild(start);
    this.expect([...Object.keys(this.positions), ...start.partitions.map(({ key }) => key)]);
    for (const { key, whole } of start.partitions) if (!whole) this.pipeline.beginsLate(key, start.dataset);
  }

  /** The windows are whole again, and each partition goes on from here. */
  rebuilt(positions: Positions): void {
    Object.assign(this.positions, positions);
    this.expect(Object.keys(positions));
    this.rebuild = undefined;
    this.changed = true;
  }

  /** What may go out of what was found: all of it but during a rebuild. */
  told(found: readonly Finding[]): readonly Finding[] {
    return this.rebuild === undefined ? found : this.rebuild.told(found, this.pipeline);
  }
}
