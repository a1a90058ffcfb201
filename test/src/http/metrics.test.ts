import { afterEach, describe, expect, test } from 'vitest';
import { Counters, countBy } from '../../../processors/counters.ts';
import type { Status } from '../../../src/http/health.ts';
import { Metrics, type MetricsInput } from '../../../src/http/metrics.ts';
import { DrainCounters } from '../../../src/source/drain/drain-counters.ts';

const quiet: Status = { sources: [], sinks: [], reasons: () => [] };
const made: Metrics[] = [];
function metrics(input: Partial<MetricsInput> = {}, status: Status = quiet): Metrics {
  const each = new Metrics({ counters: () => new Counters(), ...input }, status);
  made.push(each);
  return each;
}
afterEach(() => {
  for (const each of made.splice(0)) each.stop();
});

/** Series (name and labels) to value. */
async function scrape(from: Metrics): Promise<Record<string, number>> {
  const lines = (await from.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line): [string, number] => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

describe('metrics', () => {
  test('show the counters as they are at the scrape, and the same again at the next', async () => {
    const counters = new Counters();
    const from = metrics({ counters: () => counters });
    counters.records = 7;
    counters.lostUpstream = 3;
    countBy(counters.rejected, 'bad_json', 2);
    countBy(counters.late, 'ssh_spray');
    countBy(counters.untracked, 'ssh_spray', 4);
    const expected = {
      streamgauge_records_total: 7,
      streamgauge_messages_lost_upstream_total: 3,
      'streamgauge_events_untracked_total{rule="ssh_spray"}': 4,
      'streamgauge_records_dropped_total{reason="bad_json"}': 2,
      'streamgauge_events_late_total{rule="ssh_spray"}': 1,
    };
    expect(await scrape(from)).toMatchObject(expected);
    counters.records = 8;
    expect(await scrape(from)).toMatchObject({ ...expected, streamgauge_records_total: 8 });
  });

  test('show the last checkpoint, and 0 before there is one', async () => {
    let last = { count: 0, stateBytes: Number.NaN, writtenBytes: Number.NaN, tookMs: Number.NaN, savedMs: Number.NaN };
    const from = metrics({ checkpoint: () => last });
    expect(await scrape(from)).toMatchObject({ streamgauge_checkpoints_total: 0, streamgauge_checkpoint_timestamp_seconds: 0 });
    last = { count: 3, stateBytes: 5_000, writtenBytes: 70, tookMs: 250, savedMs: 1_700_000_000_500 };
    expect(await scrape(from)).toMatchObject({
      streamgauge_checkpoints_total: 3,
      streamgauge_checkpoint_state_bytes: 5_000,
      streamgauge_checkpoint_written_bytes: 70,
      streamgauge_checkpoint_duration_seconds: 0.25,
      streamgauge_checkpoint_timestamp_seconds: 1_700_000_000.5,
    });
  });

  test('show sources, sinks, rules, findings, reasons and drains', async () => {
    const drain = { path: '/drain/logplex', counters: new DrainCounters(), dedupe: { size: 4, evicted: 1 }, journalBytes: 99 };
    drain.counters.requests.accepted = 5;
    drain.counters.requests.repeat = 2;
    drain.counters.countMismatches = 1;
    const reason = { reason: 'budget_spent', severity: 'degraded', detail: 'rule a' } as const;
    const series = await scrape(
      metrics(
        {
          partitions: () => [{ source: 'kafka:logs', topic: 'logs', partition: 3, lagRecords: 11 }],
          rules: () => [{ rule: 'a', keys: 12, stateBytes: 1024, evicted: 1 }],
          findings: () => [{ rule: 'a', severity: 'high', activity: 'open', count: 2 }],
          watermarkMs: () => 1_700_000_000_500,
          drains: () => [drain],
        },
        {
          sources: [
            { name: 'kafka:logs', health: { ok: true, lagRecords: 11 } },
            { name: 'drain:/drain/logplex', health: { ok: false, lagRecords: 6 } },
          ],
          sinks: [{ name: 'loki', health: { ok: true, retries: 4 } }],
          reasons: () => [reason, reason],
        },
      ),
    );
    expect(series).toMatchObject({
      'streamgauge_source_lag_records{source="kafka:logs",topic="logs",partition="3"}': 11,
      'streamgauge_source_lag_records{source="drain:/drain/logplex",topic="",partition=""}': 6,
      'streamgauge_source_up{source="kafka:logs"}': 1,
      'streamgauge_source_up{source="drain:/drain/logplex"}': 0,
      'streamgauge_sink_up{sink="loki"}': 1,
      'streamgauge_sink_retries_total{sink="loki"}': 4,
      'streamgauge_rule_keys{rule="a"}': 12,
      'streamgauge_rule_state_bytes{rule="a"}': 1024,
      'streamgauge_rule_keys_evicted_total{rule="a"}': 1,
      'streamgauge_findings_total{rule="a",severity="high",activity="open"}': 2,
      streamgauge_watermark_timestamp_seconds: 1_700_000_000.5,
      'streamgauge_health_reason{reason="budget_spent",severity="degraded"}': 2,
      'streamgauge_health_reason{reason="source_failing",severity="failing"}': 1,
      'streamgauge_drain_requests_total{drain="/drain/logplex",outcome="accepted"}': 5,
      'streamgauge_drain_requests_total{drain="/drain/logplex",outcome="too_large"}': 0,
      'streamgauge_drain_repeats_total{drain="/drain/logplex"}': 2,
      'streamgauge_drain_count_mismatches_total{drain="/drain/logplex"}': 1,
      'streamgauge_drain_batches_forgotten_total{drain="/drain/logplex"}': 1,
      'streamgauge_drain_journal_bytes{drain="/drain/logplex"}': 99,
    });
    expect(series).not.toHaveProperty(['streamgauge_source_lag_records{source="kafka:logs",topic="",partition=""}']);
  });

  test('stay bounded however many partitions there are', async () => {
    const partitions = () => Array.from({ length: 5000 }, (_, partition) => ({ source: 'k', topic: 't', partition, lagRecords: 1 }));
    const lags = Object.entries(await scrape(metrics({ partitions }))).filter(([name]) =>
      name.startsWith('streamgauge_source_lag_records'),
    );
    expect(lags).toHaveLength(1000);
    expect(lags.reduce((sum, [, value]) => sum + value, 0)).toBe(5000);
  });

  test('tell how late the event loop is', async () => {
    const from = metrics();
    let latest = 0;
    // The measuring starts with the loop's next turns, so a first block may be missed.
    while (latest < 0.05) {
      await new Promise((resolve) => setImmediate(resolve));
      const end = performance.now() + 60;
      while (performance.now() < end);
      await new Promise((resolve) => setImmediate(resolve));
      latest = (await scrape(from))['streamgauge_event_loop_delay_seconds{percentile="100"}'];
    }
    expect(latest).toBeLessThan(5);
  });

  test('are all named for the program, each with a help text, counters ending in _total', async () => {
    const text = await metrics().text();
    const types = text.split('\n').filter((line) => line.startsWith('# TYPE '));
    expect(types.length).toBeGreaterThan(25);
    for (const line of types) {
      const [, , name, type] = line.split(' ');
      expect(name).toMatch(/^streamgauge_[a-z_]+$/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(text).toContain(`# HELP ${name} `);
    }
  });
});
