/**
 * `/metrics`, for Prometheus. The hot path counts in plain numbers; they are read when somebody scrapes. Labels are names of rules,
 * sources, sinks and reasons, which a config bounds; partitions, which it does not, are cut at `maxSeries` and the rest are summed.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Counters } from '../../processors/counters.ts';
import type { Drain } from '../source/drain/http-drain.ts';
import { healthReport, type Status } from './health.ts';

/** What the engine gives to be read. Each is called once per scrape, must not throw, and must not wait. */
export interface MetricsInput {
  counters(): Readonly<Counters>;
  /** Records that wait, by partition; where only the source knows, its `health().lagRecords` is shown instead. */
  partitions?(): readonly { readonly source: string; readonly topic: string; readonly partition: number; readonly lagRecords: number }[];
  /** Rules that are run over what sources bring; 0 where nothing is brought. */
  rulesRun?(): number;
  /** What each rule holds. */
  rules?(): readonly { readonly rule: string; readonly keys: number; readonly stateBytes: number; readonly evicted: number }[];
  findings?(): readonly { readonly rule: string; readonly severity: string; readonly activity: string; readonly count: number }[];
  /** Event time up to which input is complete, ms since the epoch; NaN before the first record. */
  watermarkMs?(): number;
  /** How many were saved, and what the last one was; NaN before it. */
  checkpoint?(): {
    readonly count: number;
    readonly stateBytes: number;
    readonly writtenBytes: number;
    readonly tookMs: number;
    readonly savedMs: number;
  };
  drains?(): readonly Pick<Drain, 'path' | 'counters' | 'dedupe' | 'journalBytes'>[];
  /** Connections that were ended without a request that anything answered, by reason. */
  refusals?(): Readonly<Record<string, number>>;
}

/** Series of one metric with a label that nothing bounds. */
const maxSeries = 1000;

type Labels = Readonly<Record<string, string>>;
type Row = readonly [value: number, labels: Labels];

/** A registry of its own, filled at each scrape. `stop` ends the measuring of the event loop. */
export class Metrics {
  readonly registry = new Registry();
  private readonly loop: IntervalHistogram;
  private making: Promise<string> | undefined;

  constructor(input: MetricsInput, status: Status) {
    this.loop = monitorEventLoopDelay({ resolution: 10 });
    this.loop.enable();
    this.pipeline(input);
    this.checkpoints(input);
    this.endpoints(input, status);
    this.drains(input);
    this.process();
  }

  /** One text for all who ask while it is made: a thousand requests in one packet would be a second of work. */
  text(): Promise<string> {
    this.making ??= this.registry.metrics().finally(() => {
      this.making = undefined;
    });
    return this.making;
  }

  stop(): void {
    this.loop.disable();
  }

  private pipeline(input: MetricsInput): void {
    const plain: [name: string, help: string, read: (counters: Readonly<Counters>) => number][] = [
      ['records_total', 'Records read.', (counters) => counters.records],
      ['events_total', 'Events decoded.', (counters) => counters.events],
      ['matches_total', 'Events that a rule counted.', (counters) => counters.matches],
      ['pipeline_findings_total', 'Findings decided, repeats and updates included.', (counters) => counters.findings],
      ['events_future_dated_total', 'Events set aside because their time is ahead of their record.', (counters) => counters.futureDated],
      ['events_time_from_record_total', 'Events without a usable time of their own.', (counters) => counters.timeFromRecord],
      ['messages_lost_upstream_total', 'Messages that senders said they lost.', (counters) => counters.lostUpstream],
    ];
    for (const [name, help, read] of plain) this.counter(name, help, [], () => [[read(input.counters()), {}]]);
    const by = (name: string, help: string, label: string, read: (counters: Readonly<Counters>) => Record<string, number>): void =>
      this.counter(name, help, [label], () => Object.entries(read(input.counters())).map(([key, value]) => [value, { [label]: key }]));
    by('records_dropped_total', 'Records that could not be decoded, by reason.', 'reason', (counters) => counters.rejected);
    by('losses_total', 'Places where records are missing, by kind.', 'kind', (counters) => counters.losses);
    by('records_lost_total', 'Records missing there, where that is known.', 'kind', (counters) => counters.lostRecords);
    by('events_late_total', 'Events older than the watermark of their partition, by rule.', 'rule', (counters) => counters.late);
    by('events_after_tick_total', 'Events for a pane that a tick had closed, by rule.', 'rule', (counters) => counters.afterTick);
    by('events_key_missing_total', 'Events that match a rule but lack its key.', 'rule', (counters) => counters.keyMissing);
    by('events_wrong_type_total', 'Events whose measured field has no usable value.', 'rule', (counters) => counters.wrongType);
    by('events_untracked_total', 'Events of keys that found no place in memory, by rule.', 'rule', (counters) => counters.untracked);
    this.gauge('rules', 'Rules that are run; 0 where drains write to topics and nothing is judged.', [], () => {
      const run = input.rulesRun?.();
      return run === undefined ? [] : [[run, {}]];
    });
    this.gauge('rule_keys', 'Keys a rule holds state for.', ['rule'], () =>
      (input.rules?.() ?? []).map((each) => [each.keys, { rule: each.rule }]),
    );
    this.gauge('rule_state_bytes', 'Bytes of state of a rule.', ['rule'], () =>
      (input.rules?.() ?? []).map((each) => [each.stateBytes, { rule: each.rule }]),
    );
    this.counter('rule_keys_evicted_total', 'Keys that had to make room.', ['rule'], () =>
      (input.rules?.() ?? []).map((each) => [each.evicted, { rule: each.rule }]),
    );
    this.counter('findings_total', 'Findings handed to the sinks.', ['rule', 'severity', 'activity'], () =>
      (input.findings?.() ?? []).map(({ count, rule, severity, activity }) => [count, { rule, severity, activity }]),
    );
    this.gauge('watermark_timestamp_seconds', 'Event time up to which input is complete.', [], () => {
      const ms = input.watermarkMs?.() ?? Number.NaN;
      return Number.isNaN(ms) ? [] : [[ms / 1000, {}]];
    });
  }

