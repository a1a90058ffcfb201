/**
 * How much the next round of librdkafka may bring. A round ends only when it has its records, or when none came for a while, so that
 * what is asked for by number alone can be a gigabyte of large ones. Both ends are set here, from what the last rounds brought.
 */

/** How long a round waits for a first record, and so how long a stop or a commit may take. */
export const roundMs = 100;
/**
 * How long one waits for the next record where there are some: not for the next fetch, so that it ends with what librdkafka has at hand
 * (`queued.max.messages.kbytes`), also where large records come after small ones.
 */
const atHandMs = 1;
/** What a round aims at. */
const roundBytes = 8 * 1024 * 1024;
/** How many records are taken of what comes after nothing came: nobody knows how large they are. */
const firstRecords = 4;

export interface Round {
  readonly records: number;
  /** For each record. */
  readonly waitMs: number;
}

export class RdkafkaRoundSize {
  readonly #mostRecords: number;
  /** Follows larger records at once, smaller ones by half. */
  #bytesPerRecord = 0;
  #waiting = true;

  constructor(mostRecords: number) {
    this.#mostRecords = mostRecords;
  }

  next(): Round {
    const most = this.#waiting ? firstRecords : this.#mostRecords;
    const records = Math.floor(roundBytes / Math.max(this.#bytesPerRecord, 1));
    return { records: Math.max(1, Math.min(records, most)), waitMs: this.#waiting ? roundMs : atHandMs };
  }

  /** What the last round brought. */
  brought(records: number, bytes: number): void {
    this.#waiting = records === 0;
    if (this.#waiting) return;
    const mean = bytes / records;
    this.#bytesPerRecord = Math.max(mean, (this.#bytesPerRecord + mean) / 2);
  }
}
