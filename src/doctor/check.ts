/** One thing the doctor tries. */
export interface Check {
  readonly what: string;
  /** Resolves to remarks where all is well but something is worth knowing; rejects if it is not well. Each says what to do. */
  readonly run: () => Promise<readonly string[]>;
}
