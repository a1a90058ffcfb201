/** Three kinds of failure: the user's input (exit 2), the outside world (exit 3), and broken invariants (any other error: the process stops). */

/** Bad usage, config or rules: every mistake at once, one a line, each `file:line: path: expected …, found …`. */
export class UsageError extends Error {
  override name = 'UsageError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Something outside could not be reached, or refused: says what, where, and what to try. */
export class DependencyError extends Error {
  override name = 'DependencyError';
}

export const ExitCode = { fine: 0, findingsOfCheck: 1, usage: 2, unreachable: 3 } as const;
