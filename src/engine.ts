/**
 * source -> pipeline -> sink -> checkpoint -> commit. The delivery guarantee is written here:
 *
 * 1. Batches go through the pipeline one at a time; the findings of one are durable in every sink before the next one starts.
 * 2. A checkpoint holds the pipeline's state and the offsets of exactly the records that have gone through it.
 * 3. An offset is committed only after the checkpoint that covers it is durable.
 * 4. A checkpoint remembers where each sink's findings ended, and so does the first thing a run without one does: save one.
 *
 * So after a crash everything past the last checkpoint is read again into the state of that checkpoint, and what comes out again has
 * the ids it had before: nothing is lost, and a sink with a mark leaves out what it has. A source waits for its batch, so a slow sink
 * slows the source. What a checkpoint is taken of is in `live-state.ts`, and is changed here only.
 */
import type { Finding } from '../processors/detect/finding.ts';
import type { Pipeline } from '../processors/pipeline.ts';
import type { RecordBatch } from '../processors/record.ts';
import type { SnapshotCopies } from '../processors/snapshot-copies.ts';
import { AllSinks } from './all-sinks.ts';
import type { Checkpoint, CheckpointStore } from './checkpoint/checkpoint.ts';
import { Checkpointer } from './checkpoint/checkpointer.ts';
import { deadRecords } from './dead-records.ts';
import { type EngineOptions, type EngineParts, engineDefaults } from './engine-parts.ts';
import { inSlices } from './in-slices.ts';
import { LiveState } from './live-state.ts';
import { LossLog } from './loss-log.ts';
import { Mutex } from './mutex.ts';
import { Origins } from './origins.ts';
import { resume } from './resume.ts';
import { SaidLosses } from './said-losses.ts';
import { SampleText } from './sample-text.ts';
import { lossFinding, stoppedFinding } from './self-finding.ts';
import { type ShutdownStep, shutDown, shutdownSteps } from './shutdown.ts';
import type { RebuildIntake, RebuildStart, RecordIntake, RecordLoss, Source } from './source/source.ts';
import { SourceWatch } from './source-watch.ts';
import { Timers } from './timers.ts';

/** A turn that took longer had a sink or the dead letter away, and nothing was read. Far above a slow write: those must not keep a quiet partition from being passed by. */
const heldUpMs = 10_000;

