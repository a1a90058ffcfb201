import type { Match } from '../../processors/match/match.ts';
import { createMeasure } from '../../processors/measure/create-measure.ts';
import type { Measure } from '../../processors/measure/measure.ts';
import type { MeasureSpec } from '../../processors/rule.ts';
import { SnapshotWriter } from '../../processors/snapshot.ts';

const slideMs = 1000;
const valueCount = 500_000;
const zipfExponent = 1.05;

const specs: Record<string, MeasureSpec> = {
  count: { kind: 'count' },
  avg: { kind: 'avg', field: 'f' },
  distinct: { kind: 'distinct', field: 'f' },
  histogram: { kind: 'quantile', field: 'f', q: 0.99, sketch: 'histogram' },
  tdigest: { kind: 'quantile', field: 'f', q: 0.99, sketch: 'tdigest' },
};

interface Load {
  keys: number;
  windowPanes: number;
  updates: number;
}

/** Weyl's sequence through a 32-bit mix: the same load in every run. */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Ranks by Zipf's law (rejection by inverse of the integral: Hörmann & Derflinger, 1996). */
function zipf(random: () => number, n: number, exponent: number): () => number {
  const integral = (x: number): number => (x ** (1 - exponent) - 1) / (1 - exponent);
  const inverse = (y: number): number => (1 + y * (1 - exponent)) ** (1 / (1 - exponent));
  const low = integral(1.5) - 1;
  const high = integral(n + 0.5);
  const cut = 2 - inverse(integral(2.5) - 2 ** -exponent);
  return () => {
    for (;;) {
      const u = high + random() * (low - high);
      const x = inverse(u);
      const k = Math.max(1, Math.min(n, Math.round(x)));
      if (k - x <= cut || u >= integral(k + 0.5) - k ** -exponent) return k - 1;
    }
  };
}

/** The fields that measures read. */
function blankMatch(): Match {
  return { timeMs: 0, number: 1, valueLow: 0, valueHigh: 0, counted: false, partition: 0, offset: 0 } as Match;
}

/** Hash and number of each value, made beforehand: only the measure is to be timed. */
const hashes = new Uint32Array(2 * valueCount);
const numbers = new Float64Array(valueCount);

function makeValues(): void {
  const random = randomFrom(1);
  for (let i = 0; i < valueCount; i++) {
    hashes[2 * i] = random() * 2 ** 32;
    hashes[2 * i + 1] = random() * 2 ** 32;
    numbers[i] = Math.exp(3.9 + Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  }
}

function setValue(match: Match, value: number): void {
  match.valueLow = hashes[2 * value];
  match.valueHigh = hashes[2 * value + 1];
  match.number = numbers[value];
}

/** What the window stage does, without its index: slots are given to keys as they come and taken back when nothing is left. */
function runLoad(
  measure: Measure,
  { keys, windowPanes, updates }: Load,
): { active: number; addNs: number; closeNs: number; usedBytes: number } {
  const random = randomFrom(42);
  const key = zipf(random, keys, zipfExponent);
  const panes = 2 * windowPanes;
  const perPane = Math.floor(updates / panes);
  const slotOf = new Int32Array(keys).fill(-1);
  const keyOf: number[] = [];
  const free: number[] = [];
  const drawn = Array.from({ length: perPane }, () => 0);
  const values = new Uint32Array(perPane);
  const touchedIn = new Int32Array(keys).fill(-1);
  const match = blankMatch();
  let addNs = 0;
  let closeNs = 0;
  for (let pane = 1; pane <= panes; pane++) {
    for (let i = 0; i < perPane; i++) {
      drawn[i] = key();
      values[i] = Math.floor(random() * valueCount);
    }
    const touched: number[] = [];
    for (let i = 0; i < perPane; i++) {
      const k = drawn[i];
      if (slotOf[k] < 0) {
        slotOf[k] = free.pop() ?? keyOf.length;
        keyOf[slotOf[k]] = k;
      }
      if (touchedIn[k] !== pane) {
        touchedIn[k] = pane;
        touched.push(slotOf[k]);
      }
    }
    let start = process.hrtime.bigint();
    for (let i = 0; i < perPane; i++) {
      setValue(match, values[i]);
      measure.add(slotOf[drawn[i]], pane, match);
    }
    addNs += Number(process.hrtime.bigint() - start);
    start = process.hrtime.bigint();
    for (const slot of touched) measure.close(slot, pane);
    for (let slot = 0; slot < keyOf.length; slot++) {
      if (keyOf[slot] < 0 || !measure.expire(slot, pane - windowPanes + 1)) continue;
      measure.release(slot);
      slotOf[keyOf[slot]] = -1;
      keyOf[slot] = -1;
      free.push(slot);
    }
    closeNs += Number(process.hrtime.bigint() - start);
  }
  return {
    active: keyOf.length - free.length,
    addNs: addNs / (perPane * panes),
    closeNs: closeNs / (perPane * panes),
    usedBytes: measure.bytes(),
  };
}

/** Nanoseconds an update of keys whose windows of ten panes hold so many values each; 3,100 updates a key and window, closes included. */
function hotNs(spec: MeasureSpec, valuesPerKey: number): number {
  const windowPanes = 10;
  const measure = createMeasure(spec, { sizeMs: windowPanes * slideMs, slideMs, latenessMs: 0 });
  const match = blankMatch();
  const slots = 64;
  let spent = 0;
  let updates = 0;
  for (let pane = 1; pane <= 30; pane++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < 20_000; i++) {
      setValue(match, (Math.floor(i / slots) * 7919 + pane * 31) % valuesPerKey);
      measure.add(i % slots, pane, match);
    }
    for (let slot = 0; slot < slots; slot++) {
      measure.close(slot, pane);
      measure.expire(slot, pane - windowPanes + 1);
      measure.value(slot, pane - windowPanes + 1, pane);
    }
    if (pane > 10) {
      spent += Number(process.hrtime.bigint() - start);
      updates += 20_000;
    }
  }
  return spent / updates;
}

