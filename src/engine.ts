/**
 * source -> pipeline -> sink -> checkpoint -> commit. The delivery guarantee is written here:
 *
 * 1. Batches go through the pipeline one at a time; the findings of one are durable in every sink before the next one starts.
 * 2. A checkpoint holds the pipeline's state and the offsets of exactly the records that have gone through it.
 * 3. An offset is committed only after the checkpoint that covers it is durable.
 *
 * 4. A checkpoint remembers where each sink's findings ended, and so does the first thing a run without one does: save one.
 *
 * So after a crash everything past the last checkpoint is read again into the state of that checkpoint, and what comes out again has
 * the ids it had before: nothing is lost, and a sink with a mark leaves out what it has. A source waits for its batch, so a slow sink
 * slows the source.
 */
import type { Logger } from 'pino';
import type { Rejects } from '../processors/decode/decoder.ts';
import type { Finding } from '../processors/detect/finding.ts';
import type { Pipeline } from '../processors/pipeline.ts';
import { partitionKey, type RecordBatch } from '../processors/record.ts';
import { bytesIn, SnapshotError } from '../processors/snapshot.ts';
import type { SnapshotCopies } from '../processors/snapshot-copies.ts';
import { AllSinks } from './all-sinks.ts';
import { type Checkpoint, CheckpointError, type CheckpointStore } from './checkpoint/checkpoint.ts';
import { Checkpointer } from './checkpoint/checkpointer.ts';
import { Idleness } from './idleness.ts';
import { inSlices } from './in-slices.ts';
import { LossLog } from './loss-log.ts';
import { Mutex } from './mutex.ts';
import { lookbackMs, Rebuild } from './rebuild.ts';
import { SampleText } from './sample-text.ts';
import { lossFinding, stoppedFinding } from './self-finding.ts';
import { type ShutdownStep, shutDown } from './shutdown.ts';
import type { DeadLetter, DeadRecord } from './sink/dead-letter.ts';
import type { Sink } from './sink/sink.ts';
import type { RebuildIntake, RebuildStart, RecordIntake, RecordLoss, Source } from './source/source.ts';
import { SourceWatch } from './source-watch.ts';

export interface EngineParts {
  /** The first one: `reload` may put another in its place. */
  readonly pipeline: Pipeline;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly deadLetter?: DeadLetter;
  /** Where state and offsets are kept; without one (a backtest) nothing is restored or committed. */
  readonly checkpoints?: CheckpointStore;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Milliseconds that only pass, for how long something has lasted: a wall clock that is set must not make a partition silent. Default: `clock`. */
  readonly steadyClock?: () => number;
}

export interface EngineOptions {
  readonly checkpointEveryMs: number;
  /** Wall-clock silence after which a partition is passed by. */
  readonly idleMs: number;
  readonly tickEveryMs: number;
  /** How long a sink may be away before the process gives up; what it had not acknowledged is read again at the next start. */
  readonly maxOutageMs: number;
  readonly shutdownMs: number;
  /** Whether a source that gave up or stands still, and a run that ends by itself, are findings: not in a replay, whose findings are the records'. */
  readonly tellsOfItself: boolean;
}

export const engineDefaults: EngineOptions = {
  checkpointEveryMs: 5_000,
  idleMs: 60_000,
  tickEveryMs: 1_000,
  maxOutageMs: 15 * 60_000,
  shutdownMs: 20_000,
  tellsOfItself: true,
};

