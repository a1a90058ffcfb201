/** Whether an update of a distinct count costs the same however many values its key holds: in its windows alone, and from JSON lines on. */
import { Pipeline } from '../../processors/pipeline.ts';
import type { RecordBatch } from '../../processors/record.ts';
import { ruleOf } from '../support/rules.ts';
import { type Figure, median, spread, timedNs } from './figure.ts';
import { blankMatch, closeAll, measureSpecs, slideMs, spreadBits, windowsOf } from './window-load.ts';

const keys = 200;
const windowPanes = 10;
/** Enough that each of 2,000 values comes back within the window. */
const updatesPerPane = keys * 250;
const rounds = 12;
const batchRecords = 1_000;
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

/** The same updates as records of a rule. */
class RuleLoad {
  readonly values: number;
  private readonly pipeline = new Pipeline([
    ruleOf(
      `id: emails\nwhere: { event.name: login }\nkey: client.address\nmeasure: { distinct: user.email }\nwindow: { size: ${windowPanes}s, slide: 1s }\ndetect: { above: 1000000 }`,
    ),
  ]);
  private pane = 0;
  private offset = 0;

  constructor(values: number) {
    this.values = values;
  }

  nextPane(): number {
    const pane = ++this.pane;
    const batches = Array.from({ length: updatesPerPane / batchRecords }, (_, index) => this.batch(pane, index * batchRecords));
    return (
      timedNs(() => {
        for (const batch of batches) this.pipeline.process(batch);
      }) / updatesPerPane
    );
  }

  private batch(pane: number, from: number): RecordBatch {
    const records = Array.from({ length: batchRecords }, (_, index) => {
      const i = from + index;
      const key = i % keys;
      const value = (Math.floor(i / keys) + (pane % windowPanes) * (updatesPerPane / keys)) % this.values;
      const time = pane * slideMs + Math.floor((i * slideMs) / updatesPerPane);
      const line = `{"time":${1.8e12 + time},"event.name":"login","client.address":"10.0.0.${key}","user.email":"user${value}@example.com"}`;
      return { value: Buffer.from(line), offset: this.offset++, timestampMs: Number.NaN };
    });
    return { topic: 'bench', partition: 0, dataset: 'app', format: 'json', records };
  }
}

/** The loads take turns pane by pane, so that a neighbour on the machine slows all of them. */
export function benchFlatUpdates(): Figure[] {
  return [...windowsAlone(), ...wholeRule()];
}

function wholeRule(): Figure[] {
  const [one, many] = [1, 2_000].map((values) => new RuleLoad(values));
  for (let pane = 0; pane < 2 * windowPanes; pane++) for (const load of [one, many]) load.nextPane();
  const shares = Array.from({ length: rounds }, () => one.nextPane() / many.nextPane());
  return [{ name: 'the same from JSON lines on', value: median(shares), unit: 'x', note: spread(shares) }];
}

function windowsAlone(): Figure[] {
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
