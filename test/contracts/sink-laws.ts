/** The law of every sink (`src/sink/sink.ts`), to be run over each implementation. */
import { expect } from 'vitest';
import type { Activity, Finding } from '../../processors/detect/finding.ts';
import type { Sink } from '../../src/sink/sink.ts';
import { lawsOf } from './law.ts';

export interface SinkHarness {
  /** A new sink over the same store, as after a restart. */
  sink(): Sink;
  /** Finding uid and sequence of what is stored, in the store's order, read past the sink (another handle, another consumer). */
  stored(): Promise<readonly { readonly id: string; readonly sequence: number }[]>;
  dispose(): Promise<void>;
}

export interface SinkLawOptions {
  /** The store keeps one of equal findings (a compacted topic, an upsert) instead of both. */
  readonly keepsOne?: boolean;
}

/** A finding as a count rule makes it; `id` 16 hex digits. */
export function sampleFinding(index: number, activity: Activity = 'open'): Finding {
  const endMs = Date.UTC(2026, 10, 2, 10, 0, 0) + index * 10_000;
  return {
    id: index.toString(16).padStart(16, '0'),
    activity,
    sequence: activity === 'open' ? 0 : 1,
    timeMs: endMs,
    rule: 'auth_passkey_enumeration',
    title: 'One address tries many e-mail addresses',
    category: 'auth',
    severity: 'high',
    status: 'live',
    summary: `203.0.113.9 tried ${index} e-mail addresses in 10m, "quoted" and \u001b[31mcoloured`,
    key: { 'client.address': '203.0.113.9' },
    measure: 'distinct(user.email)',
    detector: 'above',
    value: 21 + index,
    valueError: 0,
    threshold: 20,
    windowStartMs: endMs - 600_000,
    windowEndMs: endMs,
    openedMs: endMs - 10_000,
    early: false,
    degraded: false,
    late: 0,
    evicted: 0,
    countErr: 0,
    samples: [{ topic: 'logs', partition: 0, offset: index, text: 'line\nwith a newline' }],
  };
}

export function sinkLaws(name: string, makeHarness: () => Promise<SinkHarness>, options: SinkLawOptions = {}): void {
  const law = lawsOf(name, makeHarness);
  const ids = (count: number, from = 0) => Array.from({ length: count }, (_, index) => sampleFinding(from + index).id);
  const findings = (count: number, from = 0) => Array.from({ length: count }, (_, index) => sampleFinding(from + index));

  law('has stored a finding when its write resolves', async (harness) => {
    const sink = harness.sink();
    await sink.open();
    for (let i = 0; i < 5; i++) {
      await sink.write([sampleFinding(i)]);
      expect((await harness.stored()).map((finding) => finding.id)).toEqual(ids(i + 1));
    }
    await sink.close();
  });

  law('keeps the order of findings within a write and across writes that overlap', async (harness) => {
    const sink = harness.sink();
    await sink.open();
    await Promise.all([sink.write(findings(200)), sink.write(findings(1, 200)), sink.write([]), sink.write(findings(99, 201))]);
    await sink.close();
    expect((await harness.stored()).map((finding) => finding.id)).toEqual(ids(300));
  });

  law('takes no findings at all for nothing to do', async (harness) => {
    const sink = harness.sink();
    await sink.open();
    await sink.write([]);
    await sink.close();
    expect(await harness.stored()).toEqual([]);
  });

  law('adds to what is there when it is opened again', async (harness) => {
    for (let round = 0; round < 3; round++) {
      const sink = harness.sink();
      await sink.open();
      await sink.write(findings(10, round * 10));
      await sink.close();
    }
    expect((await harness.stored()).map((finding) => finding.id)).toEqual(ids(30));
  });

  law('takes a repeat without harm: whoever reads by uid and sequence sees each finding once', async (harness) => {
    const sink = harness.sink();
    await sink.open();
    await sink.write([sampleFinding(1), sampleFinding(2)]);
    await sink.write([sampleFinding(1), sampleFinding(2), sampleFinding(1, 'close')]);
    await sink.close();
    const stored = (await harness.stored()).map((finding) => `${finding.id}/${finding.sequence}`);
    const [one, two] = ids(2, 1);
    expect([...new Set(stored)].sort()).toEqual([`${one}/0`, `${one}/1`, `${two}/0`]);
    if (!options.keepsOne) expect(stored.length).toBe(5);
  });

  law('leaves out what was written past the mark it goes on from, once, whatever its bytes', async (harness) => {
    const killed = harness.sink();
    await killed.open();
    if (killed.mark === undefined) return expect(killed.resume).toBeUndefined();
    await killed.write(findings(2));
    const mark = await killed.mark();
    await killed.write(findings(5, 2));
    // The text of a sample may be gone by the time it is read again.
    const again = findings(8, 2).map((finding) => ({ ...finding, samples: [] }));
    const next = harness.sink();
    await next.open();
    await next.resume?.(mark);
    await next.write(again.slice(0, 3));
    expect((await harness.stored()).map(({ id }) => id)).toEqual(ids(7));
    // Killed again, before the replay has passed what was written: its mark knows what is still to come again.
    const mark2 = await next.mark?.();
    const third = harness.sink();
    await third.open();
    await third.resume?.(mark2);
    await third.write(again.slice(3));
    expect((await harness.stored()).map(({ id }) => id)).toEqual(ids(10));
    await third.write([sampleFinding(9)]);
    expect((await harness.stored()).length).toBe(options.keepsOne ? 10 : 11);
    for (const sink of [killed, next, third]) await sink.close();
  });

  law('leaves out what is there when windows are made again, whoever wrote it, and only once', async (harness) => {
    const [other, sink] = [harness.sink(), harness.sink()];
    await other.open();
    if (other.recall === undefined) return;
    await other.write(findings(2));
    await sink.open();
    await sink.write(findings(3, 2));
    await sink.recall?.(Date.now() - 3_600_000);
    await sink.write(findings(7));
    expect((await harness.stored()).map(({ id }) => id)).toEqual(ids(7));
    await sink.write([sampleFinding(1)]);
    expect((await harness.stored()).length).toBe(options.keepsOne ? 7 : 8);
    for (const one of [other, sink]) await one.close();
  });

  law('leaves out nothing when it goes on from no mark', async (harness) => {
    const before = harness.sink();
    await before.open();
    await before.write(findings(3));
    await before.close();
    const sink = harness.sink();
    await sink.open();
    await sink.resume?.(undefined);
    await sink.write([...findings(1), sampleFinding(1, 'close')]);
    expect((await harness.stored()).length).toBe(options.keepsOne ? 4 : 5);
    await sink.close();
  });

  law('says how it is before it is opened, while it is open and after', async (harness) => {
    const sink = harness.sink();
    expect(typeof sink.health().ok).toBe('boolean');
    await sink.open();
    await sink.write([sampleFinding(1)]);
    expect(sink.health()).toMatchObject({ ok: true, retries: 0 });
    await sink.close();
    expect(sink.health().retries).toBe(0);
    expect(sink.name).toMatch(/./);
  });
}
