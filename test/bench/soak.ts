/**
 * `npm run soak -- [minutes] [kafka]` (30 minutes by default): the real engine, event time = clock time, records and new keys at a steady
 * rate (at full speed a neighbour on the machine would decide how much there is to hold); from memory, or, as the command that users start,
 * from a topic to a topic with either client. Prints the memory each minute and fails if the last third of the run took more than 5 % more
 * of it than the middle third. One minute does as a smoke test: a window lasts ten seconds, so state is steady from the first third on.
 */
import { setTimeout } from 'node:timers/promises';
import pino from 'pino';
import { Pipeline } from '../../processors/pipeline.ts';
import { Engine } from '../../src/engine.ts';
import { MemoryCheckpoints, MemorySink } from '../support/memory.ts';
import { benchRules } from './bench-rules.ts';
import { machine } from './figure.ts';
import { randomOf } from './lines.ts';
import { MillSource } from './mill-source.ts';
import { mostKeys, RecordMill } from './record-mill.ts';
import { soakKafka } from './soak-kafka.ts';
import { growthOf, megabytes, mostGrowth, type Sample, type SoakResult } from './soak-memory.ts';

const sampleEveryMs = 250;
/** The keys alive at one time, and how many of them are replaced in a second: all of them within 20 s. */
const liveKeys = 200_000;
const newKeysPerSecond = 10_000;
const recordsPerSecond = 20_000;

export async function soak(minutes: number, print: (line: string) => void = console.log): Promise<SoakResult> {
  const durationMs = minutes * 60_000;
  const pipeline = new Pipeline(benchRules({ window: '{ size: 10s, slide: 1s }' }));
  const mill = new RecordMill();
  const random = randomOf(7);
  const startMs = Date.now();
  const samples: Sample[] = [];
  let nowMs = startMs;
  let handedIn = 0;
  const source = new MillSource(async () => {
    nowMs = Date.now();
    while (handedIn > ((nowMs - startMs) * recordsPerSecond) / 1000) {
      await setTimeout(5);
      nowMs = Date.now();
    }
    if (nowMs - startMs >= durationMs) return undefined;
    const firstKey = Math.floor(((nowMs - startMs) * newKeysPerSecond) / 1000);
    const batch = mill.batch(
      () => nowMs,
      // A square favours some: half of the events go to a quarter of the keys, and a key's share falls as it grows old.
      () => (firstKey + Math.floor((1 - random() ** 2) * liveKeys)) % mostKeys,
      () => Math.floor(random() * 1_000_000),
    );
    handedIn += batch.records.length;
    return batch;
  });
  const engine = new Engine({
    pipeline,
    sources: [source],
    sinks: [new MemorySink()],
    checkpoints: new MemoryCheckpoints(),
    log: pino({ level: 'silent' }),
    clock: Date.now,
  });
  const sampler = setInterval(() => samples.push({ atMs: Date.now() - startMs, rssBytes: process.memoryUsage.rss() }), sampleEveryMs);
  const teller = setInterval(() => print(line(pipeline, samples, Date.now() - startMs)), Math.min(60_000, durationMs / 6));
  try {
    await engine.run();
  } finally {
    clearInterval(sampler);
    clearInterval(teller);
  }
  return { records: pipeline.counters.records, growth: growthOf(samples, durationMs) };
}

function line(pipeline: Pipeline, samples: readonly Sample[], atMs: number): string {
  const keys = pipeline.stages[0].windows.keyCount;
  const bytes = pipeline.stages.reduce((sum, { windows }) => sum + windows.bytes(), 0);
  const rss = samples[samples.length - 1]?.rssBytes ?? 0;
  const rate = pipeline.counters.records / (atMs / 1000);
  const parts = [`${(atMs / 60_000).toFixed(1)} min`, `RSS ${megabytes(rss)}`, `state ${megabytes(bytes)}`, `${keys} keys`];
  return `${parts.join('  ')}  ${rate.toFixed(0)} records/s`;
}

async function main(argument: string | undefined, source: string | undefined): Promise<void> {
  const minutes = Number(argument ?? 30);
  if (!(minutes > 0)) throw new Error(`"${argument}" is no number of minutes: npm run soak -- 30`);
  if (source !== undefined && source !== 'kafka') throw new Error(`"${source}" is no source of a soak: npm run soak -- 30 kafka`);
  console.log(`${machine()}; ${minutes} minutes, seed 7`);
  const results = source === 'kafka' ? await soakKafka(minutes) : { engine: await soak(minutes) };
  for (const [name, { records, growth }] of Object.entries(results)) {
    console.log(
      `${name}: ${records} records; memory of the last third is ${growth.toFixed(3)} of the middle third's, at most ${mostGrowth}`,
    );
    if (!(growth <= mostGrowth)) process.exitCode = 1;
  }
}

if (process.argv[1]?.endsWith('soak.js')) await main(process.argv[2], process.argv[3]);
