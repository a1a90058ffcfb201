/** What the demo prints: the findings, and for each label whether it was found. */
import type { Finding } from '../../processors/detect/finding.ts';
import { printable } from '../printable.ts';
import type { DemoLabel } from './traffic.ts';

export interface DemoOutcome {
  readonly caught: readonly (readonly [DemoLabel, Finding])[];
  readonly missed: readonly DemoLabel[];
  /** Near misses that fired all the same. */
  readonly wronglyFired: readonly (readonly [DemoLabel, Finding])[];
  /** Openings that no label accounts for. */
  readonly unexplained: readonly Finding[];
}

/** An opening belongs to a label if rule and key are the label's and it came while, or one window after, what the label names went on. */
export function judgeDemo(openings: readonly Finding[], labels: readonly DemoLabel[], nearMisses: readonly DemoLabel[]): DemoOutcome {
  const belongs = (finding: Finding, label: DemoLabel) =>
    finding.rule === label.rule &&
    JSON.stringify(finding.key) === JSON.stringify(label.key) &&
    finding.windowEndMs > label.startMs &&
    finding.windowStartMs <= label.endMs;
  const pair = (label: DemoLabel): [DemoLabel, Finding][] => {
    const found = openings.find((finding) => belongs(finding, label));
    return found === undefined ? [] : [[label, found]];
  };
  return {
    caught: labels.flatMap(pair),
    missed: labels.filter((label) => pair(label).length === 0),
    wronglyFired: nearMisses.flatMap(pair),
    unexplained: openings.filter((finding) => ![...labels, ...nearMisses].some((label) => belongs(finding, label))),
  };
}

export function demoReport(openings: readonly Finding[], outcome: DemoOutcome, nearMisses: number): string {
  const rows = openings.map((finding) => [clockTime(finding.timeMs), finding.severity, finding.rule, printable(finding.summary)]);
  const lines = [
    '',
    'Findings of the day (UTC)',
    table(['time', 'severity', 'rule', 'what'], rows),
    '',
    'What was put in, and what became of it',
  ];
  const fates = [
    ...outcome.caught.map(([label, finding]) => [clockTime(label.startMs), 'caught', label.rule, label.what, delay(label, finding)]),
    ...outcome.missed.map((label) => [clockTime(label.startMs), 'MISSED', label.rule, label.what, '']),
    ...outcome.wronglyFired.map(([label, finding]) => [
      clockTime(label.startMs),
      'FIRED',
      label.rule,
      label.what,
      clockTime(finding.timeMs),
    ]),
    ...outcome.unexplained.map((finding) => [clockTime(finding.timeMs), 'UNEXPLAINED', finding.rule, printable(finding.summary), '']),
  ].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  lines.push(table(['from', 'fate', 'rule', 'what happened', 'found after'], fates), '');
  lines.push(
    `${outcome.caught.length} of ${outcome.caught.length + outcome.missed.length} attacks and outages caught, ` +
      `${outcome.wronglyFired.length} of ${nearMisses} near misses fired, ${outcome.unexplained.length} findings unexplained.`,
  );
  return lines.join('\n');
}

function delay(label: DemoLabel, finding: Finding): string {
  return `${Math.round((finding.timeMs - label.startMs) / 1000)} s`;
}

function clockTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]) => `  ${cells.map((cell, column) => cell.padEnd(widths[column])).join('  ')}`.trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
