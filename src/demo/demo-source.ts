/** The simulated day as a source: drain bodies are cut as the drain cuts them, and everything goes through the decoders as it would live. */
import { partitionKey, type SourceRecord } from '../../processors/record.ts';
import { LogplexFrames } from '../source/drain/logplex-body.ts';
import type { Positions, RecordIntake, Source, SourceHealth } from '../source/source.ts';
import type { DemoItem } from './traffic.ts';

type Kind = DemoItem['kind'];

const datasets: Record<Kind, string> = { logplex: 'heroku', json: 'app', syslog: 'bastion' };
/** Bodies that arrive within this time of each other are handed in together. */
const batchMs = 5_000;
/** Records kept so that a finding's samples can be read again. */
const keptRecords = 20_000;

export class DemoSource implements Source {
  readonly name = 'demo';
  lines = 0;
  /** Event time reached, for the progress line. */
  atMs = 0;
  private readonly items: Iterable<DemoItem>;
  private readonly pending: Record<Kind, SourceRecord[]> = { logplex: [], json: [], syslog: [] };
  private readonly nextOffset: Record<Kind, number> = { logplex: 0, json: 0, syslog: 0 };
  private readonly kept: Record<Kind, SourceRecord[]> = { logplex: [], json: [], syslog: [] };
  private stopping = false;

  constructor(items: Iterable<DemoItem>) {
    this.items = items;
  }

  async run(_positions: Positions, into: RecordIntake): Promise<void> {
    into.partitions(kinds.map((kind) => partitionKey(topicOf(kind), 0)));
    let flushedMs = 0;
    for (const item of this.items) {
      if (this.stopping) return;
      if (item.atMs - flushedMs >= batchMs) {
        await this.flush(into);
        flushedMs = item.atMs;
      }
      this.take(item);
      this.lines += item.lines;
      this.atMs = item.atMs;
    }
    await this.flush(into);
    for (const kind of kinds) into.ended(partitionKey(topicOf(kind), 0));
  }

  async commit(): Promise<void> {}

  async read(topic: string, _partition: number, offset: number): Promise<Uint8Array | null> {
    const kept = this.kept[topic.slice('demo/'.length) as Kind];
    return kept[offset % keptRecords]?.offset === offset ? kept[offset % keptRecords].value : null;
  }

  async stop(): Promise<void> {
    this.stopping = true;
  }

  health(): SourceHealth {
    return { ok: true, reason: 'a simulated day' };
  }

  private take(item: DemoItem): void {
    if (item.kind !== 'logplex') {
      this.add(item.kind, item.bytes, item.atMs);
      return;
    }
    const frames = new LogplexFrames(item.bytes);
    while (frames.next()) this.add('logplex', item.bytes.subarray(frames.start, frames.end), item.atMs);
  }

  private add(kind: Kind, value: Uint8Array, timestampMs: number): void {
    const offset = this.nextOffset[kind]++;
    const record = { value, offset, timestampMs };
    this.pending[kind].push(record);
    this.kept[kind][offset % keptRecords] = record;
  }

  private async flush(into: RecordIntake): Promise<void> {
    for (const kind of kinds) {
      const records = this.pending[kind];
      if (records.length === 0) continue;
      this.pending[kind] = [];
      await into.batch({
        topic: topicOf(kind),
        partition: 0,
        dataset: datasets[kind],
        format: kind === 'logplex' ? 'logplex' : 'auto',
        records,
      });
    }
  }
}

const kinds: readonly Kind[] = ['logplex', 'json', 'syslog'];

function topicOf(kind: Kind): string {
  return `demo/${kind}`;
}