export class Engine {
  readonly sinks: AllSinks;
  /** Undefined where there is no place for checkpoints. */
  readonly checkpointer: Checkpointer | undefined;
  /** What was lost or dropped lately. */
  readonly lossLog = new LossLog();
  /** The one that runs now. */
  pipeline: Pipeline;
  private readonly parts: EngineParts;
  private readonly options: EngineOptions;
  private readonly turn = new Mutex();
  private readonly idleness: Idleness;
  private readonly sampleText: SampleText;
  private readonly positions: Record<string, number> = {};
  private readonly sourceOf = new Map<string, Source>();
  private dirty = false;
  private rebuild: Rebuild | undefined;
  /** Partitions that were found while a reload wrote the state down: it may have passed their place. */
  private announced: string[] | undefined;
  private stopping = false;
  private begun = false;
  private failure: unknown;
  private readonly timers: NodeJS.Timeout[] = [];
  private wakeStopped: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => {
    this.wakeStopped = resolve;
  });
  private readonly steadyClock: () => number;
  /** Sources that are away or stand still. */
  readonly sourceWatch: SourceWatch;
  /** What is still to be told when the run has failed. */
  private lastWords: Finding[] = [];

  constructor(parts: EngineParts, options: Partial<EngineOptions> = {}) {
    this.parts = parts;
    this.pipeline = parts.pipeline;
    this.options = { ...engineDefaults, ...options };
    this.steadyClock = parts.steadyClock ?? parts.clock;
    const { checkpoints: store, sources, clock } = parts;
    const take = (copies: SnapshotCopies) => this.takeCheckpoint(copies);
    this.checkpointer = store && new Checkpointer({ store, sources, take, clock, steadyClock: this.steadyClock });
    const { sinks, log } = parts;
    this.sinks = new AllSinks({ sinks, log, clock, maxOutageMs: this.options.maxOutageMs });
    this.sourceWatch = new SourceWatch(parts.sources, this.now());
    this.idleness = new Idleness(this.options.idleMs);
    this.sampleText = new SampleText((topic) => this.sourceOf.get(topic));
  }

  /** Runs until every source has ended, `stop` is called or something fails for good; then shuts down in order. Throws what failed. */
  async run(): Promise<void> {
    let running: Promise<unknown> = Promise.resolve();
    try {
      await this.begin();
      // Told to stop before anything ran: there is nothing to wake up for.
      if (!this.stopping) {
        running = Promise.all(this.parts.sources.map((source) => this.runSource(source)));
        await Promise.race([running, this.stopped]);
      }
      if (!this.stopping) await this.finish();
    } catch (error) {
      this.failure ??= error;
    }
    await this.shutDown(running);
    if (this.failure !== undefined) throw this.failure;
  }

  private async runSource(source: Source): Promise<void> {
    try {
      await source.run({ ...this.positions }, this.intakeOf(source));
    } catch (error) {
      // What the engine itself could not do comes back through the source, and is none of its making.
      if (this.failure === undefined) this.lastWords = this.sourceWatch.gaveUp(source, error, this.now());
      throw error;
    }
  }

  private now() {
    return { wallMs: this.parts.clock(), steadyMs: this.steadyClock() };
  }

  /** What fails here leaves things open, which the shutdown closes. */
  private async begin(): Promise<void> {
    await this.sinks.open();
    await this.parts.deadLetter?.open();
    await this.restore();
    this.startTimers();
    this.begun = true;
  }

  /** Asks `run` to shut down; returns at once. */
  stop(): void {
    this.stopping = true;
    this.sinks.sitOutNoMore();
    this.wakeStopped();
  }

  /**
   * Puts another pipeline in the place of the one that runs, between two batches: it goes on from the state of that one. Returns the ids of
   * rules that begin with nothing. Throws what `make` or taking over the state threw; then all goes on as it was.
   */
  reload(make: (running: Pipeline) => Pipeline): Promise<string[]> {
    return this.turn.run(async () => {
      if (this.failure !== undefined) throw this.failure;
      const next = make(this.pipeline);
      this.announced = [];
      try {
        const fresh = next.restore(await inSlices(this.pipeline.snapshotInSlices()));
        next.partitions(this.announced);
        this.pipeline = next;
        this.dirty = true;
        return fresh;
      } finally {
        this.announced = undefined;
      }
    });
  }

  /** What one source hands its records to. */
  private intakeOf(source: Source): RecordIntake {
    return {
      partitions: (keys) => this.expect(keys),
      ended: (key) => {
        this.idleness.forget(key);
        this.inTurn(async () => this.write(await inSlices(this.pipeline.endedInSlices(key)))).catch(() => {});
      },
      batch: (records) => this.inTurn(() => this.accept(source, records)),
      lost: (loss) => void this.inTurn(() => this.lost(source, loss)).catch(() => {}),
      revoked: () => this.checkpoint(),
      ...(this.parts.checkpoints === undefined ? {} : { rebuild: this.rebuildOf(source) }),
    };
  }

  private rebuildOf(source: Source): RebuildIntake {
    return {
      lookbackMs: () =>
        lookbackMs(
          this.pipeline.stages.flatMap(({ group }) => group.rules),
          this.options.idleMs,
        ),
      begin: (start) => this.inTurn(() => this.beginAnew(source, start)),
      batch: (records) => this.inTurn(() => this.accept(source, records, true)),
      done: (positions) =>
        this.inTurn(async () => {
          Object.assign(this.positions, positions);
          this.expect(Object.keys(positions));
          this.rebuild = undefined;
          this.dirty = true;
        }),
    };
  }

  /** An empty pipeline, of which none of the source's partitions is known. */
  private async beginAnew(source: Source, start: RebuildStart): Promise<void> {
    const { log } = this.parts;
    for (const key of Object.keys(this.positions)) {
      if (!start.topics.includes(key.slice(0, key.lastIndexOf('/')))) continue;
      delete this.positions[key];
      this.idleness.forget(key);
    }
    this.pipeline = this.pipeline.emptied();
    this.rebuild = new Rebuild(start);
    this.expect([...Object.keys(this.positions), ...start.partitions.map(({ key }) => key)]);
    for (const { key, whole } of start.partitions) if (!whole) this.pipeline.beginsLate(key, start.dataset);
    await this.sinks.recall(start.sinceMs);
    const since = new Date(start.sinceMs);
    log.info({ source: source.name, partitions: start.partitions.length, since }, 'windows are made again from what was read before');
  }

  /** These partitions are waited for until they have been silent for long enough. */
  private expect(keys: readonly string[]): void {
    this.pipeline.partitions(keys);
    this.announced?.push(...keys);
    for (const key of keys) this.idleness.seen(key, this.steadyClock());
  }

  /** One task at a time. The first that fails ends the run: its batch is half done, so nothing may be checkpointed after it. */
  private inTurn(task: () => Promise<void>): Promise<void> {
    return this.turn.run(async () => {
      if (this.failure !== undefined) throw this.failure;
      try {
        await task();
      } catch (error) {
        this.fail(error);
        throw error;
      }
    });
  }

  /** `again`: these records have been through a pipeline before. */
  private async accept(source: Source, batch: RecordBatch, again = false): Promise<void> {
    if (batch.records.length === 0) return;
    const { deadLetter, clock } = this.parts;
    const { pipeline } = this;
    const key = partitionKey(batch.topic, batch.partition);
    this.sourceOf.set(batch.topic, source);
    this.idleness.noted(key, this.steadyClock());
    this.sourceWatch.progressed(source, this.steadyClock());
    const eventsBefore = pipeline.counters.events;
    const findings = await inSlices(pipeline.processInSlices(batch));
    // A partition of nothing but garbage moves no watermark: it is as good as silent, and must not hold the others up for ever.
    if (pipeline.counters.events > eventsBefore) this.idleness.seen(key, this.steadyClock());
    this.lossLog.look(pipeline.counters, clock());
    if (!again && pipeline.rejects.recordIndexes.length > 0) await deadLetter?.write(deadRecords(batch, pipeline.rejects));
    await this.write(findings, batch);
    this.positions[key] = batch.records[batch.records.length - 1].offset + 1;
    this.dirty = true;
  }

  /** Records are missing: the windows they may have belonged to say so, and so does a finding of its own. */
  private async lost(source: Source, { key, dataset, kind, records }: RecordLoss): Promise<void> {
    const { clock, log } = this.parts;
    const { pipeline } = this;
    this.expect([key]);
    pipeline.loss(key, dataset, kind, records);
    this.lossLog.look(pipeline.counters, clock());
    this.dirty = true;
    log.warn({ source: source.name, partition: key, kind, records }, 'records are lost');
    await this.write([lossFinding(source.name, key, kind, records, this.positions[key], clock())]);
  }

  /** Makes findings durable in every sink; while one is away it is tried again, and the sources wait. */
  private async write(found: readonly Finding[], batch?: RecordBatch): Promise<void> {
    const findings = this.rebuild === undefined ? found : this.rebuild.told(found, this.pipeline);
    if (findings.length === 0) return;
    await this.sampleText.fill(findings, batch);
    await this.sinks.write(findings);
  }

  private async restore(): Promise<void> {
    const { checkpoints, log } = this.parts;
    if (checkpoints === undefined) return;
    const checkpoint = await checkpoints.load();
    await this.sinks.resume(checkpoint?.marks);
    if (checkpoint === undefined) {
      // Killed before its first checkpoint, a run would otherwise not know what it wrote.
      if (this.sinks.hasMarks)
        await checkpoints.save({ positions: {}, state: [this.pipeline.snapshot()], marks: await this.sinks.marks() });
      return;
    }
    const fresh = this.restoreState(checkpoint.state);
    Object.assign(this.positions, checkpoint.positions);
    // What was written while we were away is still to be read: nobody is passed by before he had his time to speak again.
    this.expect(Object.keys(checkpoint.positions));
    log.info({ positions: checkpoint.positions, stateBytes: bytesIn(checkpoint.state), beginAnew: fresh }, 'restored from the checkpoint');
  }

  /** Returns the ids of rules that begin with nothing. */
  private restoreState(state: Checkpoint['state']): string[] {
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

  private startTimers(): void {
    const { checkpointEveryMs, tickEveryMs } = this.options;
    const every = (ms: number, task: () => Promise<void>) => {
      let running = false;
      const timer = setInterval(() => {
        // What takes longer than that is not asked for twice.
        if (running) return;
        running = true;
        task()
          .catch(() => {})
          .finally(() => {
            running = false;
          });
      }, ms);
      this.timers.push(timer);
    };
    if (this.parts.checkpoints !== undefined) every(checkpointEveryMs, () => this.checkpoint());
    if (this.options.tellsOfItself) every(tickEveryMs, () => this.inTurn(async () => this.write(this.sourceWatch.look(this.now()))));
    if (Number.isFinite(this.options.idleMs)) every(tickEveryMs, () => this.inTurn(() => this.tick()));
  }

  private async tick(): Promise<void> {
    if (this.rebuild !== undefined) return;
    const nowMs = this.parts.clock();
    const idle = this.idleness.idle(this.steadyClock());
    if (idle.length === 0) return;
    await this.write(await inSlices(this.pipeline.tickInSlices({ nowMs, idle })));
    this.dirty = true;
  }

  /** Told where it can be: a sink that is away is why we stop, as often as not. */
  private async sayLastWords(): Promise<void> {
    const { clock } = this.parts;
    const reason = this.failure instanceof Error ? this.failure.message : String(this.failure);
    const words = this.lastWords.length > 0 ? this.lastWords : [stoppedFinding(reason, clock())];
    await this.sinks.tell(words);
  }

  private async finish(): Promise<void> {
    await this.inTurn(async () => this.write(await inSlices(this.pipeline.finishInSlices())));
  }

  private async checkpoint(): Promise<void> {
    try {
      await this.checkpointer?.next();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** State, offsets and marks of one instant. */
  private async takeCheckpoint(copies: SnapshotCopies): Promise<Checkpoint | undefined> {
    let taken: Checkpoint | undefined;
    await this.inTurn(async () => {
      if (!this.dirty || this.rebuild !== undefined) return;
      const state = await inSlices(this.pipeline.snapshotInSlices(copies));
      taken = { positions: { ...this.positions }, state, marks: await this.sinks.marks() };
      this.dirty = false;
    });
    return taken;
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    this.stop();
  }

  /** In order, and within the deadline: no more input, what is under way, a last checkpoint, then the ends. */
  private async shutDown(running: Promise<unknown>): Promise<void> {
    this.stop();
    for (const timer of this.timers) clearInterval(timer);
    const { sources, sinks, deadLetter, checkpoints, log } = this.parts;
    const steps: ShutdownStep[] = [
      ...sources.map((source) => ({ name: `source ${source.name}`, run: () => source.stop() })),
      { name: 'sources to return', run: () => running.then(() => {}).catch((error: unknown) => this.fail(error)) },
      { name: 'the batch under way', run: () => this.turn.run(async () => {}) },
    ];
    // After a failure nothing new is saved; what was taken before it may be finished.
    const last = this.failure === undefined ? () => this.checkpoint() : async () => this.checkpointer?.settled();
    steps.push({ name: 'the last checkpoint', run: last });
    if (this.failure !== undefined && this.begun && this.options.tellsOfItself)
      steps.push({ name: 'last words', run: () => this.sayLastWords() });
    steps.push(...sinks.map((sink) => ({ name: `sink ${sink.name}`, run: () => sink.close() })));
    if (deadLetter !== undefined) steps.push({ name: 'the dead letter', run: () => deadLetter.close() });
    if (checkpoints?.close !== undefined) steps.push({ name: 'the checkpoints', run: async () => checkpoints.close?.() });
    const stuck = await shutDown(steps, this.options.shutdownMs);
    for (const { name, reason } of stuck) log.error({ step: name, reason }, 'shutdown step failed');
    if (stuck.length > 0) this.failure ??= new Error(`shutdown: ${stuck.map(({ name, reason }) => `${name}: ${reason}`).join('; ')}`);
  }
}

/** The records that could not be decoded, each with its place and the reason. */
function deadRecords(batch: RecordBatch, rejects: Rejects): DeadRecord[] {
  return rejects.recordIndexes.map((index, i) => {
    const { value, offset, cutFromBytes } = batch.records[index];
    return { topic: batch.topic, partition: batch.partition, offset, reason: rejects.reasons[i], value, cutFromBytes };
  });
}
