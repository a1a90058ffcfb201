/**
 * `npm run bench [name…]`: all benchmarks, or the named ones, each in a process of its own, as markdown tables with targets beside the
 * figures. Exit code 1 if one misses a target that decides, 2 for a name that does not exist.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { kafkaUnavailable } from '../support/kafka-broker.ts';
import { answerParent, runChild } from './child.ts';
import { type Bench, type Figure, machine } from './figure.ts';
import { judge, unmeasured } from './targets.ts';

/** Each is imported only where it runs, so that nothing of another one is loaded or compiled beside it. */
const benches: Readonly<Record<string, Bench>> = {
  engine: async () => (await import('./engine.ts')).benchEngine(),
  decode: async () => {
    const { floorNs, decodeNs, timesFloor } = (await import('./decode.ts')).benchDecode();
    return [
      { name: 'decode time over floor', value: timesFloor, unit: 'x', note: 'app JSON into six slots' },
      { name: 'decode', value: decodeNs, unit: 'ns/line', note: `floor ${floorNs.toFixed(0)} ns` },
    ];
  },
  flat: async () => (await import('./flat-updates.ts')).benchFlatUpdates(),
  bytes: async (print) => (await import('./bytes-per-key.ts')).benchBytesPerKey(print),
  naive: async (print) => (await import('./naive.ts')).benchNaive(print),
  snapshot: async (print) => (await import('./snapshot.ts')).benchSnapshot(print),
  'event-loop': async (print) => (await import('./event-loop.ts')).benchEventLoop(print),
  drain: async (print) => (await import('./drain.ts')).benchDrain(print),
  measures: async (print) => {
    print('```');
    await (await import('./measures.ts')).benchMeasures([100_000], print);
    print('```');
    return [];
  },
  flood: async () => [5, 20].flatMap(floodFigures(await exported('./flood.js', 'benchFlood'))),
  libraries: async (print) => (await exported('./libraries.js', 'benchLibraries'))(print) as Figure[],
  'hll-accuracy': async (print) => (await exported('./hll-accuracy.js', 'benchHllAccuracy'))(print) as Figure[],
  kafka: async (print) => {
    const reason = kafkaUnavailable();
    if (reason !== undefined) throw new Error(`no broker to measure against: ${reason}`);
    return (await import('./kafka-engine.ts')).benchKafkaEngine(print);
  },
};

async function exported(module: string, name: string): Promise<(argument: unknown) => unknown> {
  const url = new URL(module, import.meta.url);
  if (!existsSync(url)) throw new Error(`${fileURLToPath(url)} is not there: this checkout has no such benchmark`);
  const found = ((await import(url.href)) as Record<string, unknown>)[name];
  if (typeof found !== 'function') throw new Error(`${module} exports no function ${name}`);
  return (argument) => found(argument);
}

function floodFigures(bench: (factor: unknown) => unknown): (factor: number) => Figure[] {
  return (factor) => {
    const figures = bench(factor) as Record<string, number>;
    const named: readonly (readonly [string, string, string])[] = [
      ['attackersSeen', 'attackers seen of 400', ''],
      ['falseAlarms', 'false alarms', ''],
      ['heavyContinuity', 'events of heavy keys counted', 'x'],
      ['extraDelayEvents', 'events of an attacker before it has a place', ''],
      ['mostKeys', 'most keys held', ''],
      ['mostBytes', 'most bytes held', 'B'],
      ['untracked', 'events not tracked', ''],
      ['evictions', 'evictions', ''],
      ['nsPerEvent', 'time an event', 'ns'],
    ];
    return named.map(([field, name, unit]) => {
      if (typeof figures[field] !== 'number') throw new Error(`the flood benchmark gave no ${field}`);
      return { name: `${name}, flood x${factor}`, value: figures[field], unit };
    });
  };
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function shown(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

/** Prints a benchmark's table; returns what missed. */
function tell(bench: string, figures: readonly Figure[]): string[] {
  const missed: string[] = [];
  if (figures.length > 0) {
    console.log(`\n${row(['figure', 'value', 'unit', 'target', 'note'])}\n|---|---|---|---|---|`);
    for (const figure of figures) {
      const { target, met, decides } = judge(bench, figure);
      console.log(row([figure.name, shown(figure.value), figure.unit, met ? target : `**${target}**`, figure.note ?? '']));
      if (!met && decides) missed.push(`${bench}: ${figure.name} is ${shown(figure.value)} ${figure.unit}, expected ${target}`);
    }
  }
  return [...missed, ...unmeasured(bench, figures).map((name) => `${bench}: no figure "${name}", but a target for it`)];
}

async function runAll(names: readonly string[]): Promise<void> {
  console.log(`${machine()}; seeds fixed; each benchmark in a process of its own`);
  const missed: string[] = [];
  for (const name of names) {
    console.log(`\n## ${name}\n`);
    const startMs = Date.now();
    try {
      missed.push(...tell(name, (await runChild('./main.js', ['--child', name])) as Figure[]));
    } catch (error) {
      missed.push(`${name}: ${(error as Error).message}`);
    }
    console.log(`\n${((Date.now() - startMs) / 1000).toFixed(0)} s`);
  }
  if (missed.length === 0) return;
  console.log(`\n## Missed\n\n${missed.map((each) => `- ${each}`).join('\n')}`);
  process.exitCode = 1;
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--child') {
  await answerParent(await benches[rest[0]]((line) => console.log(line)));
  process.disconnect?.();
} else {
  const names = first === undefined ? Object.keys(benches) : [first, ...rest];
  const unknown = names.filter((name) => !(name in benches));
  if (unknown.length > 0) {
    console.error(`no benchmark ${unknown.join(', ')}: there are ${Object.keys(benches).join(', ')}`);
    process.exitCode = 2;
  } else {
    await runAll(names);
  }
}