/** Prints bytes a key, nanoseconds an update and the cost of hot keys for each measure. `keyCounts` for a shorter run. */
export async function benchMeasures(
  keyCounts: readonly number[] = [100_000, 1_000_000],
  print: (line: string) => void = console.log,
): Promise<void> {
  makeValues();
  print('measure    keys      panes  active   bytes/key  add ns  close+expire ns/update  value ns  snapshot B/key');
  for (const [name, spec] of Object.entries(specs)) {
    for (const keys of keyCounts) {
      for (const windowPanes of [10, 60]) {
        const measure = createMeasure(spec, { sizeMs: windowPanes * slideMs, slideMs, latenessMs: 0 });
        const result = runLoad(measure, { keys, windowPanes, updates: 10 * keys });
        const last = 2 * windowPanes;
        const start = process.hrtime.bigint();
        let sum = 0;
        for (let slot = 0; slot < result.active; slot++) sum += measure.value(slot, last - windowPanes + 1, last) || 0;
        const valueNs = Number(process.hrtime.bigint() - start) / result.active;
        const out = new SnapshotWriter(1 << 20);
        measure.snapshot(out);
        if (!(sum > 0)) throw new Error(`${name} added up to ${sum} over ${result.active} keys: nothing was measured`);
        const columns = [
          name.padEnd(10),
          String(keys).padEnd(9),
          String(windowPanes).padEnd(6),
          String(result.active).padEnd(8),
          (result.usedBytes / result.active).toFixed(0).padEnd(10),
          result.addNs.toFixed(0).padEnd(7),
          result.closeNs.toFixed(0).padEnd(23),
          valueNs.toFixed(0).padEnd(9),
          (out.done().length / result.active).toFixed(0),
        ];
        print(columns.join(' '));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
  print('updates with 10, 100, 1000 and 2000 values a key, pane closes included:');
  for (const name of ['distinct', 'histogram', 'tdigest']) {
    hotNs(specs[name], 2000);
    const each = [10, 100, 1000, 2000].map((count) => hotNs(specs[name], count));
    print(`${name.padEnd(10)} ${each.map((ns) => `${ns.toFixed(0)} ns`).join('  ')}  2000 against 10: ${(each[3] / each[0]).toFixed(2)}`);
  }
}
