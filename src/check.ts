/** `streamgauge check`: every rule of the folders, parsed and run through its own test. */
import type { Writable } from 'node:stream';
import { ExitCode } from './errors.ts';
import { printable } from './printable.ts';
import { testRule } from './rule-test.ts';
import { findRules } from './rules.ts';

/** More live rules than this, and nobody reads what they find. */
const liveRulesWarning = 15;

/** Prints a line a rule and the problems below it. Returns the exit code; throws `UsageError` if a rule does not parse. */
export async function check(folders: readonly string[], out: Writable): Promise<number> {
  const rules = await findRules(folders);
  let failed = 0;
  for (const { rule, folder } of rules) {
    const { records, findings, problems } = await testRule(rule, folder);
    const verdict = problems.length === 0 ? 'ok  ' : 'FAIL';
    out.write(
      `${verdict} ${rule.id.padEnd(32)} ${rule.status.padEnd(8)} ${String(records).padStart(4)} records, ${findings.length} findings\n`,
    );
    for (const problem of problems) out.write(`     ${printable(problem)}\n`);
    if (problems.length > 0) failed++;
  }
  const live = rules.filter(({ rule }) => rule.status === 'live').length;
  if (live > liveRulesWarning) out.write(`warning: ${live} live rules; past ${liveRulesWarning} a catalogue is no longer read\n`);
  out.write(`${rules.length - failed} of ${rules.length} rules are as their own tests say\n`);
  return failed === 0 ? ExitCode.fine : ExitCode.findingsOfCheck;
}
