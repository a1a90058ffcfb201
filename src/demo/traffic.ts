/**
 * One simulated day of a Heroku app and its neighbours, as the bytes their senders put on the wire, in the order in which they arrive:
 * drain request bodies of Logplex frames, pino JSON, an sshd's syslog. The same seed and day give the same bytes.
 */
import { Backstage } from './backstage.ts';
import { Day, demoDay, demoSeed, minute } from './day.ts';
import type { Line } from './lines.ts';
import { Platform } from './platform.ts';
import { Random } from './random.ts';
import { type DemoLabel, type Scenes, setScenes } from './scenes.ts';
import { Shop } from './shop.ts';

export type { DemoLabel } from './scenes.ts';
export { demoDay, demoSeed };

export interface DemoItem {
  /** When it arrives, ms since the epoch: what a transport would stamp on it. */
  readonly atMs: number;
  /** `logplex`: the body of one drain request, frames of `LEN SP message`. `json`, `syslog`: one line without its newline. */
  readonly kind: 'logplex' | 'json' | 'syslog';
  readonly bytes: Uint8Array;
  /** How many log lines it holds. */
  readonly lines: number;
}

export interface DemoTraffic {
  /** Lazy, and from the start each time it is iterated; about 70 MB in all. */
  readonly items: Iterable<DemoItem>;
  /** What must be found. */
  readonly labels: readonly DemoLabel[];
  /** What must not be found, although it comes close. */
  readonly nearMisses: readonly DemoLabel[];
}

/** Logplex sends a batch as soon as the last one was answered; half a second is what a busy receiver takes. */
const batchMs = 500;
/** Logplex's target for a body. */
const maxBodyBytes = 102_400;
/** Nothing is under way for longer, so nothing is late by the default lateness of 10 s. */
const maxDelayMs = 4000;
const connections = 2;

/** @param day `2025-06-17`. Throws a RangeError for anything that is not a date. */
export function demoTraffic(seed: number = demoSeed, day: string = demoDay): DemoTraffic {
  const theDay = new Day(day);
  const scenes = setScenes(theDay, seed);
  const items = { [Symbol.iterator]: () => generate(theDay, seed, scenes) };
  return { items, labels: scenes.labels, nearMisses: scenes.nearMisses };
}

interface Arrival {
  readonly atMs: number;
  readonly connection: number;
  readonly line: Line;
}

function* generate(day: Day, seed: number, scenes: Scenes): Generator<DemoItem> {
  const shop = new Shop(day, seed);
  const platform = new Platform(day, seed);
  const backstage = new Backstage(day, seed, scenes.incidents);
  const staged = byMinute([...scenes.lines, ...platform.events()]);
  const network = Random.of(seed, 'network');
  let underWay: Arrival[] = [];
  for (let fromMs = day.startMs; fromMs < day.endMs || underWay.length > 0; fromMs += minute) {
    const lines: Line[] = staged.get(fromMs) ?? [];
    if (fromMs < day.endMs) {
      shop.addMinute(fromMs, lines);
      platform.addMinute(fromMs, lines);
      backstage.addMinute(fromMs, lines);
    }
    for (const line of lines) underWay.push(send(line, network));
    // A line of a later minute cannot arrive before that minute begins.
    const arrived = underWay.filter((arrival) => arrival.atMs < fromMs + minute);
    underWay = underWay.filter((arrival) => arrival.atMs >= fromMs + minute);
    yield* deliver(arrived);
  }
}

function byMinute(lines: readonly Line[]): Map<number, Line[]> {
  const minutes = new Map<number, Line[]>();
  for (const line of lines) {
    const fromMs = Math.floor(line.atMs / minute) * minute;
    const known = minutes.get(fromMs);
    if (known === undefined) minutes.set(fromMs, [line]);
    else known.push(line);
  }
  return minutes;
}

/** Each line takes its own time over the network, so that arrival is slightly out of the order of events; Logplex drains over two connections. */
function send(line: Line, network: Random): Arrival {
  const delayMs = Math.min(maxDelayMs, 15 + Math.floor(network.exponential(network.chance(0.02) ? 1200 : 120)));
  return { atMs: line.atMs + delayMs, connection: network.between(0, connections), line };
}

/** Puts what arrived into items: Logplex lines into bodies, one connection's half second each, the rest line by line. */
function deliver(arrived: Arrival[]): DemoItem[] {
  arrived.sort((a, b) => a.atMs - b.atMs || a.line.atMs - b.line.atMs || (a.line.text < b.line.text ? -1 : 1));
  const items: DemoItem[] = [];
  const bodies = new Map<number, Body>();
  for (const { atMs, connection, line } of arrived) {
    const bytes = Buffer.from(line.text);
    if (line.channel !== 'logplex') {
      items.push({ atMs, kind: line.channel, bytes, lines: 1 });
      continue;
    }
    let body = bodies.get(connection);
    if (body !== undefined && !body.takes(atMs, bytes)) {
      items.push(body.close());
      body = undefined;
    }
    if (body === undefined) {
      body = new Body(atMs);
      bodies.set(connection, body);
    }
    body.add(atMs, bytes);
  }
  for (const body of bodies.values()) items.push(body.close());
  return items.sort((a, b) => a.atMs - b.atMs);
}

/** A drain request's body while it fills. */
class Body {
  private readonly chunks: Uint8Array[] = [];
  private readonly startMs: number;
  private lastMs: number;
  private size = 0;

  constructor(startMs: number) {
    this.startMs = startMs;
    this.lastMs = startMs;
  }

  takes(atMs: number, message: Uint8Array): boolean {
    return atMs < this.startMs + batchMs && this.size + message.length + 6 <= maxBodyBytes;
  }

  add(atMs: number, message: Uint8Array): void {
    const length = Buffer.from(`${message.length} `);
    this.chunks.push(length, message);
    this.size += length.length + message.length;
    this.lastMs = atMs;
  }

  close(): DemoItem {
    return { atMs: this.lastMs, kind: 'logplex', bytes: Buffer.concat(this.chunks, this.size), lines: this.chunks.length / 2 };
  }
}
