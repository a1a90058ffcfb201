/**
 * The law of every source (`src/source/source.ts`), to be run over each implementation:
 *
 *   sourceLaws('kafka', async () => harness)
 *
 * Each test gets a harness of its own: an input that tests write lines into, and sources that read it.
 */
import { expect, test } from 'vitest';
import { partitionKey, type RecordBatch } from '../../processors/record.ts';
import type { Positions, RecordIntake, Source } from '../../src/source/source.ts';
import { lawsOf } from './law.ts';

export interface SourceHarness {
  /** Names of partitions that `write` takes; at least one. */
  readonly partitions: readonly string[];
  /** A new source over the same input, as after a restart. Of the sources of one harness only one runs at a time. */
  source(): Source;
  /** Adds lines to the input. Called before a source runs, and while one does unless `end` says otherwise. */
  write(partition: string, lines: readonly string[]): Promise<void>;
  /** Says that no more will be written; absent where the input never ends by itself (then the laws stop the source). */
  end?(): Promise<void>;
  dispose(): Promise<void>;
}

export interface SourceLawOptions {
  /** Why the input cannot be read a second time from a position (a pipe). */
  readonly notRepeatable?: string;
  /** How long to wait for records, ms. */
  readonly patienceMs?: number;
}

/** What a source handed in, copied as it came. */
export interface Received {
  readonly key: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly text: string;
}

/** An intake that keeps what comes, and can hold a batch back. */
export class Collector implements RecordIntake {
  readonly received: Received[] = [];
  readonly announced = new Set<string>();
  readonly endedKeys: string[] = [];
  readonly broken: string[] = [];
  /** Partitions of which a batch is being processed. */
  readonly pending = new Set<string>();
  batches = 0;
  private gate: Promise<void> | undefined;
  private openGate: (() => void) | undefined;
  private watchers: (() => void)[] = [];

  /** From here on batches do not resolve until `release`. */
  hold(): void {
    this.gate = new Promise((resolve) => {
      this.openGate = resolve;
    });
  }

  release(): void {
    this.gate = undefined;
    this.openGate?.();
  }

  partitions(keys: readonly string[]): void {
    for (const key of keys) {
      if (this.endedKeys.includes(key)) this.broken.push(`${key} was announced after it had ended`);
      this.announced.add(key);
    }
    this.changed();
  }

  ended(key: string): void {
    if (!this.announced.has(key)) this.broken.push(`${key} ended without having been announced`);
    if (this.pending.has(key)) this.broken.push(`${key} ended while a batch of it was pending`);
    this.endedKeys.push(key);
    this.changed();
  }

  async batch(records: RecordBatch): Promise<void> {
    const key = partitionKey(records.topic, records.partition);
    this.batches++;
    if (records.records.length === 0) this.broken.push(`an empty batch of ${key}`);
    if (!this.announced.has(key)) this.broken.push(`a batch of ${key}, which was never announced`);
    if (this.endedKeys.includes(key)) this.broken.push(`a batch of ${key} after it had ended`);
    if (this.pending.has(key)) this.broken.push(`a batch of ${key} while the one before was pending`);
    this.pending.add(key);
    for (const record of records.records) {
      const text = record.value === null ? '' : Buffer.from(record.value).toString('latin1');
      this.received.push({ key, topic: records.topic, partition: records.partition, offset: record.offset, text });
    }
    this.changed();
    const copies = this.received.slice(-records.records.length);
    await this.gate;
    records.records.forEach((record, index) => {
      const now = record.value === null ? '' : Buffer.from(record.value).toString('latin1');
      if (now !== copies[index]?.text) this.broken.push(`${key} at ${record.offset} changed while its batch was pending`);
    });
    this.pending.delete(key);
  }

  async revoked(): Promise<void> {}

  texts(key?: string): string[] {
    return this.received.filter((record) => key === undefined || record.key === key).map((record) => record.text);
  }

  /** Resolves when `reached` holds; rejects with what there is after `patienceMs`. */
  until(what: string, reached: () => boolean, patienceMs = 15_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!reached()) return;
        clearTimeout(timer);
        this.watchers = this.watchers.filter((watcher) => watcher !== look);
        resolve();
      };
      const timer = setTimeout(() => {
        reject(
          new Error(`waited ${patienceMs} ms for ${what}; got ${this.received.length} records: ${JSON.stringify(this.texts().slice(-5))}`),
        );
      }, patienceMs);
      this.watchers.push(look);
      look();
    });
  }

  private changed(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}

