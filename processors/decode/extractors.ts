import type { MessageReader, RowWriter } from './row-writer.ts';

export interface ExtractorOptions {
  /** Only events of this dataset, or of one below it. */
  readonly dataset?: string;
  /** Source of a regular expression; its named groups become fields, with `__` for the `.` of a name (`user__email`). */
  readonly pattern: string;
  /** Group -> field, where the group is not called like its field. */
  readonly fields?: Readonly<Record<string, string>>;
}

interface Extractor {
  readonly dataset: string | undefined;
  readonly below: string;
  readonly pattern: RegExp;
  /** Field name and group name. */
  readonly fields: readonly (readonly [field: string, group: string])[];
}

/** Fields that a user's regular expressions find in the message. The only regular expressions run per event, and only where asked for. */
export class Extractors implements MessageReader {
  private readonly extractors: readonly Extractor[];

  /** Throws an Error that names the pattern if it is no regular expression or has no named group. */
  constructor(options: readonly ExtractorOptions[]) {
    this.extractors = options.map(compile);
  }

  get isEmpty(): boolean {
    return this.extractors.length === 0;
  }

  /** Every extractor of the row's dataset that fits the message puts its groups; a later one goes before an earlier one. */
  run(row: RowWriter): void {
    const { message } = row;
    if (message === undefined) return;
    const dataset = row.out.dataset[row.row];
    for (const extractor of this.extractors) {
      if (extractor.dataset !== undefined && dataset !== extractor.dataset && !dataset.startsWith(extractor.below)) continue;
      const groups = extractor.pattern.exec(message)?.groups;
      if (groups === undefined) continue;
      row.from('own');
      row.untyped = true;
      for (const [field, group] of extractor.fields) row.text(field, groups[group]);
    }
  }
}

function compile(options: ExtractorOptions): Extractor {
  let pattern: RegExp;
  try {
    pattern = new RegExp(options.pattern);
  } catch (error) {
    throw new Error(`extractor "${options.pattern}": expected a regular expression; ${(error as Error).message}`, { cause: error });
  }
  // An empty alternative matches anything, so its groups can be read without a text that fits.
  const groups = Object.keys(new RegExp(`${options.pattern}|`).exec('')?.groups ?? {});
  if (groups.length === 0) {
    throw new Error(`extractor "${options.pattern}": expected at least one named group, as in (?<user__email>\\S+); found none`);
  }
  const names = options.fields ?? {};
  return {
    dataset: options.dataset,
    below: `${options.dataset}.`,
    pattern,
    fields: groups.map((group) => [Object.hasOwn(names, group) ? names[group] : group.replaceAll('__', '.'), group] as const),
  };
}
