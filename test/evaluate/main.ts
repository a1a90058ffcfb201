/** `npm run evaluate [DIR]`: the evaluations that need open data; DIR is where it lies. Exit 1 on a difference, 3 without the data. */
import { join } from 'node:path';
import { evaluateAll, isRight, report } from './crowdsec.ts';
import { readSuites } from './crowdsec-suite.ts';

const dir = join(process.argv[2] ?? join('..', 'shared', 'data'), 'crowdsec');
const suites = readSuites(dir);
if (suites === undefined) {
  process.stderr.write(`no CrowdSec suites in ${dir}: expected a folder "suites" there; name the data's folder as the argument\n`);
  process.exitCode = 3;
} else {
  const outcomes = evaluateAll(suites);
  process.stdout.write(`${report(outcomes)}\n`);
  const wrong = outcomes.filter((outcome) => !isRight(outcome));
  process.stdout.write(
    wrong.length === 0 ? `all ${outcomes.length} runs as the hub asserts\n` : `${wrong.length} of ${outcomes.length} runs differ\n`,
  );
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
