/** The clock of the process is set an hour forwards and backwards while it runs: event time must not care. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { Plant } from './plant.ts';
import { between, type Report, reportOf, type Torture } from './scenario.ts';

/** Loaded before the program: `Date` tells a time that jumps by an hour every few seconds. Says how often on standard error. */
const jumpingClock = `
const RealDate = Date;
let offsetMs = 0;
let jumps = 0;
const now = () => RealDate.now() + offsetMs;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
});
const jump = () => {
  offsetMs = [0, 3_600_000, -3_600_000][++jumps % 3];
  process.stderr.write('clock jump ' + jumps + '\\n');
  setTimeout(jump, 500 + 4_500 * Math.random()).unref();
};
setTimeout(jump, 500).unref();
`;

export interface ClockOptions {
  readonly driver: KafkaDriver;
  readonly lives: number;
  readonly lifeMs: number;
}

export async function clockJumps({ broker, random }: Torture, { driver, lives, lifeMs }: ClockOptions): Promise<Report> {
  // As it ships: a partition that is silent for a minute is passed by.
  const plant = await Plant.make({ broker, driver, idle: '60s', mayDegrade: true });
  const env = { NODE_OPTIONS: `--import=${join(plant.cwd, 'clock.mjs')}` };
  let jumps = 0;
  try {
    await writeFile(join(plant.cwd, 'clock.mjs'), jumpingClock);
    plant.startFeed();
    for (let life = 0; life < lives; life++) {
      const child = plant.start(env);
      await sleep(between(random, 0.8, 1.2) * lifeMs);
      if (child.isOver) throw new Error(`it ended by itself:\n${child.said.slice(-3000)}`);
      // kafkajs measures by the clock how long a request has taken: waiting for the session of one who was killed, it would never join.
      await child.end(driver === 'kafkajs' ? 'SIGTERM' : 'SIGKILL');
      jumps += child.said.match(/^clock jump/gm)?.length ?? 0;
      await plant.checkOffsets();
    }
    const last = plant.start(env);
    await plant.drain(last);
    jumps += last.said.match(/^clock jump/gm)?.length ?? 0;
    return await reportOf(`clock jumps of an hour (${driver})`, plant, jumps + lives);
  } finally {
    await plant.dispose();
  }
}
