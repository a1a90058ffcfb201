// Prints every skipped test, and fails if a whole suite was skipped that could have run on this machine.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const canRun = [
  { suite: /integration\/(kafka|crash)/, when: has('java') && has('mvn'), needs: 'Java and Maven' },
  { suite: /integration\/(loki|alerting)/, when: has('go') && has('prometheus-alertmanager'), needs: 'Go and Alertmanager' },
  {
    suite: /integration\/crowdsec|sketch\/(postgres-hll|vectors)|measure\/windows/,
    when: existsSync('../shared/data'),
    needs: 'the open data',
  },
];

/** Tests of which not a single one may be left out where what they need is there. */
const mustRun = [
  {
    test: 'node-rdkafka loads wherever it could be built',
    when: ['c++', 'make', 'python3'].every(has),
    needs: 'a compiler, make and Python',
  },
  { test: 'promtool takes them; each fires for what it is for, and not before its time', when: has('promtool'), needs: 'promtool' },
  { test: 'promtool finds nothing wrong with the names of the metrics', when: has('promtool'), needs: 'promtool' },
];

const { testResults } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
let wrong = 0;
for (const { name, assertionResults } of testResults) {
  const file = relative(process.cwd(), name);
  const skipped = assertionResults.filter(({ status }) => status === 'pending' || status === 'skipped' || status === 'todo');
  for (const { fullName } of skipped) console.log(`${file}: ${fullName}`);
  if (assertionResults.length === 0 || skipped.length < assertionResults.length) continue;
  const rule = canRun.find(({ suite }) => suite.test(file));
  if (rule?.when) {
    console.log(`${file} was skipped whole, although ${rule.needs} are here`);
    wrong++;
  }
}
const passed = new Set(
  testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'passed').map(({ fullName }) => fullName.trim()),
  ),
);
for (const { test, when, needs } of mustRun) {
  if (!when || passed.has(test)) continue;
  console.log(`"${test}" did not pass, although ${needs} are here`);
  wrong++;
}
process.exit(wrong === 0 ? 0 : 1);
