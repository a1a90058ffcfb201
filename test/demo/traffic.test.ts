import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Day } from '../../src/demo/day.ts';
import { Random, Zipf } from '../../src/demo/random.ts';
import { type DemoItem, type DemoLabel, demoDay, demoSeed, demoTraffic } from '../../src/demo/traffic.ts';

const rules = [
  'auth_passkey_enumeration',
  'http_path_scan',
  'ssh_user_enumeration',
  'redis_scan_slow',
  'cache_value_rejections',
  'data_audit_log_gap_window',
];

/** What the rule's own file says, read without the product's parser. */
const ruleFile = (id: string) => parse(readFileSync(new URL(`../../processors/rules/${id}/rule.yaml`, import.meta.url), 'utf8'));

/** Cuts a body by byte count, as a receiver must. */
function frames(body: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(Buffer.from(body.subarray(at, space)).toString('latin1'));
    if (!(Number.isInteger(length) && length > 0)) throw new Error(`byte ${at} of a body does not begin a frame`);
    out.push(body.subarray(space + 1, space + 1 + length));
    at = space + 1 + length;
    if (at > body.length) throw new Error(`the last frame says ${length} bytes, which is past the end of its body`);
  }
  return out;
}

const digestOf = (items: Iterable<DemoItem>, most: number): string => {
  const hash = createHash('sha256');
  let count = 0;
  for (const item of items) {
    hash.update(`${item.atMs} ${item.kind} ${item.lines} `).update(item.bytes);
    if (++count === most) break;
  }
  return hash.digest('hex');
};

/** One thing a rule would count, found by a plain pattern rather than by the decoders. */
interface Sighting {
  readonly atMs: number;
  readonly key: string;
  readonly value: string;
}

const seen: Record<string, Sighting[]> = {};
for (const rule of rules) seen[rule] = [];
const totals = { lines: 0, bodies: 0, json: 0, syslog: 0, losses: 0 };
let disorder = 0;
let mostLateMs = 0;

function look(text: string, arrivedMs: number): void {
  const frameTime = /^<\d+>1 (\S+) /.exec(text);
  const jsonTime = /"time":(\d+)/.exec(text);
  const atMs = jsonTime ? Number(jsonTime[1]) : frameTime ? Date.parse(frameTime[1]) : arrivedMs;
  mostLateMs = Math.max(mostLateMs, arrivedMs - atMs);
  const passkey = /"event\.name":"passkey\.begin","user\.email":"([^"]+)","client\.address":"([^"]+)"/.exec(text);
  if (passkey) seen.auth_passkey_enumeration.push({ atMs, key: passkey[2], value: passkey[1] });
  const missing = text.includes(' status=4') && /path="([^"?]+)[^"]*" .*fwd="([^"]+)".* status=4\d\d /.exec(text);
  if (missing) seen.http_path_scan.push({ atMs, key: missing[2], value: missing[1] });
  const ssh = /(?:Invalid user|Failed password for invalid user) (\S+) from (\S+) port/.exec(text);
  if (ssh) seen.ssh_user_enumeration.push({ atMs, key: ssh[2], value: ssh[1] });
  const scan = /"db\.operation\.name":"SCAN","db\.client\.operation\.duration":([\d.]+)/.exec(text);
  if (scan) seen.redis_scan_slow.push({ atMs, key: '', value: scan[1] });
  if (/Error setting cache key.*exceeds maximum/.test(text)) seen.cache_value_rejections.push({ atMs, key: '', value: String(atMs) });
  if (text.includes('"event.name":"audit.')) seen.data_audit_log_gap_window.push({ atMs, key: '', value: '' });
}

