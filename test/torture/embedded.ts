/**
 * Without Kafka: a sender posts to a drain until it is told 200, findings go to a file. The process is killed, its disk (journal and
 * checkpoints) is full for a while. What was told 200 counts, once.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeRule } from '../support/many-requests.ts';
import { Child } from './child.ts';
import { compare, outOf } from './compare.ts';
import { SmallDisk } from './disk.ts';
import { freePort } from './free-port.ts';
import { Load, type LoadRecord, rule } from './load.ts';
import { linesOf, replayed } from './plant.ts';
import { between, differences, type Report, type Torture } from './scenario.ts';

export interface EmbeddedOptions {
  readonly kills: number;
  readonly fullDisks: number;
}

const perPost = 50;
const postEveryMs = 25;

/** Posts one batch after the other, each until it is taken. A batch that was taken although its answer was lost is there twice. */
class Sender {
  readonly sent: string[] = [];
  readonly #url: string;
  readonly #load: Load;
  #running: Promise<void> | undefined;
  #over = false;
  resent = 0;

  constructor(url: string, load: Load) {
    this.#url = url;
    this.#load = load;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      await this.post(this.#load.next(perPost));
      await sleep(postEveryMs);
    }
  }

  async post(records: readonly LoadRecord[]): Promise<void> {
    const lines = records.map(({ value }) => value);
    this.sent.push(...lines);
    for (;;) {
      try {
        const answer = await fetch(this.#url, { method: 'POST', body: `${lines.join('\n')}\n`, signal: AbortSignal.timeout(6_000) });
        await answer.arrayBuffer();
        if (answer.ok) return;
      } catch {
        // Killed, or starting: the next attempt asks again.
      }
      this.resent++;
      await sleep(50);
    }
  }
}

const over = 'drain and file';

/** What is there twice must not count twice: numbers of records are counted, not records. */
const distinctRule = rule.replace('measure: count', 'measure: { distinct: n }').replace('lateness: 0s', 'lateness: 20s');

export async function embedded({ random, print }: Torture, { kills, fullDisks }: EmbeddedOptions): Promise<Report> {
  const disk = fullDisks > 0 ? SmallDisk.mount(8) : undefined;
  const cwd = await mkdtemp(join(tmpdir(), 'streamgauge-torture-'));
  const port = await freePort();
  const load = new Load();
  const sender = new Sender(`http://127.0.0.1:${port}/drain/json`, load);
  const children: Child[] = [];
  const start = () => {
    const child = new Child(['run'], cwd);
    children.push(child);
    return child;
  };
  let faults = 0;
  try {
    await writeRule(join(cwd, 'rules'), distinctRule);
    await writeFile(join(cwd, 'streamgauge.yaml'), configOf(port, disk === undefined ? './data' : join(disk.path, 'data')));
    sender.start();
    let child = start();
    for (let kill = 0; kill < kills; kill++) {
      await sleep(random() < 0.8 ? between(random, 100, 1_500) : between(random, 5_000, 7_000));
      if (child.isOver) throw new Error(`it ended by itself:\n${child.said.slice(-3000)}`);
      await child.end('SIGKILL');
      faults++;
      child = start();
    }
    for (let i = 0; disk !== undefined && i < fullDisks; i++) {
      await sleep(between(random, 1_000, 4_000));
      await disk.fill();
      faults++;
      await sleep(between(random, 500, 10_000));
      // It may have given up on its checkpoint: whoever looks after it starts it again.
      if (child.isOver || i % 3 === 2) {
        await child.end('SIGKILL');
        await disk.empty();
        child = start();
      } else await disk.empty();
      print('  disk of journal and state full, and room again');
    }
    if (child.isOver) child = start();
    await sender.stop();
    for (const record of load.last()) await sender.post([record]);
    await emptied(child, port);
    const { code, signal } = await child.end('SIGTERM');
    if (code !== 0) throw new Error(`stopped with ${code ?? signal}:\n${child.said.slice(-3000)}`);
    await writeFile(join(cwd, 'sent.jsonl'), `${sender.sent.join('\n')}\n`);
    const comparison = compare(await replayed('sent.jsonl', cwd), outOf(linesOf(await readFile(join(cwd, 'findings.jsonl'), 'utf8'))));
    const notes = [
      `${sender.resent} requests were sent again`,
      ...(disk === undefined && fullDisks > 0 ? ['no small disk here: not filled'] : []),
    ];
    const wrong = differences(comparison);
    const killed = children.filter((one) => one.killed).length;
    return { name: over, over, faults, kills: killed, records: load.made, comparison, offsetChecks: 0, wrong, notes };
  } finally {
    await sender.stop().catch(() => undefined);
    await rm(cwd, { recursive: true, force: true });
    disk?.unmount();
  }
}

function configOf(port: number, stateDir: string): string {
  return [
    'rules: [./rules]',
    `http: { listen: "127.0.0.1:${port}" }`,
    'sources: [{ drain: { path: /drain/json, dataset: app } }]',
    'sinks: [{ file: { path: ./findings.jsonl } }]',
    `state: { dir: ${stateDir} }`,
    'time: { idle: 7d }',
    '',
  ].join('\n');
}

/** Until the engine has read all that the journal holds. */
async function emptied(child: Child, port: number): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  for (;;) {
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text());
    const lag = /^streamgauge_source_lag_records\{[^}]*\} (\S+)/m.exec(text)?.[1];
    if (lag !== undefined && Number(lag) === 0) return;
    if (performance.now() > deadlineMs) throw new Error(`the journal still holds ${lag} records:\n${child.said.slice(-2000)}`);
    await sleep(100);
  }
}
