/** What every scenario is given, and what it says afterwards. */
import type { KafkaBroker } from '../support/kafka-broker.ts';
import type { Comparison } from './compare.ts';
import type { Plant } from './plant.ts';

export interface Torture {
  readonly broker: KafkaBroker;
  /** Of the seed that is printed. */
  readonly random: () => number;
  readonly print: (line: string) => void;
}

export interface Report {
  readonly name: string;
  /** Faults done. */
  readonly faults: number;
  /** How many of them were kill -9 of the process. */
  readonly kills: number;
  /** Kafka client, or what was there in place of Kafka. */
  readonly over: string;
  /** Records read by the undisturbed run. */
  readonly records: number;
  readonly comparison: Comparison;
  readonly offsetChecks: number;
  /** Everything that is wrong; empty if nothing is. */
  readonly wrong: readonly string[];
  readonly notes: readonly string[];
}

const shown = 5;

/** Compares what is on the topic, and says what is wrong. */
export async function reportOf(name: string, plant: Plant, faults: number, notes: readonly string[] = []): Promise<Report> {
  const comparison = await plant.compare();
  const wrong = [...plant.ahead, ...differences(comparison, plant.mayDegrade)];
  const { kills, driver: over, load, offsetChecks } = plant;
  return { name, faults, kills, over, records: load.made, comparison, offsetChecks, wrong, notes };
}

/** @param mayDegrade the fault is one that findings may say of themselves; such a one is compared but for its value. */
export function differences({ missing, extra, doubled, changed, degraded, expected }: Comparison, mayDegrade = false): string[] {
  const wrong: string[] = [];
  if (expected === 0) wrong.push('the undisturbed run found nothing');
  for (const [what, list] of Object.entries({ missing, extra, doubled, changed, degraded: mayDegrade ? [] : degraded })) {
    if (list.length > 0) wrong.push(`${list.length} ${what}: ${list.slice(0, shown).join(', ')}${list.length > shown ? ', …' : ''}`);
  }
  return wrong;
}

export function between(random: () => number, low: number, high: number): number {
  return low + random() * (high - low);
}

export function lineOf({ name, faults, kills, records, comparison, offsetChecks, wrong, notes }: Report): string {
  const { expected, found, self, byActivity, values, degraded } = comparison;
  const kinds = Object.entries(byActivity)
    .map(([activity, count]) => `${count} ${activity}`)
    .join(', ');
  const verdict = wrong.length === 0 ? 'nothing lost, nothing doubled' : `WRONG: ${wrong.join('; ')}`;
  return [
    `${name}: ${faults} faults (${kills} kill -9), ${records} records; ${found} findings (${kinds}) against ${expected} of an undisturbed run,`,
    `${values} values of them, ${degraded.length} degraded; ${self} of its own; ${offsetChecks} times commits against the checkpoint: ${verdict}`,
    ...notes.map((note) => `\n    ${note}`),
  ].join(' ');
}