  private checkpoints(input: MetricsInput): void {
    this.counter('checkpoints_total', 'Checkpoints saved.', [], () => {
      const { count } = input.checkpoint?.() ?? {};
      return count === undefined ? [] : [[count, {}]];
    });
    const last = (name: string, help: string, read: (last: NonNullable<ReturnType<NonNullable<MetricsInput['checkpoint']>>>) => number) =>
      this.gauge(name, help, [], () => {
        const checkpoint = input.checkpoint?.();
        const value = checkpoint === undefined ? Number.NaN : read(checkpoint);
        return Number.isNaN(value) ? [] : [[value, {}]];
      });
    last('checkpoint_state_bytes', 'Bytes of state in the last checkpoint.', ({ stateBytes }) => stateBytes);
    last('checkpoint_written_bytes', 'Bytes that had to be written for it.', ({ writtenBytes }) => writtenBytes);
    last('checkpoint_duration_seconds', 'How long it took until it was durable.', ({ tookMs }) => tookMs / 1000);
    last('checkpoint_timestamp_seconds', 'When it was saved.', ({ savedMs }) => savedMs / 1000);
  }

  private endpoints(input: MetricsInput, status: Status): void {
    this.counter('http_refusals_total', 'Connections ended without a request that could be read, by reason.', ['reason'], () =>
      Object.entries(input.refusals?.() ?? {}).map(([reason, count]): Row => [count, { reason }]),
    );
    this.gauge('source_lag_records', 'Records known to wait.', ['source', 'topic', 'partition'], () => {
      const rows: Row[] = (input.partitions?.() ?? []).map(({ lagRecords, source, topic, partition }) => [
        lagRecords,
        { source, topic, partition: String(partition) },
      ]);
      const shown = new Set(rows.map(([, labels]) => labels.source));
      for (const { name, health } of status.sources) {
        if (health.lagRecords !== undefined && !shown.has(name)) rows.push([health.lagRecords, { source: name, topic: '', partition: '' }]);
      }
      return bounded(rows, { source: 'other', topic: 'other', partition: 'other' });
    });
    this.gauge('source_up', '1 while the source can be read.', ['source'], () =>
      status.sources.map(({ name, health }) => [Number(health.ok), { source: name }]),
    );
    this.gauge('sink_up', '1 while the sink takes findings.', ['sink'], () =>
      status.sinks.map(({ name, health }) => [Number(health.ok), { sink: name }]),
    );
    this.counter('sink_retries_total', 'Writes to a sink that had to be repeated.', ['sink'], () =>
      status.sinks.map(({ name, health }) => [health.retries, { sink: name }]),
    );
    this.counter('sink_findings_dropped_total', 'Findings that a sink will never hold, by reason.', ['sink', 'reason'], () =>
      status.sinks.flatMap(({ name, health }) =>
        Object.entries(health.dropped ?? {}).map(([reason, count]): Row => [count, { sink: name, reason }]),
      ),
    );
    this.gauge('sink_waiting_findings', 'Findings kept for a sink that have not gone out yet.', ['sink'], () =>
      status.sinks.flatMap(({ name, health }): Row[] => (health.waiting === undefined ? [] : [[health.waiting, { sink: name }]])),
    );
    this.gauge('health_reason', 'How many things are wrong for this reason.', ['reason', 'severity'], () => {
      const counts = new Map<string, [number, Labels]>();
      for (const { reason, severity } of healthReport(status).reasons) {
        const row = counts.get(`${reason} ${severity}`) ?? [0, { reason, severity }];
        row[0]++;
        counts.set(`${reason} ${severity}`, row);
      }
      return [...counts.values()];
    });
  }

