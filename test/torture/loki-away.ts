/** Loki is gone for a while, and the process is killed meanwhile: everything is on the topic, and in Loki once. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { lokiUnavailable, startLoki } from '../support/loki.ts';
import { compare, type Out } from './compare.ts';
import { Load } from './load.ts';
import { Plant } from './plant.ts';
import { differences, type Report, reportOf, type Torture } from './scenario.ts';

export interface LokiAwayOptions {
  readonly driver: KafkaDriver;
  readonly awayMs: number;
}

/** Event time runs at this many times the clock's: Loki takes an hour of disorder, and lines come in order of time anyway. */
const pace = 2;
const rate = 500;
const shippedWithinMs = 180_000;

export async function lokiAway({ broker, print }: Torture, { driver, awayMs }: LokiAwayOptions): Promise<Report | undefined> {
  const unavailable = lokiUnavailable({ own: true });
  if (unavailable !== undefined) {
    print(`  skipped: ${unavailable}`);
    return undefined;
  }
  const loki = await startLoki();
  // Long ago enough that what ends it is no future, lately enough for Loki.
  const startMs = Date.now() - 12 * 3_600_000;
  const plant = await Plant.make({
    broker,
    driver,
    rate,
    load: new Load(startMs, (1000 / rate) * pace),
    sinks: [`{ loki: { url: "${loki.url}", labels: { app: torture }, group: loki-${Date.now()} } }`],
  });
  try {
    plant.startFeed();
    const first = plant.start();
    await sleep(10_000);
    await loki.halt('SIGKILL');
    print(`  Loki is gone for ${awayMs / 1000} s`);
    await sleep(awayMs / 2);
    await first.end('SIGKILL');
    await plant.checkOffsets();
    const second = plant.start();
    await sleep(awayMs / 2);
    await loki.resume();
    print('  Loki is back');
    const beganMs = performance.now();
    await sleep(5_000);
    // `drain` stops the process, whose shipper gives Loki 5 s; it is given its time before.
    await plant.endLoad();
    const expected = await plant.undisturbed();
    const shipped = async (): Promise<Out[]> => {
      const lines = await loki.query('{job="findings"}', startMs - 3_600_000, Date.now());
      return lines.map(({ line }) => {
        const { finding_id: finding, activity, sequence, rule, value, degraded } = JSON.parse(line);
        return { finding, activity: names[activity] ?? activity, sequence, rule, value, degraded };
      });
    };
    while (new Set((await shipped()).map(key)).size < expected.length && performance.now() - beganMs < shippedWithinMs) await sleep(1_000);
    const tookMs = performance.now() - beganMs;
    await plant.drain(second);
    const inLoki = compare(expected, await shipped());
    const report = await reportOf(`Loki away for ${awayMs / 1000} s (${driver})`, plant, 2);
    const note = `Loki has ${inLoki.found} findings of ${inLoki.expected}, ${Math.round(tookMs / 1000)} s after it was back`;
    return { ...report, wrong: [...report.wrong, ...differences(inLoki).map((one) => `Loki: ${one}`)], notes: [note] };
  } finally {
    await plant.dispose();
    await loki.stop();
  }
}

const names: Readonly<Record<string, string>> = { open: 'Create', update: 'Update', close: 'Close' };

function key({ finding, activity, sequence }: Out): string {
  return `${finding} ${activity} ${sequence}`;
}
