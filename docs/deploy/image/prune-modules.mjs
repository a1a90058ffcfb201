// Leaves of node-rdkafka what it needs to run: 540 MB of librdkafka's sources and object files become a few MB.
//   node prune-modules.mjs <node_modules>
// Ends with 1, and says why, if what is left does not load. The Dockerfile runs it; so does test/docs/deploy-image.test.ts, on a copy.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const modules = resolve(process.argv[2] ?? 'node_modules');
const rdkafka = join(modules, 'node-rdkafka');

/** Files and folders, below the package. The licences stay with the binaries they are about. */
const kept = [
  'LICENSE.txt',
  'package.json',
  'librdkafka.js',
  'lib',
  'build/Release/node-librdkafka.node',
  // The addon looks for them at $ORIGIN/../deps.
  'build/deps/librdkafka.so.1',
  'build/deps/librdkafka++.so.1',
  'deps/librdkafka/LICENSES.txt',
];
/** Headers for addons: needed to compile, not to run. */
const compileOnly = ['nan'];

const missing = kept.filter((path) => !existsSync(join(rdkafka, path)));
if (missing.length > 0)
  fail(`${rdkafka}: expected a compiled node-rdkafka, found none of ${missing.join(', ')}; run \`npm rebuild node-rdkafka\``);

const before = sizeOf(rdkafka);
prune(rdkafka);
for (const name of compileOnly) rmSync(join(modules, name), { recursive: true, force: true });
// Symbols for a debugger are most of what is left.
for (const path of kept.filter((each) => /\.(node|so\.1)$/.test(each))) strip(join(rdkafka, path));

const loads = spawnSync(
  process.execPath,
  ['-p', `JSON.stringify((({ librdkafkaVersion, features }) => ({ librdkafkaVersion, features }))(require(${JSON.stringify(rdkafka)})))`],
  {
    encoding: 'utf8',
  },
);
if (loads.status !== 0) fail(`what is left of node-rdkafka does not load:\n${loads.stderr}`);
const { librdkafkaVersion, features } = JSON.parse(loads.stdout);
console.log(
  `node-rdkafka: ${megabytes(before)} -> ${megabytes(sizeOf(rdkafka))}; librdkafka ${librdkafkaVersion} loads (${features.join(' ')})`,
);

function prune(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const own = relative(rdkafka, path).split(sep).join('/');
    if (kept.includes(own)) continue;
    if (kept.some((each) => each.startsWith(`${own}/`))) prune(path);
    else rmSync(path, { recursive: true });
  }
}

function strip(file) {
  try {
    execFileSync('strip', ['--strip-unneeded', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    console.log('no `strip` here (binutils): symbols stay');
  }
}

function sizeOf(path) {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return 0;
  return status.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : status.size;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function fail(text) {
  console.error(text);
  process.exit(1);
}
