/** The disk of the state folder, and that of the findings' file, is full for a while. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Child } from './child.ts';
import { compare, outOf } from './compare.ts';
import { SmallDisk } from './disk.ts';
import { linesOf, Plant } from './plant.ts';
import { between, differences, type Report, reportOf, type Torture } from './scenario.ts';

/** A checkpoint is tried for 6 s before the process gives up. */
const givesUpWithinMs = 60_000;

export interface DiskOptions {
  readonly driver: KafkaDriver;
  readonly times: number;
}

/** Nothing can be saved: the process gives up with exit code 3, or has room again before it does. */
export async function fullStateDisk(torture: Torture, { driver, times }: DiskOptions): Promise<Report | undefined> {
  const { broker, random, print } = torture;
  const disk = SmallDisk.mount(8);
  if (disk === undefined) return skipped(print, 'the state folder');
  const plant = await Plant.make({ broker, driver, stateDir: join(disk.path, 'data') });
  const ends: Record<string, number> = {};
  try {
    plant.startFeed();
    let child: Child = plant.start();
    for (let i = 0; i < times; i++) {
      await sleep(between(random, 3_000, 8_000));
      await disk.fill();
      if (i % 2 === 0) {
        const given = await Promise.race([child.ended, sleep(givesUpWithinMs, undefined, { ref: false })]);
        if (given?.code !== 3) throw new Error(`expected exit code 3 on a full disk, found ${given?.code}:\n${child.said.slice(-3000)}`);
        if (!/checkpoint cannot be saved/.test(child.said)) throw new Error(`it does not say why:\n${child.said.slice(-3000)}`);
        await disk.empty();
        await plant.checkOffsets();
        child = plant.start();
        ends['gave up'] = (ends['gave up'] ?? 0) + 1;
      } else {
        await sleep(between(random, 500, 4_000));
        await disk.empty();
        ends['went on'] = (ends['went on'] ?? 0) + 1;
      }
      print(`  state folder full: ${i % 2 === 0 ? 'gave up and was started again' : 'went on'}`);
    }
    await plant.drain(child);
    return await reportOf(`disk of the state folder full (${driver})`, plant, times, [JSON.stringify(ends)]);
  } finally {
    await plant.dispose();
    disk.unmount();
  }
}

/** Findings go to a topic and to a file; the file's disk is full for seconds, and sometimes the process is killed meanwhile. */
export async function fullFindingsDisk(torture: Torture, { driver, times }: DiskOptions): Promise<Report | undefined> {
  const { broker, random, print } = torture;
  const disk = SmallDisk.mount(8);
  if (disk === undefined) return skipped(print, 'the findings file');
  const file = join(disk.path, 'findings.jsonl');
  const plant = await Plant.make({ broker, driver, sinks: [`{ file: { path: ${file} } }`] });
  let faults = 0;
  try {
    plant.startFeed();
    let child: Child = plant.start();
    for (let i = 0; i < times; i++) {
      await sleep(between(random, 2_000, 7_000));
      await disk.fill();
      faults++;
      await sleep(between(random, 500, 9_000));
      if (i % 2 === 1) {
        await child.end('SIGKILL');
        faults++;
        await plant.checkOffsets();
        await disk.empty();
        child = plant.start();
      } else await disk.empty();
      print(`  findings file: full, and room again${i % 2 === 1 ? ' after a kill -9' : ''}`);
    }
    await plant.drain(child);
    const report = await reportOf(`disk of the findings' file full (${driver})`, plant, faults);
    const inFile = compare(await plant.undisturbed(), outOf(linesOf(await readFile(file, 'utf8'))));
    const wrong = [...report.wrong, ...differences(inFile).map((one) => `file: ${one}`)];
    return { ...report, wrong, notes: [`the file has ${inFile.found} findings of ${inFile.expected}, ${inFile.self} of its own`] };
  } finally {
    await plant.dispose();
    disk.unmount();
  }
}

function skipped(print: Torture['print'], what: string): undefined {
  print(`  skipped: no small file system can be mounted here, so a full disk under ${what} was not tried`);
  return undefined;
}
