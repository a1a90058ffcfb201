/** Records of which every 400 bring one attacker: it opens, is updated as its count doubles, and closes two minutes of event time later. */
import { requestsRule } from '../support/many-requests.ts';

export interface LoadRecord {
  readonly partition: number;
  readonly value: string;
  readonly timestampMs: number;
}

export const partitions = 3;
const recordsPerAttacker = 400;
/** An opening, updates at twice and four times, a closing. */
export const findingsPerAttacker = 4;

export class Load {
  readonly #startMs: number;
  readonly #stepMs: number;
  made = 0;
  /** Of what `last` gave. */
  lastMs = Number.NaN;

  /** `stepMs`: event time between two records. */
  constructor(startMs = Date.parse('2026-01-05T12:00:00Z'), stepMs = 50) {
    this.#startMs = startMs;
    this.#stepMs = stepMs;
  }

  next(count: number): LoadRecord[] {
    return Array.from({ length: count }, () => this.#record());
  }

  /** One for every partition, an hour later: they close what is open. */
  last(): LoadRecord[] {
    const timestampMs = this.#timeMs() + 3_600_000;
    this.lastMs = timestampMs;
    return Array.from({ length: partitions }, (_, partition) => ({ partition, value: event(timestampMs, '192.0.2.99', 0), timestampMs }));
  }

  #record(): LoadRecord {
    const timestampMs = this.#timeMs();
    const n = this.made++;
    const attacker = Math.floor(n / recordsPerAttacker);
    // Neighbours are in different partitions, and no address keeps to one.
    const partition = (n + Math.floor(n / 10)) % partitions;
    const address =
      n % 10 === 0 ? `198.51.${(attacker >> 8) % 256}.${attacker % 256}` : `203.${(n >> 8) % 16}.${n % 256}.${(n >> 4) % 256}`;
    return { partition, value: event(timestampMs, address, n), timestampMs };
  }

  #timeMs(): number {
    return this.#startMs + this.made * this.#stepMs;
  }
}

function event(timeMs: number, address: string, n: number): string {
  return JSON.stringify({ time: timeMs, 'client.address': address, n });
}

export const rule = requestsRule('torture', 6);
