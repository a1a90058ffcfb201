/**
 * One side of `naive.ts`: fills sliding distinct counts, ours or the naive way, and tells its parent what they take.
 *
 * The naive way is what one would write first: a Map from key to the key's panes, each a plain HyperLogLog object (Flajolet et al.,
 * 2007) with as many registers as ours has in its dense form, so that both err alike; a window's value merges its panes.
 */
import { answerParent } from './child.ts';
import { collectGarbage } from './figure.ts';
import { randomOf, zipf } from './lines.ts';
import { blankMatch, closeAll, measureSpecs, slideMs, spreadBits, valueCount, windowsOf, zipfExponent } from './window-load.ts';

const windowPanes = 10;
const panes = 2 * windowPanes;
const precision = 11;

export interface NaiveAnswer {
  readonly activeKeys: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly updateNs: number;
  /** Distinct values of the heaviest key in the last window. */
  readonly heaviest: number;
}

class PlainHll {
  readonly registers = new Uint8Array(2 ** precision);

  add(hash: number): void {
    const register = hash >>> (32 - precision);
    const rank = Math.clz32((hash << precision) | (1 << (precision - 1))) + 1;
    if (rank > this.registers[register]) this.registers[register] = rank;
  }

  merge(other: PlainHll): void {
    for (let i = 0; i < this.registers.length; i++) this.registers[i] = Math.max(this.registers[i], other.registers[i]);
  }

  count(): number {
    const m = this.registers.length;
    let sum = 0;
    let zeros = 0;
    for (const rank of this.registers) {
      sum += 2 ** -rank;
      if (rank === 0) zeros++;
    }
    const estimate = ((0.7213 / (1 + 1.079 / m)) * m * m) / sum;
    return estimate <= 2.5 * m && zeros > 0 ? m * Math.log(m / zeros) : estimate;
  }
}

interface Design {
  add(key: string, keyNumber: number, valueHash: number, pane: number): void;
  close(pane: number): void;
  activeKeys(): number;
  heaviest(pane: number): number;
}

function naive(): Design {
  const keys = new Map<string, { pane: number; hll: PlainHll }[]>();
  return {
    add(key, _, valueHash, pane) {
      let held = keys.get(key);
      if (held === undefined) {
        held = [];
        keys.set(key, held);
      }
      if (held.length === 0 || held[held.length - 1].pane !== pane) held.push({ pane, hll: new PlainHll() });
      held[held.length - 1].hll.add(valueHash);
    },
    close(pane) {
      for (const [key, held] of keys) {
        while (held.length > 0 && held[0].pane <= pane - windowPanes) held.shift();
        if (held.length === 0) keys.delete(key);
      }
    },
    activeKeys: () => keys.size,
    heaviest() {
      const merged = new PlainHll();
      for (const { hll } of keys.get(address(0)) ?? []) merged.merge(hll);
      return merged.count();
    },
  };
}

function ours(): Design {
  const { windows, measure } = windowsOf(measureSpecs.distinct, windowPanes);
  const match = blankMatch();
  let text = '';
  let heaviestSlot = 0;
  const keyText = { text: () => text };
  return {
    add(key, keyNumber, valueHash, pane) {
      text = key;
      match.timeMs = pane * slideMs;
      match.keyLow = spreadBits(keyNumber);
      match.keyHigh = spreadBits(keyNumber ^ 0x5bd1e995);
      match.valueLow = valueHash;
      match.valueHigh = spreadBits(valueHash);
      match.sampleHash = spreadBits(++match.offset);
      const slot = windows.add(match, keyText);
      if (keyNumber === 0) heaviestSlot = slot;
    },
    close: (pane) => closeAll(windows, (pane + 1) * slideMs),
    activeKeys: () => windows.keyCount,
    heaviest: (pane) => measure.value(heaviestSlot, pane - windowPanes + 1, pane),
  };
}

function address(key: number): string {
  return `10.${(key >> 16) & 255}.${(key >> 8) & 255}.${key & 255}`;
}

async function main(design: Design, keys: number): Promise<void> {
  const random = randomOf(42);
  const nextKey = zipf(keys, zipfExponent, random);
  const perPane = (10 * keys) / panes;
  const drawn = new Uint32Array(perPane);
  const values = new Uint32Array(perPane);
  collectGarbage();
  const before = process.memoryUsage();
  let spentNs = 0;
  for (let pane = 1; pane <= panes; pane++) {
    for (let i = 0; i < perPane; i++) {
      drawn[i] = nextKey();
      values[i] = spreadBits(Math.floor(random() * valueCount));
    }
    const start = process.hrtime.bigint();
    for (let i = 0; i < perPane; i++) design.add(address(drawn[i]), drawn[i], values[i], pane);
    design.close(pane);
    spentNs += Number(process.hrtime.bigint() - start);
  }
  collectGarbage();
  const after = process.memoryUsage();
  const answer: NaiveAnswer = {
    activeKeys: design.activeKeys(),
    rssBytes: after.rss - before.rss,
    heapBytes: after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers,
    updateNs: spentNs / (perPane * panes),
    heaviest: design.heaviest(panes),
  };
  await answerParent(answer);
}

const [, , side, keys] = process.argv;
if (side !== 'ours' && side !== 'naive') throw new Error(`the side is ${side}, expected ours or naive`);
await main(side === 'ours' ? ours() : naive(), Number(keys));
process.disconnect?.();
