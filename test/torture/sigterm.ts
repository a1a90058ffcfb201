/**
 * SIGTERM in each stage: while it starts and restores, while it reads, while a checkpoint is written, while windows are made again, while
 * Loki is away, while the broker is away.
 */

import { watch } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Child } from './child.ts';
import { freePort } from './free-port.ts';
import { Plant } from './plant.ts';
import { between, type Report, reportOf, type Torture } from './scenario.ts';

/** A stop has 20 s (`shutdownMs` of the engine), and what lingers then 10 s (`src/cli.ts`). */
const mayTakeMs = { there: 25_000, away: 40_000 };

export interface SigtermOptions {
  readonly driver: KafkaDriver;
  /** While it starts and reads; in each other stage a third as many. */
  readonly each: number;
}

export async function sigterms({ broker, random, print }: Torture, { driver, each }: SigtermOptions): Promise<Report> {
  // A window that reaches behind what was read again is degraded.
  const plant = await Plant.make({ broker, driver, mayDegrade: true });
  const slowest: Record<string, number> = {};
  let faults = 0;
  const stop = async (stage: string, child: Child, codes: readonly (number | null)[], withinMs: number) => {
    const beganMs = performance.now();
    const late = sleep(withinMs, undefined, { ref: false }).then(() => child.end('SIGKILL').then(() => true));
    const { code, signal } = await child.end('SIGTERM');
    const tookMs = performance.now() - beganMs;
    void late;
    faults++;
    slowest[stage] = Math.max(slowest[stage] ?? 0, Math.round(tookMs));
    if (tookMs >= withinMs) throw new Error(`${stage}: not stopped after ${withinMs} ms:\n${child.said.slice(-3000)}`);
    // Before node has read the program, a signal is the system's.
    if (signal === 'SIGTERM' && child.said === '') return;
    if (!codes.includes(code)) throw new Error(`${stage}: stopped with ${code ?? signal}:\n${child.said.slice(-3000)}`);
  };
  try {
    plant.startFeed();
    for (let i = 0; i < each; i++) {
      const child = plant.start();
      await sleep(between(random, 30, 1_200));
      await stop('starting', child, [0], mayTakeMs.there);
      await plant.checkOffsets();
    }
    for (let i = 0; i < each; i++) {
      const child = plant.start();
      await child.says(/"running"/);
      await sleep(between(random, 500, 3_000));
      await stop('reading', child, [0], mayTakeMs.there);
      await plant.checkOffsets();
    }
    for (let i = 0; i < Math.ceil(each / 3); i++) {
      const child = plant.start();
      await savesNext(join(plant.cwd, 'data'), child);
      await stop('saving', child, [0], mayTakeMs.there);
      await plant.checkOffsets();
    }
    for (let i = 0; i < Math.ceil(each / 3); i++) {
      // Of a group's commits without a state it makes windows; none of it is saved, so the offsets are ahead of what is there, as they were.
      await rm(join(plant.cwd, 'data'), { recursive: true });
      const child = plant.start();
      await child.says(/windows are made again/);
      await sleep(between(random, 0, 50));
      await stop('making windows again', child, [0], mayTakeMs.there);
    }
    // Past a checkpoint of them (every 5 s).
    const made = plant.start();
    await made.says(/windows are made again/);
    await sleep(7_000);
    await stop('reading', made, [0], mayTakeMs.there);
    await plant.checkOffsets();
    // Nobody listens there.
    await plant.configure([`{ loki: { url: "http://127.0.0.1:${await freePort()}" } }`]);
    for (let i = 0; i < Math.ceil(each / 3); i++) {
      const child = plant.start();
      await child.says(/"running"/);
      await sleep(between(random, 1_000, 4_000));
      await stop('Loki away', child, [0], mayTakeMs.there);
      await plant.checkOffsets();
    }
    await plant.configure();
    for (let i = 0; i < Math.ceil(each / 3); i++) {
      const child = plant.start();
      await child.says(/"running"/);
      await sleep(between(random, 1_500, 7_000));
      await broker.halt('SIGKILL');
      await sleep(between(random, 0, 3_000));
      await stop('broker away', child, [0, 3], mayTakeMs.away);
      await broker.resume();
      await plant.checkOffsets();
      print('  SIGTERM while the broker was away');
    }
    await plant.drain(plant.start());
    const took = Object.entries(slowest).map(([stage, ms]) => `${stage} ${ms} ms`);
    return await reportOf(`SIGTERM (${driver})`, plant, faults, [`slowest stop: ${took.join(', ')}`]);
  } finally {
    await plant.dispose();
  }
}

/** Resolves when something is written in the state folder after the process has begun to run. */
async function savesNext(dir: string, child: Child): Promise<void> {
  await mkdir(dir, { recursive: true });
  await child.says(/restored from the checkpoint/);
  await new Promise<void>((resolve) => {
    const watcher = watch(dir, { recursive: true }, () => {
      watcher.close();
      resolve();
    });
    void child.ended.then(() => {
      watcher.close();
      resolve();
    });
  });
}
