export interface FileSourceOptions {
  /** A glob or a literal path, or several. */
  readonly path: string | readonly string[];
  /** The dataset of lines that do not name their own. */
  readonly dataset: string;
  /** A decoder's name; default `auto`. */
  readonly format?: string;
  /** Go on when the files end: new lines, new files, rotation. Default false. */
  readonly follow?: boolean;
  /** Where relative paths begin; default the working folder. */
  readonly cwd?: string;
  /** A longer line is handed in cut; default 1 MiB. */
  readonly maxLineBytes?: number;
  /** Following: looks at every file this often even where the system reports no change; default 2,000. */
  readonly pollMs?: number;
  /** Following: a rotated file is given up after this long without a new line; default 60,000. */
  readonly rotateWaitMs?: number;
  /** Following: remembers here which file is which partition, so that a rotation during a restart loses and repeats nothing. */
  readonly identityFile?: string;
  /** Following: listen to the system's file events; default true. Without them only the poll sees changes. */
  readonly watch?: boolean;
}