export class Engine {
  readonly sinks: AllSinks;
  /** Undefined where there is no place for checkpoints. */
  readonly checkpointer: Checkpointer | undefined;
  /** What was lost or dropped lately. */
  readonly lossLog = new LossLog();
  private readonly parts: EngineParts;
  private readonly options: EngineOptions;
  private readonly turn = new Mutex();
  private readonly state: LiveState;
  private readonly origins: Origins;
  private readonly sampleText: SampleText;
  private readonly sourceOf = new Map<string, Source>();
  private stopping = false;
  private begun = false;
  private failure: unknown;
  private readonly timers = new Timers();
  private wakeStopped: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => {
    this.wakeStopped = resolve;
  });
  private readonly steadyClock: () => number;
  private readonly saidLosses = new SaidLosses();
  /** Sources that are away or stand still. */
  readonly sourceWatch: SourceWatch;
  /** What is still to be told when the run has failed. */
  private lastWords: Finding[] = [];

  constructor(parts: EngineParts, options: Partial<EngineOptions> = {}) {
    this.parts = parts;
    this.options = { ...engineDefaults, ...options };
    this.steadyClock = parts.steadyClock ?? parts.clock;
    this.state = new LiveState(parts.pipeline, this.options.idleMs, this.steadyClock);
    const { checkpoints: store, sources, clock } = parts;
    const take = (copies: SnapshotCopies) => this.takeCheckpoint(copies);
    this.checkpointer = store && new Checkpointer({ store, sources, take, clock, steadyClock: this.steadyClock });
    const { sinks, log } = parts;
    this.sinks = new AllSinks({ sinks, log, clock, maxOutageMs: this.options.maxOutageMs });
    this.sourceWatch = new SourceWatch(parts.sources, this.now());
    this.origins = new Origins(parts.sources);
    this.sampleText = new SampleText((topic) => this.sourceOf.get(topic), this.steadyClock);
  }

  /** The one that runs now. */
  get pipeline(): Pipeline {
    return this.state.pipeline;
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
      await source.run({ ...this.state.positions }, this.intakeOf(source));
    } catch (error) {
      // What the engine itself could not do comes back through the source, and is none of its making.
      if (this.failure === undefined) this.gaveUp(source, error);
      throw error;
    }
  }

  private gaveUp(source: Source, error: unknown): void {
    this.lastWords = this.sourceWatch.gaveUp(source, error, this.now());
  }

  private now() {
    return { wallMs: this.parts.clock(), steadyMs: this.steadyClock() };
  }

  /** What fails here leaves things open, which the shutdown closes. */
  private async begin(): Promise<void> {
    await this.sinks.open();
    await this.parts.deadLetter?.open();
    if (this.parts.checkpoints !== undefined) await this.restore(this.parts.checkpoints);
    this.startTimers();
    this.begun = true;
  }

  private async restore(checkpoints: CheckpointStore): Promise<void> {
    const { origins, sinks, state } = this;
    await Promise.race([origins.ask((source, error) => this.gaveUp(source, error)), this.stopped]);
    if (!this.stopping) await resume({ checkpoints, origins, sinks, state, log: this.parts.log });
  }

  private startTimers(): void {
    const { timers } = this;
    const { checkpointEveryMs, tickEveryMs, tellsOfItself, idleMs } = this.options;
    const itself = () => [...this.sourceWatch.look(this.now()), ...this.saidLosses.due(this.now())];
    if (this.parts.checkpoints !== undefined) timers.every(checkpointEveryMs, () => this.checkpoint());
    if (tellsOfItself) timers.every(tickEveryMs, () => this.inTurn(async () => this.write(itself())));
    if (Number.isFinite(idleMs)) timers.every(tickEveryMs, () => this.inTurn(() => this.tick()));
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
      return this.state.goOnIn(make(this.pipeline));
    });
  }

  /** What one source hands its records to. */
  private intakeOf(source: Source): RecordIntake {
    return {
      partitions: (keys) => this.state.expect(keys),
      ended: (key) => {
        this.state.ended(key);
        this.inTurn(async () => this.write(await inSlices(this.pipeline.endedInSlices(key)))).catch(() => {});
      },
      batch: (records) => this.inTurn(() => this.accept(source, records)),
      lost: (loss) => void this.inTurn(() => this.lost(source, loss)).catch(() => {}),
      revoked: () => this.checkpoint(),
      ...(this.parts.checkpoints === undefined ? {} : { rebuild: this.rebuildOf(source) }),
    };
  }

  /** One task at a time. The first that fails ends the run: its batch is half done, so nothing may be checkpointed after it. */
  private inTurn(task: () => Promise<void>): Promise<void> {
    return this.turn.run(async () => {
      if (this.failure !== undefined) throw this.failure;
      const beganMs = this.steadyClock();
      try {
        await task();
        if (this.steadyClock() - beganMs > heldUpMs) this.state.unheard(() => true);
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
    this.sourceOf.set(batch.topic, source);
    this.sourceWatch.progressed(source, this.steadyClock());
    const findings = await this.state.process(batch);
    if (this.options.tellsOfItself) {
      this.lossLog.look(pipeline.counters, clock());
      if (!again) findings.push(...this.saidLosses.came(source.name, batch, pipeline.saidLosses, this.now()));
    }
    if (!again && pipeline.rejects.recordIndexes.length > 0) await deadLetter?.write(deadRecords(batch, pipeline.rejects));
    await this.write(findings, batch);
    this.state.passed(batch);
  }

  /** Makes findings durable in every sink; while one is away it is tried again, and the sources wait. */
  private async write(found: readonly Finding[], batch?: RecordBatch): Promise<void> {
    const findings = this.state.told(found);
    if (findings.length === 0) return;
    await this.sampleText.fill(findings, batch);
    await this.sinks.write(findings);
  }

  private async tick(): Promise<void> {
    for (const source of this.parts.sources) if (source.health().away) this.state.unheard((topic) => source.reads?.(topic) ?? true);
    await this.write(await this.state.tick(this.parts.clock()));
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
      if (!this.state.isDue) return;
      const { positions, state } = await this.state.take(copies);
      taken = { positions, origins: this.origins.of(positions), state, marks: await this.sinks.marks() };
    });
    return taken;
  }

  /** Records are missing: the windows they may have belonged to say so, and so does a finding of its own. */
  private async lost(source: Source, loss: RecordLoss): Promise<void> {
    const { clock, log } = this.parts;
    const { key, kind, records } = loss;
    this.state.lost(loss);
    this.lossLog.look(this.pipeline.counters, clock());
    log.warn({ source: source.name, partition: key, kind, records }, 'records are lost');
    await this.write([lossFinding(source.name, key, kind, records, this.state.positions[key], clock())]);
  }

  private rebuildOf(source: Source): RebuildIntake {
    return {
      lookbackMs: () => this.state.lookbackMs,
      begin: (start) => this.inTurn(() => this.beginAnew(source, start)),
      batch: (records) => this.inTurn(() => this.accept(source, records, true)),
      done: (positions) => this.inTurn(async () => this.state.rebuilt(positions)),
    };
  }

  private async beginAnew(source: Source, start: RebuildStart): Promise<void> {
    this.state.beginAnew(start);
    await this.sinks.recall(start.sinceMs);
    const details = { source: source.name, partitions: start.partitions.length, since: new Date(start.sinceMs) };
    this.parts.log.info(details, 'windows are made again from what was read before');
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    this.stop();
  }

  /** In order, and within the deadline: no more input, what is under way, a last checkpoint, then the ends. */
  private async shutDown(running: Promise<unknown>): Promise<void> {
    this.stop();
    this.timers.clear();
    const between: ShutdownStep[] = [
      { name: 'sources to return', run: () => running.then(() => {}).catch((error: unknown) => this.fail(error)) },
      // What senders lost is told before the last checkpoint covers what says it.
      { name: 'the batch under way', run: () => this.turn.run(() => this.sinks.tell(this.saidLosses.due(this.now(), true))) },
    ];
    // After a failure nothing new is saved; what was taken before it may be finished.
    const last = this.failure === undefined ? () => this.checkpoint() : async () => this.checkpointer?.settled();
    between.push({ name: 'the last checkpoint', run: last });
    const hasWords = this.begun || this.lastWords.length > 0;
    if (this.failure !== undefined && hasWords && this.options.tellsOfItself)
      between.push({ name: 'last words', run: () => this.sayLastWords() });
    const stuck = await shutDown(shutdownSteps(this.parts, between), this.options.shutdownMs);
    for (const { name, reason } of stuck) this.parts.log.error({ step: name, reason }, 'shutdown step failed');
    if (stuck.length > 0) this.failure ??= new Error(`shutdown: ${stuck.map(({ name, reason }) => `${name}: ${reason}`).join('; ')}`);
  }

  /** Told where it can be: a sink that is away is why we stop, as often as not. */
  private async sayLastWords(): Promise<void> {
    const reason = this.failure instanceof Error ? this.failure.message : String(this.failure);
    const words = this.lastWords.length > 0 ? this.lastWords : [stoppedFinding(reason, this.parts.clock())];
    await this.sinks.tell(words);
  }
}
