/**
 * The image cannot be built here. The Dockerfile is held against the tree; what it does to the native Kafka client is done to a copy; and
 * `docs/deploy/README.md` tells of the run of all its commands without an engine.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { loadRdkafka } from '../../src/source/kafka/rdkafka-client.ts';
import tsconfig from '../../tsconfig.build.json' with { type: 'json' };
import { root } from '../support/build.ts';
import { freePorts } from '../support/port.ts';
import { tempDir } from '../support/temp-dir.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const dockerfile = read('Dockerfile');
const lines = dockerfile.replaceAll('\\\n', '').split('\n');
const stages = dockerfile.split(/^(?=FROM )/m).slice(1);
const [build, modules, image] = stages;

describe('the Dockerfile', () => {
  test('copies what is there and what .dockerignore lets in, and what the build needs', () => {
    const copied = lines.flatMap((line) => /^COPY (?!--from)(.+) \S+$/.exec(line)?.[1].split(' ') ?? []);
    const ignored = read('.dockerignore').split('\n');
    for (const path of copied) {
      expect(existsSync(join(root, path)), path).toBe(true);
      expect(
        ignored.some((line) => line.startsWith('!') && `${path}/`.startsWith(`${line.slice(1)}/`)),
        path,
      ).toBe(true);
    }
    // Nothing is let in that is not used.
    for (const line of ignored.filter((each) => each.startsWith('!'))) {
      expect(
        copied.some((path) => `${path}/`.startsWith(`${line.slice(1)}/`)),
        line,
      ).toBe(true);
    }
    // Tests and benchmarks are built too where they are there; the command needs none of them.
    for (const path of tsconfig.include.filter((one) => !one.startsWith('test'))) expect(build).toContain(`COPY ${path} ./${path}\n`);
    expect(image).toContain('COPY processors/rules ./processors/rules\n');
  });

  test('starts the command as nobody in particular, by number, and asks /live for its health', () => {
    expect(image).toContain(`ENTRYPOINT ["node", "/app/${packageJson.bin.streamgauge}"]`);
    expect(image).toMatch(/^USER 1000:1000$/m);
    expect(image.indexOf('USER 1000:1000')).toBeGreaterThan(image.lastIndexOf('RUN '));
    expect(image).toContain('EXPOSE 8080\n');
    expect(image).toContain("fetch('http://127.0.0.1:8080/live')");
    const major = (text: string | undefined) => Number.parseInt(/\d+/.exec(text ?? '')?.[0] ?? '', 10);
    expect(major(/node:(\d+)/.exec(dockerfile)?.[1])).toBe(major(packageJson.engines.node));
  });

  test('installs compilers in the stage that compiles and nowhere else, and runs no script of a package but one', () => {
    expect(modules).toMatch(/apt-get install .*g\+\+/);
    for (const stage of [build, image]) expect(stage).not.toMatch(/g\+\+|python3|make/);
    for (const line of lines.filter((each) => /npm ci/.test(each))) expect(line).toContain('--ignore-scripts');
    expect(lines.filter((line) => /npm (rebuild|install|run)/.test(line))).toEqual([
      'RUN npm run build',
      'RUN npm_config_nodedir=/usr/local npm rebuild node-rdkafka',
    ]);
    // The base has no OpenSSL: without it the native client does not load, and `auto` would take the other one without a word.
    expect(image).toMatch(/apt-get install .*ca-certificates libssl3/);
    expect(image).toContain(`require('node-rdkafka')`);
  });
});

const { reason } = loadRdkafka();
if (reason !== undefined) console.log(`skipping the pruning of node-rdkafka: ${reason}`);

describe.skipIf(reason !== undefined)('what the image keeps of node-rdkafka', () => {
  const prune = (folder: string) =>
    spawnSync(process.execPath, [join(root, 'docs/deploy/image/prune-modules.mjs'), folder], { encoding: 'utf8' });

  /** As `npm rebuild` leaves it, but for most of librdkafka's 540 MB: a part of each kind stands for the rest. */
  async function copied(): Promise<string> {
    const folder = join(await tempDir(), 'node_modules');
    const from = join(root, 'node_modules');
    for (const name of ['bindings', 'file-uri-to-path', 'nan']) cpSync(join(from, name), join(folder, name), { recursive: true });
    const own = ['package.json', 'librdkafka.js', 'lib', 'src', 'binding.gyp', 'LICENSE.txt', 'build/Release/node-librdkafka.node'];
    const native = ['build/deps/librdkafka.so.1', 'build/deps/librdkafka++.so.1', 'deps/librdkafka/LICENSES.txt'];
    for (const path of [...own, ...native]) {
      cpSync(join(from, 'node-rdkafka', path), join(folder, 'node-rdkafka', path), { recursive: true });
    }
    for (const path of ['build/deps/librdkafka.a', 'deps/librdkafka/src/rdkafka.c', 'build/Release/obj.target/x.o']) {
      mkdirSync(join(folder, 'node-rdkafka', path, '..'), { recursive: true });
      writeFileSync(join(folder, 'node-rdkafka', path), 'x');
    }
    return folder;
  }

  test('is a few MB, has its licences, loads, and says of a broker that is not there that it is not', async () => {
    const folder = await copied();
    const { status, stdout, stderr } = prune(folder);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/-> \d\.\d MB; librdkafka 2\.\d+\.\d+ loads \(gzip snappy/);
    const there = (path: string) => existsSync(join(folder, 'node-rdkafka', path));
    expect(['LICENSE.txt', 'deps/librdkafka/LICENSES.txt', 'lib/index.js'].map(there)).toEqual([true, true, true]);
    const gone = ['src', 'binding.gyp', 'build/deps/librdkafka.a', 'deps/librdkafka/src', 'build/Release/obj.target'];
    expect(gone.map(there)).toEqual(gone.map(() => false));
    expect(existsSync(join(folder, 'nan'))).toBe(false);
    expect(statSync(join(folder, 'node-rdkafka/build/deps/librdkafka.so.1')).size).toBeLessThan(5e6);

    const [port] = await freePorts(1);
    const script = `
      const { Producer } = require(${JSON.stringify(join(folder, 'node-rdkafka'))});
      const producer = new Producer({ 'metadata.broker.list': '127.0.0.1:${port}', 'socket.connection.setup.timeout.ms': 1000 });
      producer.on('event.error', () => {});
      producer.connect({ timeout: 300 }, (error) => { console.log(error.message); process.exit(0); });`;
    const asked = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 15_000 });
    expect(asked.stdout).toMatch(/broker transport failure|timed out/i);
  });

  test('a package that was not compiled is refused, and so is one that does not load', async () => {
    const folder = await copied();
    rmSync(join(folder, 'bindings'), { recursive: true });
    expect(prune(folder)).toMatchObject({ status: 1, stderr: expect.stringContaining('does not load') });
    rmSync(join(folder, 'node-rdkafka/build'), { recursive: true });
    expect(prune(folder)).toMatchObject({ status: 1, stderr: expect.stringContaining('npm rebuild node-rdkafka') });
  });
});
