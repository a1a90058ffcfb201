/**
 * A flood of keys against a rule whose memory holds some 20,000: 100,000 keys of Zipf's law, 400 attackers of 40 events each at a threshold of
 * 30, and keys that come once, at 5 or 20 times the normal traffic. All in one window of ten minutes, in random order with a seed.
 */
import { buildGroup } from '../../processors/build-group.ts';
import type { Finding } from '../../processors/detect/finding.ts';
import type { Match } from '../../processors/match/match.ts';
import { groupRules } from '../../processors/rule-group.ts';
import { whole } from '../../processors/slices.ts';
import { MemoryBudget } from '../../processors/window/memory-share.ts';
import { sampleHash } from '../../processors/window/sample-hash.ts';
import { ruleOf } from '../support/rules.ts';

const zipfKeys = 100_000;
const attackers = 400;
const attackEvents = 40;
const threshold = 30;
const normalEvents = 150_000;
const heavyKeys = 1_000;
const windowMs = 600_000;
const startMs = 600_000_000;
/** Holds 34,000 young keys of this rule; 6,000 to 32,000 once 1,300 episodes are open, whose samples are kept. The sketch has 2^17 cells a row. */
const memoryBytes = 8 * 2 ** 20;

export interface FloodFigures {
  readonly attackersSeen: number;
  /** Findings of keys that had fewer events than the threshold. */
  readonly falseAlarms: number;
  /** Of the events of the 1,000 heaviest keys, the part that was counted. */
  readonly heavyContinuity: number;
  /** Events of an attacker that came before it had a place, on average over those seen. */
  readonly extraDelayEvents: number;
  readonly mostKeys: number;
  readonly keysAtEnd: number;
  readonly mostBytes: number;
  readonly memoryBytes: number;
  readonly evictions: number;
  readonly untracked: number;
  readonly nsPerEvent: number;
  readonly floodFindings: readonly Finding[];
}

/** @param factor flood events per event of normal traffic. */
export function benchFlood(factor: 5 | 20): FloodFigures {
  const rule = ruleOf(
    `id: burst\nearly: true\nkey: client.address\nmeasure: count\nwindow: { size: 10m, slide: 10s }\ndetect: { above: ${threshold - 1} }`,
  );
  let evictions = 0;
  const memory = new MemoryBudget(memoryBytes, 1);
  const [group] = groupRules([rule]);
  const { windows, detections, keyFlood } = buildGroup(group, { memory, evicted: () => evictions++, partitionName: () => 'flood/0' });
  const plan = planOf(factor);
  const trueCounts = new Uint32Array(zipfKeys + attackers);
  const seenAt = new Map<string, number>();
  const falseKeys = new Set<string>();
  const match = emptyMatch();
  const floodFindings: Finding[] = [];
  let untracked = 0;
  let heavyEvents = 0;
  let heavyCounted = 0;
  let mostKeys = 0;
  let mostBytes = 0;
  let pane = 0;
  const take = () => {
    for (const { activity, key } of detections[0].take()) {
      const [name] = Object.values(key);
      if (activity !== 'open') continue;
      const count = trueCounts[Number(name)] ?? 1;
      if (count < threshold) falseKeys.add(name);
      seenAt.set(name, count);
    }
    floodFindings.push(...keyFlood.take());
  };
  const started = process.hrtime.bigint();
  for (let i = 0; i < plan.length; i++) {
    const id = plan[i];
    match.timeMs = startMs + Math.floor((i * windowMs) / plan.length);
    match.offset = i;
    match.sampleHash = sampleHash(7, i);
    setKey(match, id < zipfKeys + attackers ? id : zipfKeys + attackers + i);
    if (id < trueCounts.length) trueCounts[id]++;
    const slot = windows.add(match, { text: () => (id < trueCounts.length ? String(id) : `once ${i}`) });
    if (id < heavyKeys) heavyEvents++;
    if (slot < 0) {
      untracked++;
      continue;
    }
    if (id < heavyKeys) heavyCounted++;
    windows.peek(slot, match.timeMs);
    take();
    if ((i & 0x3fff) === 0) {
      mostKeys = Math.max(mostKeys, windows.keyCount);
      mostBytes = Math.max(mostBytes, windows.bytes());
    }
    const now = Math.floor(match.timeMs / 10_000);
    if (now === pane) continue;
    pane = now;
    while (windows.nextDueMs <= match.timeMs) whole(windows.closeNext());
    take();
  }
  const nsPerEvent = Number(process.hrtime.bigint() - started) / plan.length;
  const seen = [...seenAt].filter(([name]) => Number(name) >= zipfKeys);
  return {
    attackersSeen: seen.length,
    falseAlarms: falseKeys.size,
    heavyContinuity: heavyCounted / heavyEvents,
    extraDelayEvents: seen.reduce((sum, [, count]) => sum + count - threshold, 0) / Math.max(1, seen.length),
    mostKeys,
    keysAtEnd: windows.keyCount,
    mostBytes,
    memoryBytes,
    evictions,
    untracked,
    nsPerEvent,
    floodFindings,
  };
}

/** Which key each event is of, in random order: Zipf's, then the attackers', then `zipfKeys + attackers` for one that comes once. */
function planOf(factor: number): Uint32Array {
  const random = randomOf(20260106);
  const flood = normalEvents * factor;
  const plan = new Uint32Array(normalEvents + attackers * attackEvents + flood).fill(zipfKeys + attackers);
  const sums = new Float64Array(zipfKeys);
  let sum = 0;
  for (let rank = 0; rank < zipfKeys; rank++) {
    sum += 1 / (rank + 1) ** 1.05;
    sums[rank] = sum;
  }
  for (let i = 0; i < normalEvents; i++) plan[i] = firstAtLeast(sums, random() * sum);
  for (let i = 0; i < attackers * attackEvents; i++) plan[normalEvents + i] = zipfKeys + (i % attackers);
  for (let i = plan.length - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [plan[i], plan[other]] = [plan[other], plan[i]];
  }
  return plan;
}

function firstAtLeast(sums: Float64Array, target: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] < target) low = middle + 1;
    else high = middle;
  }
  return low;
}

function emptyMatch(): Match {
  return {
    group: 0,
    timeMs: 0,
    keyLow: 0,
    keyHigh: 0,
    number: 1,
    valueLow: 0,
    valueHigh: 0,
    counted: false,
    partition: 0,
    partitionHash: 7,
    offset: 0,
    sampleHash: 0,
    events: undefined as unknown as Match['events'],
    row: 0,
  };
}

/** Two halves of a well mixed hash of a number (murmur3's finaliser). */
function setKey(match: Match, id: number): void {
  match.keyLow = mix(id ^ 0x5bd1e995);
  match.keyHigh = mix(Math.imul(id, 0x27d4eb2f) + 0x165667b1);
}

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