/** The most different values a key shows in any window, and when it first passes `above`. */
function peaks(sightings: readonly Sighting[], windowMs: number, above: number): Map<string, { most: number; firstMs: number }> {
  const byKey = new Map<string, Sighting[]>();
  for (const sighting of sightings) byKey.set(sighting.key, [...(byKey.get(sighting.key) ?? []), sighting]);
  const out = new Map<string, { most: number; firstMs: number }>();
  for (const [key, rows] of byKey) {
    rows.sort((a, b) => a.atMs - b.atMs);
    const held = new Map<string, number>();
    let from = 0;
    const peak = { most: 0, firstMs: Number.POSITIVE_INFINITY };
    for (const row of rows) {
      held.set(row.value, (held.get(row.value) ?? 0) + 1);
      for (; rows[from].atMs <= row.atMs - windowMs; from++) {
        const left = held.get(rows[from].value)! - 1;
        if (left === 0) held.delete(rows[from].value);
        else held.set(rows[from].value, left);
      }
      peak.most = Math.max(peak.most, held.size);
      if (held.size > above) peak.firstMs = Math.min(peak.firstMs, row.atMs);
    }
    out.set(key, peak);
  }
  return out;
}

describe('the demo traffic', () => {
  const traffic = demoTraffic();

  beforeAll(() => {
    let lastMs = 0;
    for (const item of traffic.items) {
      if (item.atMs < lastMs) disorder++;
      lastMs = item.atMs;
      totals.lines += item.lines;
      if (item.kind !== 'logplex') {
        totals[item.kind]++;
        look(Buffer.from(item.bytes).toString(), item.atMs);
        continue;
      }
      totals.bodies++;
      const messages = frames(item.bytes);
      if (messages.length !== item.lines) throw new Error(`a body says ${item.lines} lines and holds ${messages.length}`);
      for (const message of messages) {
        const text = Buffer.from(message).toString();
        if (text.includes('Error L10')) totals.losses++;
        else if (!text.startsWith('<') || !text.endsWith('\n')) throw new Error(`not a whole frame: ${text}`);
        look(text, item.atMs);
      }
    }
  }, 60_000);

  test('arrives in order of arrival, a little out of the order of events, and nothing later than the lateness', () => {
    expect(disorder).toBe(0);
    expect(mostLateMs).toBeGreaterThan(500);
    expect(mostLateMs).toBeLessThan(10_000);
  });

  test('is a day of a few hundred thousand lines over three kinds of transport, with one loss line', () => {
    expect(totals.lines).toBeGreaterThan(300_000);
    expect(totals.lines).toBeLessThan(600_000);
    expect(totals.json).toBeGreaterThan(10_000);
    expect(totals.syslog).toBeGreaterThan(10_000);
    expect(totals.losses).toBe(1);
  });

  test('has the same bytes for the same seed, from the start each time, and others for another seed', () => {
    const first = digestOf(traffic.items, 20_000);
    expect(digestOf(demoTraffic(demoSeed, demoDay).items, 20_000)).toBe(first);
    expect(digestOf(traffic.items, 20_000)).toBe(first);
    expect(digestOf(demoTraffic(demoSeed + 1, demoDay).items, 20_000)).not.toBe(first);
  });

  test('has an attack or outage for each of the six rules, inside the day', () => {
    const day = new Day(demoDay);
    expect([...new Set(traffic.labels.map((label) => label.rule))].sort()).toEqual([...rules].sort());
    for (const label of [...traffic.labels, ...traffic.nearMisses]) {
      expect(label.startMs).toBeGreaterThanOrEqual(day.startMs);
      expect(label.endMs).toBeLessThanOrEqual(day.endMs);
      expect(label.startMs).toBeLessThan(label.endMs);
    }
  });

  test.each([
    ['auth_passkey_enumeration', 10],
    ['http_path_scan', 5],
    ['ssh_user_enumeration', 10],
    ['cache_value_rejections', 5],
  ])('passes the threshold of %s under the labelled keys and times, and under no other', (rule, windowMinutes) => {
    const above = ruleFile(rule).detect.above as number;
    const passing = [...peaks(seen[rule], windowMinutes * 60_000, above)].filter(([, peak]) => peak.most > above);
    const labels = traffic.labels.filter((label) => label.rule === rule);
    expect(passing.map(([key]) => key).sort()).toEqual(labels.map(keyOf).sort());
    for (const [key, peak] of passing) {
      const label = labels.find((one) => keyOf(one) === key)!;
      expect(peak.firstMs).toBeGreaterThan(label.startMs);
      expect(peak.firstMs).toBeLessThan(label.endMs);
    }
  });

  test('has near misses that come more than half way to the threshold', () => {
    for (const [rule, windowMinutes] of [
      ['auth_passkey_enumeration', 10],
      ['http_path_scan', 5],
      ['ssh_user_enumeration', 10],
    ] as const) {
      const above = ruleFile(rule).detect.above as number;
      const all = peaks(seen[rule], windowMinutes * 60_000, above);
      const closest = Math.max(...traffic.nearMisses.filter((one) => one.rule === rule).map((one) => all.get(keyOf(one))!.most));
      expect(closest).toBeLessThanOrEqual(above);
      expect(closest).toBeGreaterThan(above * 0.5);
    }
  });

  test('keeps scans slow for longer than the hold once, and once for less', () => {
    const slow = seen.redis_scan_slow.filter((row) => Number(row.value) > 0.1).map((row) => row.atMs);
    const labels = [...traffic.labels, ...traffic.nearMisses].filter((label) => label.rule === 'redis_scan_slow');
    expect(slow.length).toBeGreaterThan(100);
    for (const atMs of slow) expect(labels.some((label) => atMs >= label.startMs && atMs < label.endMs)).toBe(true);
    const [outage, backup] = labels.map((label) => (label.endMs - label.startMs) / 60_000);
    expect(outage).toBeGreaterThan(15 + 5);
    expect(backup + 5).toBeLessThan(15);
  });

  test('silences the audit log for more than half an hour of the working day once, and only then', () => {
    const day = new Day(demoDay);
    const times = seen.data_audit_log_gap_window.map((row) => row.atMs).sort((a, b) => a - b);
    const gaps = times
      .slice(1)
      .map((atMs, i) => ({ fromMs: times[i], endMs: atMs }))
      .filter((gap) => gap.endMs > day.at('12:00') && gap.fromMs < day.at('22:00') && gap.endMs - gap.fromMs > 20 * 60_000);
    const label = traffic.labels.find((one) => one.rule === 'data_audit_log_gap_window')!;
    expect(gaps.length).toBe(2);
    const long = gaps.filter((gap) => gap.endMs - gap.fromMs > 30 * 60_000);
    expect(long.length).toBe(1);
    expect(long[0].fromMs).toBeLessThan(label.startMs);
    expect(long[0].endMs).toBeGreaterThanOrEqual(label.endMs);
  });
});

