/** Bytes of state an active key costs: of the measure alone, and of everything the windows keep. */
import { TextArena } from '../../processors/window/text-arena.ts';
import type { Figure } from './figure.ts';
import { measureSpecs, runZipfLoad, windowsOf } from './window-load.ts';

/** 10 updates a key over twice the window's panes, Zipf(1.05) keys, values from 500,000. */
export function benchBytesPerKey(
  print: (line: string) => void = console.log,
  keyCounts: readonly number[] = [100_000, 1_000_000],
): Figure[] {
  const figures: Figure[] = [];
  let active = 0;
  for (const [name, spec] of Object.entries(measureSpecs)) {
    for (const keys of keyCounts) {
      for (const panes of [10, 60]) {
        const { windows, measure } = windowsOf(spec, panes);
        runZipfLoad(windows, panes, keys, 10 * keys);
        active = windows.keyCount;
        const title = `${name}, ${keys / 1000}k keys, ${panes} panes`;
        const note = `${active} active`;
        figures.push({ name: `${title}: measure`, value: measure.bytes() / active, unit: 'B', note });
        figures.push({ name: `${title}: whole state`, value: windows.bytes() / active, unit: 'B', note: 'key text apart' });
        print(`- ${title}: ${(measure.bytes() / active).toFixed(0)} B in the measure, ${(windows.bytes() / active).toFixed(0)} B in all`);
      }
    }
  }
  const texts = new TextArena();
  const empty = new TextArena();
  for (let slot = 0; slot < active; slot++) {
    texts.set(slot, `10.${(slot >> 16) & 255}.${(slot >> 8) & 255}.${slot & 255}`);
    empty.set(slot, '');
  }
  const textBytes = (texts.byteLength() - empty.byteLength()) / active;
  return [...figures, { name: 'text of an IPv4 address as the key', value: textBytes, unit: 'B', note: `${active} keys` }];
}