/** The next offset by partition, as the engine computes it: last offset + 1. */
export function positionsAfter(received: readonly Received[], before: Positions = {}): Record<string, number> {
  const positions: Record<string, number> = { ...before };
  for (const record of received) positions[record.key] = record.offset + 1;
  return positions;
}

export function numbered(prefix: string, count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${String(from + index).padStart(6, '0')}`);
}

export function sourceLaws(name: string, makeHarness: () => Promise<SourceHarness>, options: SourceLawOptions = {}): void {
  const { patienceMs = 15_000, notRepeatable } = options;
  /** Runs a source until it gave `count` records, then ends or stops it. */
  const readSome = async (source: Source, positions: Positions, count: number, end?: () => Promise<void>): Promise<Collector> => {
    const into = new Collector();
    const run = source.run(positions, into);
    await Promise.race([run, into.until(`${count} records`, () => into.received.length >= count, patienceMs)]);
    if (end) await end();
    else await source.stop();
    await run;
    return into;
  };
  const law = lawsOf(name, makeHarness);
  const repeatLaw = (sentence: string, body: (harness: SourceHarness) => Promise<void>) =>
    notRepeatable ? test.skip(`${name}: ${sentence} (not here: ${notRepeatable})`, () => {}) : law(sentence, body);

  law('hands in every record of a partition once and in order, with rising offsets', async (harness) => {
    const partitions = harness.partitions;
    for (const partition of partitions) await harness.write(partition, numbered(partition, 2500));
    const into = await readSome(harness.source(), {}, partitions.length * 2500, harness.end);
    const keys = [...new Set(into.received.map((record) => record.key))];
    expect(keys.length).toBe(partitions.length);
    const byFirst = keys.map((key) => into.texts(key)).sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
    expect(byFirst).toEqual([...partitions].sort().map((partition) => numbered(partition, 2500)));
    for (const key of keys) {
      const offsets = into.received.filter((record) => record.key === key).map((record) => record.offset);
      for (let i = 1; i < offsets.length; i++) expect(offsets[i]).toBeGreaterThan(offsets[i - 1]!);
    }
    expect(into.broken).toEqual([]);
  });

  law('waits for a batch before it hands in the next one of that partition', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('held', 5000));
    const into = new Collector();
    into.hold();
    const source = harness.source();
    const run = source.run({}, into);
    await into.until('a batch', () => into.batches > 0, patienceMs);
    // Time in which a source that does not wait would go on: many turns of the loop, and real I/O in between.
    for (let i = 0; i < 50; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      source.health();
    }
    expect(into.batches).toBe(1);
    expect(into.received.length).toBeLessThan(5000);
    into.release();
    await into.until('the rest', () => into.received.length >= 5000, patienceMs);
    await source.stop();
    await run;
    expect(into.texts()).toEqual(numbered('held', 5000));
    expect(into.broken).toEqual([]);
  });

  repeatLaw('goes on from any position without loss and without repeat', async (harness) => {
    for (const partition of harness.partitions) await harness.write(partition, numbered(partition, 1500));
    const total = harness.partitions.length * 1500;
    const all = await readSome(harness.source(), {}, total, harness.end);
    expect(all.received.length).toBe(total);
    for (const cut of [1, Math.floor(total / 3), total - 1]) {
      const before = all.received.slice(0, cut);
      const rest = await readSome(harness.source(), positionsAfter(before), total - cut);
      for (const key of new Set(all.received.map((record) => record.key))) {
        const both = [...before, ...rest.received].filter((record) => record.key === key);
        expect(both).toEqual(all.received.filter((record) => record.key === key));
      }
      expect(rest.broken).toEqual([]);
    }
  });

  repeatLaw('goes on from an uncommitted stop: what was not finished comes again', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('again', 3000));
    const first = harness.source();
    const into = new Collector();
    const run = first.run({}, into);
    await into.until('the first batch', () => into.batches > 0, patienceMs);
    await first.stop();
    await run;
    const half = into.received.slice(0, Math.ceil(into.received.length / 2));
    await first.commit(positionsAfter(half));
    const rest = await readSome(harness.source(), positionsAfter(half), 3000 - half.length, harness.end);
    expect([...half, ...rest.received].map((record) => record.text)).toEqual(numbered('again', 3000));
  });

  law('hands in nothing once it was stopped, also when it is stopped while a batch is pending', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('stop', 5000));
    const source = harness.source();
    const into = new Collector();
    into.hold();
    const run = source.run({}, into);
    await into.until('a batch', () => into.batches > 0, patienceMs);
    // Not awaited yet: a source may wait for the pending batch.
    const stopped = source.stop();
    into.release();
    await stopped;
    await run;
    const handedIn = into.received.length;
    expect(into.batches).toBe(1);
    await harness.write(partition, numbered('after', 10)).catch(() => {});
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(into.received.length).toBe(handedIn);
    expect(into.endedKeys).toEqual([]);
    expect(into.broken).toEqual([]);
  });

  law('resolves its run when it is stopped with nothing left to read', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('few', 3));
    const source = harness.source();
    const into = new Collector();
    const run = source.run({}, into);
    await into.until('the records', () => into.received.length === 3, patienceMs);
    await source.stop();
    await run;
    expect(into.texts()).toEqual(numbered('few', 3));
  });

  law('rejects its run when a batch fails, and hands in no more', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('fail', 5000));
    const source = harness.source();
    const into = new Collector();
    const failure = new Error('the engine cannot go on');
    const failing: RecordIntake = {
      partitions: (keys) => into.partitions(keys),
      ended: (key) => into.ended(key),
      revoked: () => into.revoked(),
      batch: async (records) => {
        await into.batch(records);
        throw failure;
      },
    };
    await expect(source.run({}, failing)).rejects.toThrow(failure.message);
    await source.stop();
    expect(into.batches).toBe(1);
  });

  law('reads a record again as the same bytes, and says null where there is none', async (harness) => {
    const [partition] = harness.partitions as [string];
    const lines = ['plain', '', 'caf\u00e9 as one latin-1 byte: \u00e9', 'a'.repeat(70_000), 'tab\tand \u0001 control', 'last'];
    await harness.write(partition, lines);
    const source = harness.source();
    const into = new Collector();
    const run = source.run({}, into);
    await into.until('the records', () => into.received.length === lines.length, patienceMs);
    expect(into.texts()).toEqual(lines);
    for (const record of into.received) {
      const again = await source.read(record.topic, record.partition, record.offset);
      expect(again === null ? null : Buffer.from(again).toString('latin1')).toBe(record.text);
    }
    const { topic, partition: number } = into.received[0]!;
    expect(await source.read(topic, number, 1_000_000_000)).toBeNull();
    expect(await source.read('no such topic', number, 0)).toBeNull();
    await source.stop();
    await run;
  });

  law('says how it is at every moment', async (harness) => {
    const [partition] = harness.partitions as [string];
    await harness.write(partition, numbered('health', 3));
    const source = harness.source();
    expect(typeof source.health().ok).toBe('boolean');
    const into = new Collector();
    const run = source.run({}, into);
    await into.until('the records', () => into.received.length === 3, patienceMs);
    expect(source.health().ok).toBe(true);
    await source.commit(positionsAfter(into.received));
    expect(source.health().ok).toBe(true);
    await source.stop();
    await run;
    expect(typeof source.health().ok).toBe('boolean');
    expect(source.name).toMatch(/./);
  });
}

/** For inputs that end by themselves: `SourceHarness.end` is there. */
export function boundedSourceLaws(name: string, makeHarness: () => Promise<SourceHarness>): void {
  test(`${name}: ends every partition after its last record, and its run with the input`, async () => {
    const harness = await makeHarness();
    try {
      for (const partition of harness.partitions) await harness.write(partition, numbered(partition, 1200));
      const into = new Collector();
      const source = harness.source();
      const run = source.run({}, into);
      await harness.end!();
      await run;
      expect(into.received.length).toBe(1200 * harness.partitions.length);
      expect([...into.endedKeys].sort()).toEqual([...into.announced].sort());
      expect(into.endedKeys.length).toBe(harness.partitions.length);
      expect(into.broken).toEqual([]);
      expect(source.health()).toEqual({ ok: true, reason: 'end of input' });
    } finally {
      await harness.dispose();
    }
  });
}
