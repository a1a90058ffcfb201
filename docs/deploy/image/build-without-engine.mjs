// Carries out the Dockerfile where no container engine is: each stage is a folder, each RUN a chroot into it. Root on Linux, with `unshare`.
//   node build-without-engine.mjs --base DIR --out DIR [--env NAME=VALUE …] [--build-arg NAME=VALUE …]
// --base: what stands for the base image, e.g. `debootstrap --variant=minbase bookworm DIR` with Node and npm below DIR/usr/local.
// --out is made anew. --env: for RUN alone, as for a proxy. The context is what .dockerignore leaves of it. It takes the instructions that our Dockerfile has,
// and refuses others. The last line says where the image's folder is; run-without-engine.sh starts it.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    out: { type: 'string' },
    env: { type: 'string', multiple: true, default: [] },
    'build-arg': { type: 'string', multiple: true, default: [] },
  },
});
if (values.base === undefined || values.out === undefined) throw new Error('expected --base DIR and --out DIR');
const [base, out] = [resolve(values.base), resolve(values.out)];
const given = Object.fromEntries(values['build-arg'].map(pair));
const stages = [];
const carriedOut = carriedOutFor();
const globalArgs = {};
let stage;

const context = join(out, 'context');
rmSync(out, { recursive: true, force: true });
copyContext();
for (const line of instructions(readFileSync(join(root, 'Dockerfile'), 'utf8'))) {
  console.log(`[${stage?.name ?? '-'}] ${line.slice(0, 120)}`);
  const [, name, rest] = /^([A-Z]+)\s+(.*)$/s.exec(line) ?? [];
  const carryOut = carriedOut[name] ?? refuse(line);
  carryOut(rest);
}
console.log(stage.folder);

/** One per line; comments and continued lines as Docker reads them. */
function instructions(text) {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  return lines
    .join('\n')
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line.trim() !== '');
}

/** `*` and then what is let in by `!`, which is all that our .dockerignore has. */
function copyContext() {
  const [first, ...others] = readFileSync(join(root, '.dockerignore'), 'utf8').trim().split('\n');
  if (first !== '*' || others.some((line) => !line.startsWith('!'))) throw new Error('.dockerignore: expected `*`, then lines with `!`');
  for (const path of others.map((line) => line.slice(1))) cpSync(join(root, path), join(context, path), { recursive: true });
}

function carriedOutFor() {
  return {
    ARG: (rest) => {
      const [name, value] = pair(rest);
      (stage?.args ?? globalArgs)[name] = given[name] ?? value;
    },
    FROM: (rest) => {
      const [, from, name] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? refuse(rest);
      // Whatever image is named, the base stands for it; a name of an earlier stage would be that.
      if (filled(from, globalArgs) === from && !from.includes(':')) refuse(rest);
      const folder = join(out, name ?? 'image');
      execFileSync('cp', ['-a', base, folder]);
      cpSync('/etc/resolv.conf', join(folder, 'etc/resolv.conf'), { dereference: true });
      const ca = '/etc/ssl/certs/ca-certificates.crt';
      // The machine's own, for the downloads of RUN; what the image itself installs takes its place.
      if (existsSync(ca)) cpSync(ca, join(folder, ca), { dereference: true });
      stage = { name: name ?? 'image', folder, cwd: '/', env: {}, args: {} };
      stages.push(stage);
    },
    WORKDIR: (rest) => {
      stage.cwd = rest;
      mkdirSync(join(stage.folder, rest), { recursive: true });
    },
    ENV: (rest) => {
      for (const [name, value] of rest.split(/\s+/).map(pair)) stage.env[name] = filled(value, { ...stage.args, ...stage.env });
    },
    COPY: (rest) => {
      const words = rest.split(/\s+/);
      const from = /^--from=(.*)$/.exec(words[0])?.[1];
      if (from !== undefined) words.shift();
      const source = from === undefined ? context : stages.find(({ name }) => name === from).folder;
      const target = words.pop();
      const into = resolve(stage.cwd, target);
      for (const word of words) {
        const path = join(source, resolve('/', word));
        const to = target.endsWith('/') ? join(stage.folder, into, basename(path)) : join(stage.folder, into);
        mkdirSync(dirname(to), { recursive: true });
        execFileSync('cp', ['-a', '--no-preserve=ownership', '-T', path, to]);
      }
    },
    RUN: (rest) => {
      const env = { ...stage.args, ...stage.env, ...Object.fromEntries(values.env.map(pair)) };
      const assigned = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const script = 'mount -t proc proc "$1/proc"; exec chroot "$@"';
      const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
      const inside = ['env', '-i', path, 'HOME=/root', ...assigned, 'sh', '-c', `cd ${stage.cwd} && ${rest}`];
      execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', stage.folder, ...inside], { stdio: 'inherit' });
    },
    ...Object.fromEntries(['USER', 'EXPOSE', 'VOLUME', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'].map((name) => [name, () => {}])),
  };
}

function pair(text) {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function filled(text, from) {
  return text.replace(/\$\{?(\w+)\}?/g, (_, name) => from[name] ?? '');
}

function refuse(line) {
  throw new Error(`Dockerfile: not an instruction this can carry out: ${line}`);
}
