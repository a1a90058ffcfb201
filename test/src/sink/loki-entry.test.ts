import { expect, test } from 'vitest';
import type { Finding } from '../../../processors/detect/finding.ts';
import { toOcsf } from '../../../processors/detect/ocsf.ts';
import { findingSchema } from '../../../schemas/finding.ts';
import { lokiEntry, lokiTimestamp } from '../../../src/sink/loki-entry.ts';
import { sampleFinding } from '../../contracts/sink-laws.ts';

const entryOf = (finding: Finding) => lokiEntry(findingSchema.parse(toOcsf(finding)), { app: 'shop', env: 'prod' });

test('the labels are job, app, env, severity and detector, whatever the key holds', () => {
  const finding = { ...sampleFinding(1), key: { 'client.address': '203.0.113.9', severity: 'low', job: 'x' } };
  const { labels, metadata } = entryOf(finding);
  expect(labels).toEqual({ job: 'findings', app: 'shop', env: 'prod', severity: 'high', detector: 'above' });
  expect(metadata).toMatchObject({
    finding_id: finding.id,
    activity: 'open',
    rule: 'auth_passkey_enumeration',
    status: 'live',
    key: '203.0.113.9, low, x',
    key_client_address: '203.0.113.9',
    key_severity: 'low',
    key_job: 'x',
  });
});

test('whatever the others who write to the topic make up, the sets of labels are a few, and the line says what they wrote', () => {
  const made = ['self', 'above', 'unusual', 'a'.repeat(4000), ...Array.from({ length: 50 }, (_, index) => `made-up-${index}`)];
  const entries = made.map((detector, index) => entryOf({ ...sampleFinding(index), detector }));
  expect([...new Set(entries.map(({ labels }) => labels.detector))]).toEqual(['self', 'above', 'unusual', 'other']);
  expect(entries.map(({ line }) => JSON.parse(line).detector)).toEqual(made);
  const finding = toOcsf(sampleFinding(1));
  expect(findingSchema.safeParse({ ...finding, severity: 'Made Up' }).success).toBe(false);
});

test('metadata is text throughout, with names that Loki takes, also where a number is none', () => {
  const { metadata } = entryOf({ ...sampleFinding(1), value: Number.NaN, key: { 'weird-name|lower': 'x' } });
  expect(metadata.value).toBe('null');
  for (const [name, value] of Object.entries(metadata)) {
    expect(name).toMatch(/^[a-zA-Z_][a-zA-Z0-9_]*$/);
    expect(typeof value).toBe('string');
  }
});

test('the timestamp is the finding\u2019s, the same each time, to the nanosecond, and what a finding became stays in order', () => {
  const finding = sampleFinding(1);
  const stamp = lokiTimestamp(entryOf(finding));
  expect(stamp).toBe(lokiTimestamp(entryOf(sampleFinding(1))));
  expect(BigInt(stamp) / 1_000_000n).toBe(BigInt(finding.timeMs));
  const stamps = [0, 1, 2].map((sequence) => BigInt(lokiTimestamp(entryOf({ ...finding, sequence, activity: 'update' }))));
  expect(stamps[0] < stamps[1] && stamps[1] < stamps[2]).toBe(true);
  expect(lokiTimestamp({ timeMs: 1, nanos: 7 })).toBe('1000007');
  expect(lokiTimestamp({ timeMs: -5, nanos: 7 })).toBe('0');
});

test('one line holds the finding with its samples; samples that are too long for Loki lose their text', () => {
  const finding = sampleFinding(1);
  const { line } = entryOf(finding);
  expect(line).not.toContain('\n');
  expect(JSON.parse(line)).toMatchObject({
    finding_id: finding.id,
    rule: finding.rule,
    key: finding.key,
    summary: finding.summary,
    threshold: 20,
    samples: [{ topic: 'logs', text: 'line\nwith a newline' }],
  });
  const long = entryOf({ ...finding, samples: [{ topic: 'logs', partition: 0, offset: 1, text: 'x'.repeat(300_000) }] });
  expect(Buffer.byteLength(long.line)).toBeLessThan(262_144);
  expect(JSON.parse(long.line).samples).toEqual([{ topic: 'logs', partition: 0, offset: 1 }]);
});

test('a long key is cut in the metadata, never between the halves of a character', () => {
  const { metadata, line } = entryOf({ ...sampleFinding(1), key: { 'user.name': `${'x'.repeat(511)}\u{1f600}` } });
  expect(metadata.key_user_name).toBe(`${'x'.repeat(511)}\ufffd`);
  expect(JSON.parse(line).key['user.name']).toContain('\u{1f600}');
});
