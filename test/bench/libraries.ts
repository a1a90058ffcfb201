/**
 * Ours beside what npm has: `hyperlolo` for distinct counts, `tdigest` for quantiles. Of the HyperLogLogs there, `hyperloglog` does not
 * compile on Node 20, `hyperloglog32` saturates, `bloom-filters` is off by half below a thousand and takes 160 us an add; `hyperlolo`
 * installs, is pure JavaScript, and estimates well, so it is the one worth beating. It has as many registers here as ours.
 */
import { HyperLogLog } from 'hyperlolo';
import type { Match } from '../../processors/match/match.ts';
import { Distinct } from '../../processors/measure/distinct.ts';
import type { Measure } from '../../processors/measure/measure.ts';
import { Quantile } from '../../processors/measure/quantile.ts';
import { hashKeyOf, hashText, publishedHashKey } from '../../processors/sketch/hash.ts';
import { collectGarbage, type Figure, median, timedNs } from './figure.ts';
import { logNormals, randomWords } from './random-words.ts';
import { type TDigest, tdigestOf } from './tdigest.ts';

const sizes = [10, 100, 1_000, 10_000, 100_000];
const panes = 60;
const precision = 11;
const q = 0.99;
/** So many sets a size: about as much work for each. */
const seedsOf = (size: number) => Math.max(12, Math.min(200, 1_000_000 / size));
const instancesOf = (size: number) => Math.max(20, Math.min(2_000, 400_000 / size));

/** One way to take values and answer, as the benchmark drives it: `instances` of them at once, values by number. */
interface Contestant {
  readonly name: string;
  /** A set of instances. Whatever is not given back by `release` counts as theirs. */
  make(instances: number): Fleet;
  /** One instance over 60 panes: returns what puts them together and answers, once. */
  merge(perPane: number): () => number;
}

interface Fleet {
  add(instance: number, value: number): void;
  answer(instance: number): number;
  /** What all of them hold, where they can say. */
  bytes?(): number;
}

const hashKey = hashKeyOf(publishedHashKey);
const hash = new Uint32Array(2);

const readyCount = 2_000;
const ready: string[] = [];

/** About 30 bytes. Those of the first 2,000 values are made beforehand: only what is done with them is to be timed. */
function textOf(value: number): string {
  return ready[value] ?? `user-${value.toString(36)}@mail-${value % 97}.example.org`;
}

function blankMatch(): Match {
  return { timeMs: 0, number: 1, valueLow: 0, valueHigh: 0, counted: false, partition: 0, offset: 0 } as Match;
}

/** A measure of ours: an instance is a slot. What is timed includes the hash where the measure needs one. */
function ours(name: string, make: (windowPanes: number) => Measure, fill: (match: Match, value: number) => void): Contestant {
  const match = blankMatch();
  const add = (measure: Measure, slot: number, pane: number, value: number) => {
    fill(match, value);
    measure.add(slot, pane, match);
  };
  return {
    name,
    make: () => {
      const measure = make(1);
      return {
        add: (instance, value) => add(measure, instance, 1, value),
        answer: (instance) => {
          measure.close(instance, 1);
          return measure.value(instance, 1, 1);
        },
        bytes: () => measure.bytes(),
      };
    },
    merge: (perPane) => {
      const measure = make(panes);
      const ask = (pane: number) => measure.value(0, pane - panes + 1, pane);
      // As a pipeline does: an answer after every pane. The last one is timed.
      for (let pane = 1; ; pane++) {
        for (let i = 0; i < perPane; i++) add(measure, 0, pane, pane * perPane + i);
        measure.close(0, pane);
        measure.expire(0, pane - panes + 1);
        if (pane === 2 * panes) return () => ask(pane);
        ask(pane);
      }
    },
  };
}

const distincts: Contestant[] = [
  ours(
    'ours (exact to 256, then p = 11)',
    (windowPanes) => new Distinct(windowPanes, precision),
    (match, value) => {
      hashText(textOf(value), hashKey, hash);
      match.valueLow = hash[0];
      match.valueHigh = hash[1];
    },
  ),
  {
    name: 'hyperlolo 0.4.0, p = 11',
    make: (instances) => {
      const all = Array.from({ length: instances }, newHyperlolo);
      return { add: (instance, value) => all[instance].add(textOf(value)), answer: (instance) => all[instance].count() };
    },
    merge: (perPane) => {
      const parts = Array.from({ length: panes }, (_, pane) => {
        const part = newHyperlolo();
        for (let i = 0; i < perPane; i++) part.add(textOf(pane * perPane + i));
        return part;
      });
      return () => parts.reduce((merged, part) => merged.merge(part)).count();
    },
  },
];

function newHyperlolo(): HyperLogLog {
  return new HyperLogLog({ hasherId: 'jenkins32', precision });
}

const numberCount = 1 << 20;
const numbers = new Float64Array(numberCount);

function numberOf(value: number): number {
  return numbers[value & (numberCount - 1)];
}

function takeNumber(match: Match, value: number): void {
  match.number = numberOf(value);
}

