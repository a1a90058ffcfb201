/** Whether an update of a distinct count costs the same however many values its key holds. */
import { type Figure, median, spread } from './figure.ts';
import { blankMatch, closeAll, measureSpecs, slideMs, spreadBits, windowsOf } from './window-load.ts';

const keys = 200;
const windowPanes = 10;
/** Enough that each of 2,000 values comes back within the window. */
const updatesPerPane = keys * 250;
const rounds = 12;
const valueCounts = [1, 10, 100, 1_000, 2_000];

/** Updates of keys whose windows hold `values` values each, closes and judgements included; one pane at a time. */
class Load {
  readonly values: number;
  private readonly windows = windowsOf(measureSpecs.distinct, windowPanes).windows;
  private readonly match = blankMatch();
  private pane = 0;

  constructor(values: number) {
    this.values = values;
  }

  /** Nanoseconds an update of one more pane. */
  nextPane(): number {
    const pane = ++this.pane;
    const start = process.hrtime.bigint();
    const { match, windows } = this;
    for (let i = 0; i < updatesPerPane; i++) {
      const key = i % keys;
      const value = (Math.floor(i / keys) + (pane % windowPanes) * (updatesPerPane / keys)) % this.values;
      match.timeMs = pane * slideMs + Math.floor((i * slideMs) / updatesPerPane);
      match.keyLow = spreadBits(key);
      match.keyHigh = spreadBits(key ^ 0x5bd1e995);
      match.valueLow = spreadBits(value);
      match.valueHigh = spreadBits(value ^ 0x5bd1e995);
      match.sampleHash = spreadBits(++match.offset);
      windows.add(match, { text: () => 'k' });
    }
    closeAll(windows, (pane + 1) * slideMs);
    return Number(process.hrtime.bigint() - start) / updatesPerPane;
  }
}

/** The loads take turns pane by pane, so that a neighbour on the machine slows all of them. */
export function benchFlatUpdates(): Figure[] {
  const loads = valueCounts.map((values) => new Load(values));
  for (let pane = 0; pane < 2 * windowPanes; pane++) for (const load of loads) load.nextPane();
  const taken: number[][] = loads.map(() => []);
  for (let round = 0; round < rounds; round++) for (const [i, load] of loads.entries()) taken[i].push(load.nextPane());
  const shares = taken[valueCounts.length - 1].map((ns, round) => taken[0][round] / ns);
  return [
    ...valueCounts.map((values, i) => ({
      name: `update of a key with ${values} values`,
      value: 1e9 / median(taken[i]),
      unit: 'updates/s',
      note: `${keys} keys, closes included`,
    })),
    { name: 'rate at 2,000 values over rate at one', value: median(shares), unit: 'x', note: spread(shares) },
  ];
}
