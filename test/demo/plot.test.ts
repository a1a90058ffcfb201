import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../processors/detect/finding.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import type { SourceRecord } from '../../processors/record.ts';
import { parseRule } from '../../schemas/rule.ts';
import { messagesLost } from '../../src/demo/platform.ts';
import { type DemoItem, type DemoLabel, demoTraffic } from '../../src/demo/traffic.ts';

const root = join(import.meta.dirname, '..', '..', 'processors', 'rules');
const rules = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const file = join(root, name, 'rule.yaml');
    const { rule, problems } = parseRule(readFileSync(file, 'utf8'), file);
    if (rule === undefined) throw new Error(problems.join('\n'));
    return rule;
  });

const datasets = { logplex: 'heroku', json: 'app', syslog: 'bastion' };

/** The messages of a body, by the length each frame begins with. */
function messagesOf(item: DemoItem): Uint8Array[] {
  if (item.kind !== 'logplex') return [item.bytes];
  const messages: Uint8Array[] = [];
  for (let at = 0; at < item.bytes.length; ) {
    const space = item.bytes.indexOf(0x20, at);
    const end = space + 1 + Number(Buffer.from(item.bytes.subarray(at, space)).toString());
    messages.push(item.bytes.subarray(space + 1, end));
    at = end;
  }
  return messages;
}

describe('the demo day, through the real decoders and the six rules', () => {
  const { items, labels } = demoTraffic();
  const pipeline = new Pipeline(rules);
  const findings: Finding[] = [];
  const offsets = { logplex: 0, json: 0, syslog: 0 };
  pipeline.partitions(Object.values(datasets).map((name) => `${name}/0`));

  beforeAll(() => {
    for (const item of items) {
      const records: SourceRecord[] = messagesOf(item).map((value) => ({ value, offset: offsets[item.kind]++, timestampMs: item.atMs }));
      findings.push(
        ...pipeline.process({ topic: datasets[item.kind], partition: 0, dataset: datasets[item.kind], format: 'auto', records }),
      );
    }
    findings.push(...pipeline.finish());
  }, 120_000);

  const openings = () => findings.filter((finding) => finding.activity === 'open');
  const matches = (finding: Finding, label: DemoLabel) =>
    finding.rule === label.rule &&
    JSON.stringify(finding.key) === JSON.stringify(label.key) &&
    finding.timeMs >= label.startMs &&
    finding.timeMs <= label.endMs + 60_000;

  test('opens one finding for each attack, while it goes on', () => {
    const found = labels.map((label) => openings().filter((finding) => matches(finding, label)).length);
    expect(labels.filter((_, i) => found[i] !== 1).map((label) => `${label.rule} ${JSON.stringify(label.key)} ${label.what}`)).toEqual([]);
  });

  test('opens no other finding', () => {
    const others = openings().filter((finding) => !labels.some((label) => matches(finding, label)));
    expect(others.map((finding) => `${finding.rule} ${finding.summary} ${new Date(finding.timeMs).toISOString()}`)).toEqual([]);
  });

  test('closes each of them before the day is over', () => {
    const closed = new Set(findings.filter((finding) => finding.activity === 'close').map((finding) => finding.id));
    expect(openings().filter((finding) => !closed.has(finding.id))).toEqual([]);
  });

  test('decodes every line, drops none as late, and counts what Logplex said it lost', () => {
    // The crash's stack trace ends in an empty line, as real ones do.
    const { rejected, late, futureDated, lostUpstream } = pipeline.counters;
    expect({ rejected, late, futureDated }).toEqual({ rejected: {}, late: {}, futureDated: 0 });
    expect(lostUpstream).toBe(messagesLost);
  });
});
