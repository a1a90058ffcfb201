/** How long it takes from the start of the process to its first record, after kill -9, with a state of many keys. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import type { Child } from './child.ts';
import { Load, partitions, rule } from './load.ts';
import { Plant } from './plant.ts';
import { type Report, reportOf, type Torture } from './scenario.ts';

export interface ResumeOptions {
  readonly driver: KafkaDriver;
  readonly keys: number;
  readonly times: number;
}

const perSend = 5_000;

export async function resume({ broker, print }: Torture, { driver, keys, times }: ResumeOptions): Promise<Report> {
  // The windows are long enough that no key is let go while this runs.
  const load = new Load(undefined, 1);
  const plant = await Plant.make({ broker, driver, load, rule: rule.replace('size: 60s, slide: 5s', 'size: 60m, slide: 10s') });
  const tookMs: number[] = [];
  try {
    const timestampMs = Date.parse('2026-01-05T12:00:00Z');
    for (let from = 0; from < keys; from += perSend) {
      await plant.send(
        Array.from({ length: Math.min(perSend, keys - from) }, (_, i) => ({
          partition: i % partitions,
          value: JSON.stringify({ time: timestampMs, 'client.address': `key-${from + i}` }),
          timestampMs,
        })),
      );
    }
    plant.startFeed();
    let child = plant.start();
    for (let i = 0; i < times; i++) {
      await holds(child, keys);
      // Past a checkpoint of all of them (every 5 s), and somewhat further.
      await sleep(6_500);
      await child.end('SIGKILL');
      await plant.checkOffsets();
      const beganMs = performance.now();
      child = plant.start();
      await counted(child, 'streamgauge_records_total', 1);
      tookMs.push(performance.now() - beganMs);
    }
    await plant.drain(child);
    const sorted = tookMs.toSorted((a, b) => a - b).map(Math.round);
    const note = `resumed after kill -9 with ${keys} keys: median ${sorted[sorted.length >> 1]} ms, max ${sorted[sorted.length - 1]} ms from process start to its first record (${times} times)`;
    print(`  ${note}`);
    return await reportOf(`resume (${driver})`, plant, times, [note]);
  } finally {
    await plant.dispose();
  }
}

function holds(child: Child, keys: number): Promise<void> {
  return counted(child, 'streamgauge_rule_keys', keys);
}

/** Resolves when a metric (the sum of its series) is that high. */
async function counted(child: Child, metric: string, atLeast: number): Promise<void> {
  const address = await child.address();
  const pattern = new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)`, 'gm');
  const deadlineMs = performance.now() + 120_000;
  for (;;) {
    const text = await fetch(`${address}/metrics`).then((answer) => answer.text());
    const sum = [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
    if (sum >= atLeast) return;
    if (performance.now() > deadlineMs) throw new Error(`${metric} is ${sum}, expected ${atLeast}:\n${child.said.slice(-2000)}`);
    await sleep(10);
  }
}
