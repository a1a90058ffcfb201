/**
 * A Logplex drain beside a Fastify handler that reads the same bodies and only answers: requests a second of each, taking turns, from one
 * client in a process of its own. Once with nobody behind the journal, which is what an answer costs; once with the engine and its two rules
 * reading it in the same thread, where the journal is so small that answers wait for the engine: what both can do for long.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import pino from 'pino';
import { Counters } from '../../processors/counters.ts';
import { Pipeline } from '../../processors/pipeline.ts';
import { createLocalCheckpoints } from '../../src/checkpoint/local.ts';
import { Engine } from '../../src/engine.ts';
import { createServer } from '../../src/http/server.ts';
import { createDrain, type Drain, type JournalDrainOptions } from '../../src/source/drain/http-drain.ts';
import { MemorySink } from '../support/memory.ts';
import { benchRules } from './bench-rules.ts';
import { framesPerBody, type Load, type LoadResult } from './drain-client.ts';
import { type Figure, median, spread } from './figure.ts';

const roundMs = 1000;
/** An answer waits for the disk: with few senders that is what decides, with many the processor. */
const few = 32;
const many = 128;
/** How often what was written is let go, as a reader would that keeps up. */
const letGoEveryMs = 50;

export async function benchDrain(print: (line: string) => void = console.log, rounds = 9): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-drain-'));
  const client = new Client();
  const bare = await bareServer();
  try {
    const idle = await Served.start(join(dir, 'idle'), { maxBytes: 2 * 1024 ** 3, keepBytes: 0 });
    const alone = await compare({ client, served: idle, bare, connections: few }, rounds, print);
    const crowd = await compare({ client, served: idle, bare, connections: many }, rounds, print);
    await idle.stop();
    const behind = await Served.start(join(dir, 'behind'), { maxBytes: 16 * 1024 ** 2, keepBytes: 0, segmentBytes: 4 * 1024 ** 2 });
    behind.startEngine(join(dir, 'state'));
    const both = await compare({ client, served: behind, bare, connections: few }, Math.ceil(rounds / 2), print);
    await behind.stop();
    return [
      ...figures(alone, few),
      ...figures(crowd, many),
      { name: 'requests while the engine reads', value: median(both.ours), unit: 'requests/s', note: 'two rules, one thread' },
    ];
  } finally {
    client.stop();
    await bare.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function figures({ ours, bare, ratios, processorRatios, clientBusy }: Comparison, connections: number): Figure[] {
  const of = (what: string) => `${what}, ${connections} connections`;
  const load = `${framesPerBody} frames; ${spread(ratios)}; client at ${Math.round(100 * clientBusy)} % of a core`;
  return [
    { name: of('requests over a bare handler'), value: median(ratios), unit: 'x', note: load },
    { name: of('processor time of a bare handler over ours'), value: median(processorRatios), unit: 'x', note: spread(processorRatios) },
    { name: of('requests'), value: median(ours), unit: 'requests/s', note: `bare ${Math.round(median(bare))}` },
  ];
}

interface Contest {
  readonly client: Client;
  readonly served: Served;
  readonly bare: FastifyInstance;
  readonly connections: number;
}

interface Comparison {
  readonly ours: number[];
  readonly bare: number[];
  readonly ratios: number[];
  /** What a bare request takes of this process's processor time, over what ours takes. */
  readonly processorRatios: number[];
  readonly clientBusy: number;
}

async function compare({ client, served, bare, connections }: Contest, rounds: number, print: (line: string) => void): Promise<Comparison> {
  const result = { ours: [] as number[], bare: [] as number[], ratios: [] as number[], processorRatios: [] as number[], clientBusy: 0 };
  for (let round = -1; round < rounds; round++) {
    const ours = await timed(() => client.load({ port: served.port, forMs: roundMs, expect: 200, connections }));
    const other = await timed(() => client.load({ port: portOf(bare), forMs: roundMs, expect: 204, connections }));
    if (round < 0) continue;
    result.ours.push(ours.perSecond);
    result.bare.push(other.perSecond);
    result.ratios.push(ours.perSecond / other.perSecond);
    result.processorRatios.push(other.microseconds / ours.microseconds);
    result.clientBusy = Math.max(result.clientBusy, other.processor);
    print(
      `- round ${round}: ours ${Math.round(ours.perSecond)}/s, ${Math.round(ours.microseconds)} us each, client ${ours.processor.toFixed(2)}; bare ${Math.round(other.perSecond)}/s, ${Math.round(other.microseconds)} us, client ${other.processor.toFixed(2)}`,
    );
  }
  return result;
}

async function timed(load: () => Promise<LoadResult>) {
  const used = process.cpuUsage();
  const { answered, tookMs, processor } = await load();
  const { user, system } = process.cpuUsage(used);
  return { perSecond: answered / (tookMs / 1000), microseconds: (user + system) / answered, processor };
}

class Client {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;

  constructor() {
    this.child = fork(fileURLToPath(new URL('./drain-client.js', import.meta.url)), ['--drain-client'], { stdio: 'inherit', execArgv: [] });
    this.ended = once(this.child, 'exit').then(([code]) => {
      throw new Error(`the client ended with ${code}`);
    });
    // It ends in the end: that is asked about only while an answer is waited for.
    this.ended.catch(() => {});
  }

  async load(load: Load): Promise<LoadResult> {
    const answer = new Promise<LoadResult>((resolve) => this.child.once('message', (result) => resolve(result as LoadResult)));
    this.child.send(load);
    return Promise.race([answer, this.ended]);
  }

  stop(): void {
    this.child.disconnect();
  }
}

/** A drain as `run` mounts it, on a server as `run` makes it. */
class Served {
  readonly port: number;
  private readonly drain: Drain;
  private readonly app: FastifyInstance;
  private engine: { readonly engine: Engine; readonly done: Promise<void> } | undefined;
  private readonly timer: NodeJS.Timeout;

  private constructor(drain: Drain, app: FastifyInstance) {
    this.drain = drain;
    this.app = app;
    this.port = portOf(app);
    this.timer = setInterval(() => this.letGo(), letGoEveryMs);
  }

  static async start(stateDir: string, journal: JournalDrainOptions['journal']): Promise<Served> {
    const drain = await createDrain({ path: '/drain/logplex', credentials: ['app:right'], dataset: 'heroku', stateDir, journal });
    const app = createServer({
      status: { sources: [], sinks: [], reasons: () => [] },
      metrics: { counters: () => new Counters(), drains: () => [drain] },
      version: { version: '0', commit: '', builtAt: '', driver: 'none' },
      mounts: [drain],
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    return new Served(drain, app);
  }

  startEngine(dir: string): void {
    const pipeline = new Pipeline(benchRules({ window: '{ size: 10m, slide: 1m }' }), {});
    const log = pino({ level: 'silent' });
    const checkpoints = createLocalCheckpoints({ dir, identity: 'bench', warn: () => {} });
    const deadLetter = {
      name: 'none',
      open: async () => {},
      write: async () => {},
      close: async () => {},
      health: () => ({ ok: true, retries: 0 }),
    };
    const parts = { pipeline, sources: [this.drain], sinks: [new MemorySink()], deadLetter, checkpoints, log, clock: Date.now };
    const engine = new Engine(parts, { idleMs: 60_000, checkpointEveryMs: 500 });
    this.engine = { engine, done: engine.run() };
  }

  /** What nobody reads is given up soon, as what is read is. */
  private letGo(): void {
    const lag = this.drain.health().lagRecords ?? 0;
    if (this.engine === undefined) void this.drain.commit({ '/drain/logplex/0': lag });
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.engine?.engine.stop();
    await this.engine?.done;
    await this.app.close();
    await this.drain.stop();
  }
}

/** Reads each body whole, as the drain must, and answers. */
async function bareServer(): Promise<FastifyInstance> {
  const app = Fastify({ bodyLimit: 1024 ** 2 });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  app.post('/drain/logplex', (_, reply) => reply.code(204).send());
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app;
}

function portOf(app: FastifyInstance): number {
  return (app.server.address() as AddressInfo).port;
}
