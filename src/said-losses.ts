/**
 * What senders say they lost, as findings: the first at once, durable with the records that say it, then for each partition and kind one a
 * minute with what came since. A sender that loses for hours is told sixty times an hour, not with each of its lines. What is read again
 * after a kill has the id it had, as long as it is the first of its finding; up to a minute's further counts may come out otherwise.
 */
import type { Finding } from '../processors/detect/finding.ts';
import type { SaidLoss } from '../processors/holes.ts';
import { partitionKey, type RecordBatch } from '../processors/record.ts';
import { saidLossFinding } from './self-finding.ts';
import type { Now } from './source-watch.ts';

const everyMs = 60_000;

interface Told {
  readonly source: string;
  readonly partition: string;
  /** When it was told last, by the clock that only passes. */
  toldMs: number;
  /** What came since, and when by the wall clock. */
  waiting: SaidLoss | undefined;
  sinceMs: number;
}

export class SaidLosses {
  /** Of the last minute, by source, partition and kind. */
  private readonly told = new Map<string, Told>();

  /** A batch was processed; `said` is of that batch. */
  came(source: string, { topic, partition }: RecordBatch, said: readonly SaidLoss[], now: Now): Finding[] {
    if (said.length === 0) return [];
    const key = partitionKey(topic, partition);
    return said.flatMap((loss) => this.one(source, key, loss, now));
  }

  /** To be asked every second or so. With `all`: whatever still waits, for there will be no next time. */
  due(now: Now, all = false): Finding[] {
    const findings: Finding[] = [];
    for (const [key, each] of this.told) {
      if (!all && now.steadyMs - each.toldMs < everyMs) continue;
      if (each.waiting === undefined) this.told.delete(key);
      else findings.push(tell(each, each.waiting, now));
    }
    return findings;
  }

  private one(source: string, partition: string, loss: SaidLoss, now: Now): Finding[] {
    const key = JSON.stringify([source, partition, loss.kind]);
    const known = this.told.get(key);
    if (known === undefined) {
      const told: Told = { source, partition, toldMs: now.steadyMs, waiting: undefined, sinceMs: now.wallMs };
      this.told.set(key, told);
      return [tell(told, loss, now)];
    }
    if (known.waiting === undefined) {
      known.waiting = { ...loss };
      known.sinceMs = now.wallMs;
    } else known.waiting.messages += loss.messages;
    return now.steadyMs - known.toldMs < everyMs ? [] : [tell(known, known.waiting, now)];
  }
}

function tell(told: Told, loss: SaidLoss, { wallMs, steadyMs }: Now): Finding {
  told.toldMs = steadyMs;
  told.waiting = undefined;
  return saidLossFinding(told.source, told.partition, loss, told.sinceMs, wallMs);
}
