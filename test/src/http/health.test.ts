import { describe, expect, test } from 'vitest';
import { healthReport, type Status } from '../../../src/http/health.ts';

const quiet: Status = { sources: [], sinks: [], reasons: () => [] };

describe('health', () => {
  test('is ok while nothing is wrong, and names every source and sink', () => {
    const source = { ok: true, lagRecords: 5, driver: 'kafkajs' };
    const sink = { ok: true, retries: 2 };
    expect(healthReport({ ...quiet, sources: [{ name: 'kafka:logs', health: source }], sinks: [{ name: 'loki', health: sink }] })).toEqual({
      status: 'ok',
      reasons: [],
      sources: { 'kafka:logs': source },
      sinks: { loki: sink },
    });
  });

  test('is degraded while it works but somebody should look', () => {
    const reason = { reason: 'budget_spent', severity: 'degraded', detail: 'rule x holds 64 MB' } as const;
    expect(healthReport({ ...quiet, reasons: () => [reason] })).toMatchObject({ status: 'degraded', reasons: [reason] });
  });

  test('is degraded, not failing, by a sink whose findings are kept for it', () => {
    const health = { ok: false, kept: true, reason: 'Loki is away; 3 findings wait', retries: 9, waiting: 3 };
    const report = healthReport({ ...quiet, sinks: [{ name: 'loki:http://l', health }] });
    expect(report).toMatchObject({
      status: 'degraded',
      reasons: [{ reason: 'sink_failing', severity: 'degraded', detail: 'loki:http://l: Loki is away; 3 findings wait' }],
    });
  });

  test('fails with a source or a sink, the worst reason first', () => {
    const report = healthReport({
      sources: [
        { name: 'kafka:logs', health: { ok: false, reason: 'no broker answers' } },
        { name: 'file:x', health: { ok: true, reason: 'end of input' } },
      ],
      sinks: [{ name: 'loki:http://l', health: { ok: false, retries: 9 } }],
      reasons: () => [{ reason: 'budget_spent', severity: 'degraded', detail: 'x' }],
    });
    expect(report.status).toBe('failing');
    expect(report.reasons).toEqual([
      { reason: 'source_failing', severity: 'failing', detail: 'kafka:logs: no broker answers' },
      { reason: 'sink_failing', severity: 'failing', detail: 'loki:http://l: no reason given' },
      { reason: 'budget_spent', severity: 'degraded', detail: 'x' },
    ]);
  });
});
