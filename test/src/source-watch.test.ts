import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import { DependencyError } from '../../src/errors.ts';
import type { SourceHealth } from '../../src/source/source.ts';
import { SourceWatch } from '../../src/source-watch.ts';
import { batchesOf } from '../support/events.ts';
import { MemoryCheckpoints, MemorySink, MemorySource } from '../support/memory.ts';
import { ruleOf } from '../support/rules.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');

function watched() {
  const source = new MemorySource([]);
  let health: SourceHealth = { ok: true };
  source.health = () => health;
  const watch = new SourceWatch([source], { wallMs: baseMs, steadyMs: 0 });
  let lookedAt = 0;
  /** What is told until `seconds` after the start, looked at every second (or not at all before); the wall clock has been set back by an hour. */
  const at = (seconds: number, now: SourceHealth, held = false) => {
    health = now;
    const told: string[] = [];
    lookedAt = held ? seconds - 1 : lookedAt;
    while (lookedAt < seconds) {
      lookedAt++;
      const findings = watch.look({ wallMs: baseMs - 3_600_000 + lookedAt * 1_000, steadyMs: lookedAt * 1_000 });
      told.push(...findings.map(({ rule, activity, summary }) => `${rule} ${activity} ${summary}`));
    }
    return told;
  };
  return { source, watch, at };
}

test('a source that is away for half a minute is a finding, once, and another word when it is back; a shorter while is none', () => {
  const { at, watch, source } = watched();
  const away = { ok: false, reason: 'broker gone' };
  expect([at(10, { ok: true }), at(40, away), at(41, { ok: true }), at(71, away)].flat()).toEqual([]);
  expect(at(72, away)).toEqual(['streamgauge.source_failed open memory cannot be read for 30 s: broker gone']);
  expect(at(110, away)).toEqual([]);
  expect(at(111, { ok: true })).toEqual(['streamgauge.source_failed close over: memory is read again after 69 s']);
  expect(at(299, { ok: true })).toEqual([]);
  // One that was told is not told again when it gives up.
  at(300, away);
  const now = { wallMs: baseMs, steadyMs: 310_000 };
  expect(watch.gaveUp(source, new Error('no more'), now).map(({ summary }) => summary)).toEqual([
    expect.stringContaining('no more; the process stops'),
  ]);
  expect(at(330, away)).toHaveLength(1);
  expect(watch.gaveUp(source, new Error('no more'), now)).toEqual([]);
});

test('an opening and its closing have one id, and those of two outages have two', () => {
  const source = new MemorySource([]);
  let ok = false;
  source.health = () => ({ ok });
  const watch = new SourceWatch([source], { wallMs: baseMs, steadyMs: 0 });
  const ids = [0, 30, 40, 50, 80, 90].flatMap((seconds) => {
    ok = seconds === 40 || seconds === 90;
    return watch.look({ wallMs: baseMs + seconds * 1_000, steadyMs: seconds * 1_000 }).map(({ id }) => id);
  });
  expect(ids).toHaveLength(4);
  expect(ids[0]).toBe(ids[1]);
  expect(ids[2]).toBe(ids[3]);
  expect(ids[0]).not.toBe(ids[2]);
});

test('a source that hands in nothing for a minute although records wait stands still; one with nothing to read does not', () => {
  const { at, watch, source } = watched();
  const waits = { ok: true, lagRecords: 7 };
  expect([at(100, { ok: true, lagRecords: 0 }), at(150, waits)].flat()).toEqual([]);
  watch.progressed(source, 150_500);
  expect(at(210, waits)).toEqual([]);
  expect(watch.reasons()).toEqual([]);
  expect(at(211, waits)).toEqual(['streamgauge.source_stalled open memory: 7 records wait, and none has come for 61 s']);
  expect(watch.reasons()).toMatchObject([
    { reason: 'source_stalled', severity: 'failing', detail: expect.stringMatching(/^memory: 7 records wait/) },
  ]);
  expect(at(259, waits)).toEqual([]);
  watch.progressed(source, 259_500);
  expect(at(260, waits)).toEqual(['streamgauge.source_stalled close over: memory goes on after 110 s']);
  expect(watch.reasons()).toEqual([]);
  expect(at(319, waits)).toEqual([]);
});

test('a source that could hand in nothing, because a sink was away and nobody looked, did not stand still', () => {
  const { at } = watched();
  const waits = { ok: true, lagRecords: 7 };
  expect([at(30, waits), at(900, waits, true), at(959, waits)].flat()).toEqual([]);
  expect(at(961, waits)).toHaveLength(1);
});

const rule = ruleOf('key: client.address\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { above: 4 }');
const log = pino({ level: 'silent' });

test('a source that gives up is told to the sinks before the process stops', async () => {
  const source = new MemorySource([]);
  source.run = async () => {
    throw new DependencyError('broker has been away for 300 s');
  };
  const sink = new MemorySink();
  const engine = new Engine({ pipeline: new Pipeline([rule]), sources: [source], sinks: [sink], log, clock: () => baseMs });
  await expect(engine.run()).rejects.toThrow('broker has been away');
  expect(sink.findings).toMatchObject([
    {
      rule: 'streamgauge.source_failed',
      key: { source: 'memory' },
      summary: expect.stringContaining('broker has been away for 300 s; the process stops'),
    },
  ]);
});

test('whatever else stops the process is told too: a checkpoint that cannot be kept', async () => {
  const source = new MemorySource(batchesOf([{ timeMs: baseMs, 'client.address': 'a' }]));
  const sink = new MemorySink();
  const checkpoints = new MemoryCheckpoints();
  checkpoints.save = async () => {
    throw new DependencyError('the checkpoint cannot be saved: disk full');
  };
  const engine = new Engine(
    { pipeline: new Pipeline([rule]), sources: [source], sinks: [sink], checkpoints, log, clock: () => baseMs },
    { checkpointEveryMs: 10 },
  );
  source.run = async (positions, into) => {
    await MemorySource.prototype.run.call(source, positions, into);
    await new Promise<void>((resolve) => {
      source.stop = async () => resolve();
    });
  };
  await expect(engine.run()).rejects.toThrow('disk full');
  expect(sink.findings).toMatchObject([
    { rule: 'streamgauge.stopped', key: {}, summary: 'nothing is watched any more: the checkpoint cannot be saved: disk full' },
  ]);
});