const keyOf = (label: DemoLabel): string => label.key['client.address'] ?? '';

describe('the demo randomness', () => {
  test('draws the published sequence of xoshiro128** for a known state', () => {
    // State 1, 2, 3, 4: the first words of the reference C code (Blackman & Vigna, 2018).
    const random = new Random(0);
    Object.assign(random, { state: new Uint32Array([1, 2, 3, 4]) });
    expect([random.bits(), random.bits(), random.bits(), random.bits()]).toEqual([11520, 0, 5927040, 70819200]);
  });

  test('gives each actor a stream of its own', () => {
    expect(Random.of(1, 'shop').bits()).not.toBe(Random.of(1, 'ssh').bits());
    expect(Random.of(1, 'shop').bits()).toBe(Random.of(1, 'shop').bits());
  });

  test('has the mean it was asked for', () => {
    const random = new Random(7);
    const mean = (draw: () => number) => Array.from({ length: 20_000 }, draw).reduce((sum, x) => sum + x, 0) / 20_000;
    expect(mean(() => random.poisson(12))).toBeCloseTo(12, 0);
    expect(mean(() => random.exponential(3))).toBeCloseTo(3, 0);
    expect(mean(() => random.next())).toBeCloseTo(0.5, 1);
  });

  test('draws ranks as often as their weights say', () => {
    const random = new Random(9);
    const zipf = new Zipf(100, 1);
    const counts = new Array<number>(100).fill(0);
    for (let i = 0; i < 50_000; i++) counts[zipf.draw(random)]++;
    expect(counts[0] / counts[1]).toBeCloseTo(2, 0);
    expect(counts[99]).toBeGreaterThan(0);
  });
});
