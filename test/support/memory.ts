/** Ends of an engine that live in memory: for tests of what lies between them. */
import type { Finding } from '../../processors/detect/finding.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { type Checkpoint, CheckpointError, type CheckpointStore, type Refuse } from '../../src/checkpoint/checkpoint.ts';
import type { Sink } from '../../src/sink/sink.ts';
import type { Positions, RecordIntake, Source } from '../../src/source/source.ts';

/** Hands in what it is given, from the positions it is told; `log` gets what happened to it in order. */
export class MemorySource implements Source {
  readonly name = 'memory';
  committed: Positions = {};
  stopHangs = false;
  private readonly batches: readonly RecordBatch[];
  private readonly log: string[];
  /** Goes on when its input has ended, until it is stopped. */
  private readonly stays: boolean;
  private leave: () => void = () => {};

  constructor(batches: readonly RecordBatch[], log: string[] = [], stays = false) {
    this.batches = batches;
    this.log = log;
    this.stays = stays;
  }

  async run(positions: Positions, into: RecordIntake): Promise<void> {
    const left = new Promise<void>((resolve) => {
      this.leave = resolve;
    });
    into.partitions([...new Set(this.batches.map(({ topic, partition }) => `${topic}/${partition}`))]);
    for (const batch of this.batches) {
      const from = positions[`${batch.topic}/${batch.partition}`] ?? 0;
      const records = batch.records.filter(({ offset }) => offset >= from);
      if (records.length === 0) continue;
      await into.batch({ ...batch, records });
      this.log.push(`read ${records.at(-1)?.offset}`);
    }
    if (this.stays) await left;
  }

  async commit(positions: Positions): Promise<void> {
    this.committed = positions;
    this.log.push(`commit ${Object.values(positions).join(',')}`);
  }

  async read(topic: string, partition: number, offset: number): Promise<Uint8Array | null> {
    const records = this.batches
      .filter((batch) => batch.topic === topic && batch.partition === partition)
      .flatMap(({ records }) => records);
    return records.find((record) => record.offset === offset)?.value ?? null;
  }

  async stop(): Promise<void> {
    if (this.stopHangs) await new Promise(() => {});
    this.leave();
  }

  health() {
    return { ok: true };
  }
}

export class MemorySink implements Sink {
  readonly name = 'memory';
  readonly findings: Finding[] = [];
  /** Thrown by the next writes, one each. */
  failures: Error[] = [];
  private readonly log: string[];

  constructor(log: string[] = []) {
    this.log = log;
  }

  async open(): Promise<void> {}

  async write(findings: readonly Finding[]): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.findings.push(...findings);
    this.log.push(`write ${findings.length}`);
  }

  async close(): Promise<void> {
    this.log.push('sink closed');
  }

  health() {
    return { ok: true, retries: 0 };
  }
}

export class MemoryCheckpoints implements CheckpointStore {
  saved: Checkpoint | undefined;
  private readonly log: string[];

  constructor(log: string[] = []) {
    this.log = log;
  }

  async load(refuse?: Refuse): Promise<Checkpoint | undefined> {
    const refusal = this.saved && refuse?.(this.saved);
    if (refusal !== undefined) throw new CheckpointError([refusal]);
    return this.saved;
  }

  async save(checkpoint: Checkpoint): Promise<void> {
    // The memory of the parts is used again for the next one.
    this.saved = { ...checkpoint, state: checkpoint.state.map((part) => part.slice()) };
    this.log.push(`checkpoint ${Object.values(checkpoint.positions).join(',')}`);
  }
}