  private drains(input: MetricsInput): void {
    const each = (rows: (drain: Pick<Drain, 'path' | 'counters' | 'dedupe' | 'journalBytes'>) => Row[]) => () =>
      (input.drains?.() ?? []).flatMap(rows);
    this.counter('drain_requests_total', 'Requests to a drain, by how they ended.', ['drain', 'outcome'], () =>
      (input.drains?.() ?? []).flatMap(({ path, counters }) =>
        Object.entries(counters.requests).map(([outcome, count]): Row => [count, { drain: path, outcome }]),
      ),
    );
    const plain: [name: string, help: string, read: (drain: Pick<Drain, 'counters' | 'dedupe'>) => number][] = [
      ['drain_records_total', 'Records kept.', ({ counters }) => counters.records],
      ['drain_body_bytes_total', 'Bytes of bodies as they were sent.', ({ counters }) => counters.bytes],
      ['drain_rejects_total', 'Pieces of bodies that were no message.', ({ counters }) => counters.rejects],
      ['drain_repeats_total', 'Batches that had come before.', ({ counters }) => counters.requests.repeat],
      [
        'drain_count_mismatches_total',
        'Batches that held another number of messages than they said.',
        ({ counters }) => counters.countMismatches,
      ],
      ['drain_held_total', 'Requests that had to wait for room or their rate.', ({ counters }) => counters.held],
      ['drain_batches_forgotten_total', 'Batches whose name was let go early.', ({ dedupe }) => dedupe.evicted],
    ];
    for (const [name, help, read] of plain)
      this.counter(
        name,
        help,
        ['drain'],
        each((drain) => [[read(drain), { drain: drain.path }]]),
      );
    this.gauge(
      'drain_journal_bytes',
      'Bytes of the journal on disk.',
      ['drain'],
      each(({ path, journalBytes }) => [[journalBytes, { drain: path }]]),
    );
  }

  private process(): void {
    this.gauge('event_loop_delay_seconds', 'How late timers ran since the last scrape.', ['percentile'], () => {
      const rows: Row[] = [50, 99, 100].map((percent) => [this.loop.percentile(percent) / 1e9, { percentile: String(percent) }]);
      this.loop.reset();
      return rows;
    });
    this.gauge('resident_memory_bytes', 'Memory of the process.', [], () => [[process.memoryUsage.rss(), {}]]);
    this.gauge('start_time_seconds', 'When the process started.', [], () => [[Date.now() / 1000 - process.uptime(), {}]]);
  }

  private counter(name: string, help: string, labelNames: string[], rows: () => readonly Row[]): void {
    new Counter({
      name: `streamgauge_${name}`,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, labels] of rows()) this.inc(labels, value);
      },
    });
  }

  private gauge(name: string, help: string, labelNames: string[], rows: () => readonly Row[]): void {
    new Gauge({
      name: `streamgauge_${name}`,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, labels] of rows()) this.set(labels, value);
      },
    });
  }
}

export function registerMetrics(app: FastifyInstance, input: MetricsInput, status: Status): void {
  const metrics = new Metrics(input, status);
  app.addHook('onClose', async () => metrics.stop());
  app.get('/metrics', async (_, reply) => reply.header('content-type', metrics.registry.contentType).send(await metrics.text()));
}

/** The first rows; what is past `maxSeries` as one row under `other`. */
function bounded(rows: readonly Row[], other: Labels): readonly Row[] {
  if (rows.length <= maxSeries) return rows;
  const rest = rows.slice(maxSeries - 1).reduce((sum, [value]) => sum + value, 0);
  return [...rows.slice(0, maxSeries - 1), [rest, other]];
}
