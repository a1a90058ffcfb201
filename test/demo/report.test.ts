import { expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { selfFinding } from '../../processors/detect/self-finding.ts';
import { demoReport, judgeDemo } from '../../src/demo/report.ts';
import type { DemoLabel } from '../../src/demo/scenes.ts';

const baseMs = Date.parse('2026-01-05T12:00:00Z');

function opening(rule: string, address: string, summary: string): Finding {
  const made = selfFinding({
    rule: 'streamgauge.test',
    title: 'A test',
    key: { 'client.address': address },
    summary,
    value: 1,
    sinceMs: baseMs,
    nowMs: baseMs + 60_000,
  });
  return { ...made, rule };
}

function label(rule: string, address: string, what: string): DemoLabel {
  return { rule, key: { 'client.address': address }, startMs: baseMs, endMs: baseMs + 60_000, what };
}

test('the report tells what was caught, missed, fired by mistake and unexplained', () => {
  const openings = [opening('a', '192.0.2.1', 'one'), opening('a', '192.0.2.2', 'two'), opening('b', '192.0.2.1', 'three')];
  const labels = [label('a', '192.0.2.1', 'an attack'), label('a', '192.0.2.9', 'another attack')];
  const nearMisses = [label('a', '192.0.2.2', 'a crawler')];
  const outcome = judgeDemo(openings, labels, nearMisses);
  const report = demoReport(openings, outcome, nearMisses.length);
  expect(report).toMatch(/caught +a +an attack +60 s$/m);
  expect(report).toMatch(/MISSED +a +another attack$/m);
  expect(report).toMatch(/FIRED +a +a crawler/m);
  expect(report).toMatch(/UNEXPLAINED +b +three$/m);
  expect(report).toContain('1 of 2 attacks and outages caught, 1 of 1 near misses fired, 1 findings unexplained.');
});

test('a summary made of log content cannot move the cursor or forge a row', () => {
  const openings = [opening('a', '192.0.2.1', '\u001b[2J\n  12:00:00  caught  a\u202e')];
  const report = demoReport(openings, judgeDemo(openings, [], []), 0);
  expect(report).toContain('\\x1b[2J\\x0a  12:00:00  caught  a\\u202e');
  expect(report.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u202e]/);
});
