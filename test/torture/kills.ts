/** kill -9 at random moments, and the broker ended and started, with load on it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Child } from './child.ts';
import { Plant } from './plant.ts';
import { between, type Report, reportOf, type Torture } from './scenario.ts';

/** How long a process lives: mostly not as long as it takes to a checkpoint (5 s), sometimes past one or two. */
function lifeMs(random: () => number): number {
  return random() < 0.75 ? between(random, 100, 2_500) : between(random, 5_000, 8_000);
}

export interface KillOptions {
  readonly driver: KafkaDriver;
  readonly kills: number;
  readonly lifeMs?: (random: () => number) => number;
  /** The broker is told that a killed member is gone; else the next one waits for its session, where it does not come under the same name. */
  readonly dismissed?: boolean;
  readonly stateInTopic?: boolean;
}

export async function kills({ broker, random, print }: Torture, options: KillOptions): Promise<Report> {
  const { driver, dismissed = false, stateInTopic = false } = options;
  const plant = await Plant.make({ broker, driver, stateInTopic });
  try {
    plant.startFeed();
    for (let kill = 1; kill <= options.kills; kill++) {
      const child = plant.start();
      await sleep((options.lifeMs ?? lifeMs)(random));
      const { signal, code } = await child.end('SIGKILL');
      if (signal !== 'SIGKILL') throw new Error(`ended by itself with ${code}:\n${child.said.slice(-3000)}`);
      await plant.checkOffsets();
      if (dismissed) await plant.dismiss();
      if (kill % 10 === 0) print(`  ${kill} kills, ${plant.load.made} records written`);
    }
    await plant.drain(plant.start());
    const details = [driver, ...(stateInTopic ? ['state in a topic'] : []), ...(dismissed ? ['sessions ended by the broker'] : [])];
    return await reportOf(`kill -9 (${details.join(', ')})`, plant, options.kills);
  } finally {
    await plant.dispose();
  }
}

export interface BrokerFaultOptions {
  readonly driver: KafkaDriver;
  readonly signals: readonly ('SIGTERM' | 'SIGKILL')[];
}

/** The process lives on; the broker goes and comes back. Sometimes the process is killed while the broker is away. */
export async function brokerFaults({ broker, random, print }: Torture, { driver, signals }: BrokerFaultOptions): Promise<Report> {
  const plant = await Plant.make({ broker, driver });
  let faults = 0;
  try {
    plant.startFeed();
    let child: Child = plant.start();
    for (const [index, signal] of signals.entries()) {
      await sleep(between(random, 1_500, 7_000));
      await broker.halt(signal);
      faults++;
      await sleep(between(random, 100, 4_000));
      if (index % 3 === 2) {
        await child.end('SIGKILL');
        faults++;
        await broker.resume();
        await plant.checkOffsets();
        child = plant.start();
      } else await broker.resume();
      print(`  broker: ${signal}, and back`);
    }
    await plant.drain(child);
    return await reportOf(`broker ended and started (${driver})`, plant, faults);
  } finally {
    await plant.dispose();
  }
}
