/** What it takes to write down and read back the state of half a million keys: two rules, every key with a few values in its window. */
import { Pipeline } from '../../processors/pipeline.ts';
import { benchRules } from './bench-rules.ts';
import { type Figure, median, timedNs } from './figure.ts';
import { RecordMill } from './record-mill.ts';

const startMs = Date.UTC(2026, 0, 5, 12);
const window = '{ size: 10m, slide: 1m }';

export function benchSnapshot(_print?: (line: string) => void, keys = 500_000): Figure[] {
  const pipeline = new Pipeline(benchRules({ window }));
  const mill = new RecordMill();
  const records = 3 * keys;
  // Nine of ten panes of the window, every key three times.
  const timeMs = (record: number) => startMs + Math.floor((record * 540_000) / records);
  for (let done = 0; done < records; done += 1_000) {
    pipeline.process(
      mill.batch(
        timeMs,
        (record) => record % keys,
        (record) => (record * 31) % 500_000,
      ),
    );
  }
  const held = pipeline.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
  if (held !== 2 * keys) throw new Error(`${held} keys in two rules, expected ${2 * keys}`);
  const snapshotNs: number[] = [];
  const restoreNs: number[] = [];
  let bytes = new Uint8Array(0);
  for (let round = 0; round < 5; round++) {
    snapshotNs.push(
      timedNs(() => {
        bytes = pipeline.snapshot() as Uint8Array<ArrayBuffer>;
      }),
    );
    const other = new Pipeline(benchRules({ window }));
    restoreNs.push(timedNs(() => other.restore(bytes)));
    const restored = other.stages.reduce((sum, { windows }) => sum + windows.keyCount, 0);
    if (restored !== held) throw new Error(`${restored} keys were restored, expected ${held}`);
  }
  const load = `${keys / 1000}k keys in each of two rules, 3 values a key`;
  return [
    {
      name: 'snapshot bytes a key and rule',
      value: bytes.length / held,
      unit: 'B',
      note: `${load}; ${(bytes.length / 1e6).toFixed(0)} MB`,
    },
    {
      name: 'snapshot time a key and rule',
      value: median(snapshotNs) / held / 1e3,
      unit: 'us',
      note: `${(median(snapshotNs) / 1e6).toFixed(0)} ms`,
    },
    {
      name: 'restore time a key and rule',
      value: median(restoreNs) / held / 1e3,
      unit: 'us',
      note: `${(median(restoreNs) / 1e6).toFixed(0)} ms`,
    },
  ];
}
