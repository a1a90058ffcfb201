/** What goes into a journal, and what comes out of it. */

/** A record to keep. `headers` shared by several records of one append are stored once if they are the same object. */
export interface JournalRecord {
  readonly value: Uint8Array;
  readonly timestampMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A kept record; its offset is its sequence number. */
export interface StoredRecord extends JournalRecord {
  readonly offset: number;
}

/** An append, measured and with its headers serialised: what is left to do when its turn to be written comes is copying. */
export interface PreparedEntry {
  /** Records in it. */
  readonly count: number;
  /** Of the payload, without its head. */
  readonly payloadBytes: number;
  /** Writes as much at `at` and returns where it ends. */
  writePayload(out: Buffer, at: number): number;
}