const quantiles: Contestant[] = [
  ours('ours, t-digest', () => new Quantile(q, 'tdigest'), takeNumber),
  ours('ours, histogram', () => new Quantile(q, 'histogram'), takeNumber),
  {
    name: 'tdigest 0.1.3',
    make: (instances) => {
      const all = Array.from({ length: instances }, tdigestOf);
      return { add: (instance, value) => all[instance].push(numberOf(value)), answer: (instance) => all[instance].percentile(q) };
    },
    merge: (perPane) => {
      const parts = Array.from({ length: panes }, (_, pane) => {
        const part = tdigestOf();
        for (let i = 0; i < perPane; i++) part.push(numberOf(pane * perPane + i));
        return part;
      });
      return () => {
        const merged: TDigest = tdigestOf();
        for (const part of parts) merged.push_centroid(part.toArray());
        return merged.percentile(q);
      };
    },
  },
];

/** Root of the mean square of the relative distance from what is right, over sets of `size` values. */
function errorOf({ make }: Contestant, size: number, truth: (first: number) => readonly [number, number]): number {
  const seeds = seedsOf(size);
  let squares = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const fleet = make(1);
    const first = seed * 7_919_017;
    for (let i = 0; i < size; i++) fleet.add(0, first + i);
    const [low, high] = truth(first);
    const answer = fleet.answer(0);
    const error = answer < low ? answer / low - 1 : answer > high ? answer / high - 1 : 0;
    squares += error * error;
  }
  return Math.sqrt(squares / seeds);
}

/** Between these two numbers of the set every convention of interpolation finds its quantile. */
function exactQuantile(first: number, size: number): readonly [number, number] {
  const sorted = Float64Array.from({ length: size }, (_, i) => Math.fround(numberOf(first + i))).sort();
  return [sorted[Math.floor(q * (size - 1))], sorted[Math.min(size - 1, Math.ceil(q * size))]];
}

/**
 * Bytes an instance of so many values, closed as a pane is: by its own account, slack included, or else the growth of heap and array
 * buffers, each after a collection.
 */
function bytesEach({ make }: Contestant, size: number): number {
  const instances = instancesOf(size);
  const before = heldBytes();
  const fleet = make(instances);
  for (let instance = 0; instance < instances; instance++) {
    for (let i = 0; i < size; i++) fleet.add(instance, instance * size + i);
    fleet.answer(instance);
  }
  const bytes = (fleet.bytes?.() ?? heldBytes() - before) / instances;
  if (!(fleet.answer(0) > 0)) throw new Error('nothing was measured');
  return bytes;
}

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Nanoseconds an update of 64 instances, 2,000 values each, in random order. */
function updateNs({ make }: Contestant): number {
  const rounds: number[] = [];
  for (let round = 0; round < 7; round++) {
    const fleet = make(64);
    const word = randomWords(round);
    const count = 128_000;
    const values = Uint32Array.from({ length: count }, () => word() % readyCount);
    const addAll = () => {
      for (let i = 0; i < count; i++) fleet.add(i & 63, values[i]);
    };
    rounds.push(timedNs(addAll) / count);
  }
  return median(rounds);
}

function mergeUs({ merge }: Contestant, perPane: number): number {
  return median(Array.from({ length: 7 }, () => timedNs(merge(perPane)) / 1000));
}

/** Prints both tables as markdown. Start with `--expose-gc`. */
export function benchLibraries(print: (line: string) => void): Figure[] {
  const normal = logNormals(7);
  for (let i = 0; i < numberCount; i++) numbers[i] = Math.fround(normal());
  for (let value = 0; value < readyCount; value++) ready.push(Buffer.from(textOf(value)).toString());
  const heading = sizes.map((size) => (size < 1000 ? size : `${size / 1000}k`)).join(' / ');
  const figures: Figure[] = [];
  const table = (
    title: string,
    contestants: readonly Contestant[],
    truth: (size: number) => (first: number) => readonly [number, number],
  ) => {
    print(`| ${title} | rmse % at ${heading} | bytes at ${heading} | ns an update | us for 60 panes of 100 / 2k |`);
    print('|---|---|---|---|---|');
    for (const contestant of contestants) {
      const errors = sizes.map((size) => 100 * errorOf(contestant, size, truth(size)));
      const bytes = sizes.map((size) => bytesEach(contestant, size));
      const ns = updateNs(contestant);
      const merges = [100, 2_000].map((perPane) => mergeUs(contestant, perPane));
      const column = (values: readonly number[], digits: number) => values.map((value) => value.toFixed(digits)).join(' / ');
      print(`| ${contestant.name} | ${column(errors, 2)} | ${column(bytes, 0)} | ${ns.toFixed(0)} | ${column(merges, 0)} |`);
      sizes.forEach((size, i) => {
        figures.push({ name: `${contestant.name}: rmse at ${size}`, value: errors[i], unit: '%', note: title });
        figures.push({ name: `${contestant.name}: bytes at ${size}`, value: bytes[i], unit: 'B', note: title });
      });
      figures.push({ name: `${contestant.name}: update`, value: ns, unit: 'ns', note: title });
      figures.push({ name: `${contestant.name}: 60 panes of 2k`, value: merges[1], unit: 'us', note: title });
    }
  };
  table('distinct texts of 30 B', distincts, (size) => () => [size, size]);
  print('');
  table('p99 of log-normal numbers', quantiles, (size) => (first) => exactQuantile(first, size));
  return figures;
}
