import { appendFile, chmod, copyFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { createFileSource } from '../../../../src/source/file/file.ts';
import type { FileSourceOptions } from '../../../../src/source/file/file-options.ts';
import type { Source } from '../../../../src/source/source.ts';
import { Collector, numbered, positionsAfter } from '../../../contracts/source-laws.ts';
import { tempDir } from '../../../support/temp-dir.ts';

interface Followed {
  into: Collector;
  source: Source;
  stop(): Promise<void>;
}

function follow(cwd: string, path: string, positions = {}, options: Partial<FileSourceOptions> = {}): Followed {
  const source = createFileSource({ path, cwd, dataset: 'app', follow: true, pollMs: 20, rotateWaitMs: 60, ...options });
  const into = new Collector();
  const run = source.run(positions, into);
  run.catch(() => {});
  const stop = async (): Promise<void> => {
    await source.stop();
    await run;
  };
  onTestFinished(stop);
  return { into, source, stop };
}

const count = (followed: Followed, records: number) =>
  followed.into.until(`${records} records`, () => followed.into.received.length >= records);
/** Enough lines that no two logs begin with the same kilobyte. */
const block = (name: string) =>
  numbered(name, 100)
    .map((line) => `${line}\n`)
    .join('');

/** A log of a hundred lines, followed and read so far. */
async function followedLog(pattern: string, options: Partial<FileSourceOptions> = {}) {
  const cwd = options.cwd ?? (await tempDir());
  const log = join(cwd, 'app.log');
  await writeFile(log, block('first'));
  const followed = follow(cwd, pattern, {}, options);
  await count(followed, 100);
  return { cwd, log, followed };
}

test('appended lines come as they are written, half lines only when they are whole', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'app.log'), 'one\ntw');
  const followed = follow(cwd, '*.log');
  await count(followed, 1);
  await appendFile(join(cwd, 'app.log'), 'o\r\nthree\n');
  await count(followed, 3);
  expect(followed.into.received.map(({ offset, text }) => [offset, text])).toEqual([
    [0, 'one'],
    [4, 'two'],
    [9, 'three'],
  ]);
  expect(followed.into.broken).toEqual([]);
});

test('files that appear later are followed from their beginning', async () => {
  const cwd = await tempDir();
  const followed = follow(cwd, '**/*.log');
  await appendFile(join(cwd, 'late.log'), 'hello\n');
  await count(followed, 1);
  expect(followed.into.received[0]!.key).toBe('late.log/0');
  await followed.stop();
  expect(followed.into.broken).toEqual([]);
});

test('a source without files yet says so and waits', async () => {
  const cwd = await tempDir();
  const followed = follow(cwd, 'none-*.log');
  await expect.poll(() => followed.source.health()).toEqual({ ok: true, reason: 'no file matches none-*.log yet' });
});

for (const pattern of ['app.log', 'app.log*']) {
  test(`rotation by rename loses and repeats nothing, with ${pattern}`, async () => {
    const { log, followed } = await followedLog(pattern);
    await appendFile(log, 'before the rename\n');
    await rename(log, `${log}.1`);
    // The writer still has the old file open, and writes a last half line.
    await appendFile(`${log}.1`, 'after the rename\nhalf');
    await writeFile(log, block('second'));
    await followed.into.until('the old generation to end', () => followed.into.endedKeys.includes('app.log/0'));
    await count(followed, 203);
    expect(followed.into.texts('app.log/0')).toEqual([...numbered('first', 100), 'before the rename', 'after the rename', 'half']);
    expect(followed.into.texts('app.log/1')).toEqual(numbered('second', 100));
    // A second rotation.
    await rename(`${log}.1`, `${log}.2`);
    await rename(log, `${log}.1`);
    await writeFile(log, block('third'));
    await followed.into.until('the third generation', () => followed.into.texts('app.log/2').length === 100);
    expect(followed.into.received.length).toBe(303);
    expect(followed.into.broken).toEqual([]);
    // Samples of the generation before are read from where it is now.
    const old = followed.into.received[5]!;
    expect(Buffer.from((await followed.source.read(old.topic, old.partition, old.offset))!).toString()).toBe(old.text);
  });
}

test('truncation starts the next generation at byte 0', async () => {
  const { log, followed } = await followedLog('*.log');
  await truncate(log, 0);
  await appendFile(log, 'fresh\n');
  await count(followed, 101);
  expect(followed.into.received.at(-1)).toMatchObject({ key: 'app.log/1', offset: 0, text: 'fresh' });
  expect(followed.into.endedKeys).toEqual(['app.log/0']);
  expect(followed.into.broken).toEqual([]);
  // The bytes of the first generation are gone, and other bytes are not passed off as theirs.
  expect(await followed.source.read('app.log', 0, 0)).toBeNull();
});

test('a copy made by copytruncate or gzip is not read as new lines', async () => {
  const { log, followed } = await followedLog('app.log*');
  await copyFile(log, `${log}.1`);
  await truncate(log, 0);
  await writeFile(`${log}.2.gz`, gzipSync(block('first')));
  await appendFile(log, 'fresh\n');
  await count(followed, 101);
  // A file that is new, listed after the copies, and read: so the copies were looked at.
  await writeFile(`${log}.3.gz`, gzipSync(block('other')));
  await count(followed, 201);
  // By the time a later line comes, everything that was listed with it has been read.
  await appendFile(log, 'later\n');
  await count(followed, 202);
  expect(followed.into.texts('app.log.3.gz/0').length).toBe(100);
  // The first generation's own bytes are gone; its samples come from the copy.
  expect(Buffer.from((await followed.source.read('app.log', 0, 0))!).toString()).toBe('first 000000');
  expect([...new Set(followed.into.received.map((record) => record.key))]).toEqual(['app.log/0', 'app.log/1', 'app.log.3.gz/0']);
  expect(followed.into.broken).toEqual([]);
});

test('a copy beside a log that goes on changes nothing', async () => {
  const { log, followed } = await followedLog('app.log*');
  await copyFile(log, `${log}.1`);
  await writeFile(`${log}.2`, block('other'));
  await count(followed, 200);
  await appendFile(log, 'later\n');
  await count(followed, 201);
  expect(followed.into.received.map(({ key }) => key)).toEqual([
    ...Array(100).fill('app.log/0'),
    ...Array(100).fill('app.log.2/0'),
    'app.log/0',
  ]);
  expect(followed.into.broken).toEqual([]);
});

test('many followed files share what one process may hold', async () => {
  const cwd = await tempDir();
  const identityFile = join(cwd, 'state', 'files.json');
  for (let i = 0; i < 500; i++) await writeFile(join(cwd, `${i}.log`), `file ${i}\n`);
  const followed = follow(cwd, '*.log', {}, { identityFile });
  await count(followed, 500);
  for (let i = 0; i < 500; i += 50) await appendFile(join(cwd, `${i}.log`), 'more\n');
  await count(followed, 510);
  expect(followed.into.broken).toEqual([]);
});

test('a followed file that may not be read makes the source unhealthy until it may', async ({ skip }) => {
  if (process.geteuid?.() !== 0) return skip('needs root, to become a user who may not read');
  const cwd = await tempDir();
  await chmod(cwd, 0o755);
  await writeFile(join(cwd, 'secret.log'), 'line\n', { mode: 0o600 });
  await writeFile(join(cwd, 'open.log'), 'line\n', { mode: 0o644 });
  process.seteuid!(65_534);
  try {
    const followed = follow(cwd, '*.log');
    await count(followed, 1);
    await expect.poll(() => followed.source.health().ok).toBe(false);
    expect(followed.source.health().reason).toMatch(/^secret\.log: cannot be read: EACCES/);
    process.seteuid!(0);
    await chmod(join(cwd, 'secret.log'), 0o644);
    process.seteuid!(65_534);
    await count(followed, 2);
    expect(followed.source.health()).toEqual({ ok: true });
  } finally {
    process.seteuid!(0);
  }
});

test('identities that cannot be kept stop the source: it could not tell a rotated file after a restart', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'app.log'), 'line\n');
  await writeFile(join(cwd, 'state'), 'a file');
  const source = createFileSource({ path: '*.log', cwd, dataset: 'app', follow: true, identityFile: join(cwd, 'state', 'files.json') });
  await expect(source.run({}, new Collector())).rejects.toThrow(/files\.json cannot be (read|written)/);
});

for (const pattern of ['app.log*', '*.log']) {
  test(`rotated twice while we were down, with ${pattern}: ${pattern === '*.log' ? 'what no pattern names is not found' : 'nothing is lost or repeated'}`, async () => {
    const cwd = await tempDir();
    const identityFile = join(cwd, 'state', 'files.json');
    const { log, followed: before } = await followedLog(pattern, { cwd, identityFile });
    await before.stop();
    const half = before.into.received.slice(0, 50);
    await rename(log, `${log}.1`);
    await appendFile(`${log}.1`, 'rest of the first\n');
    await rename(`${log}.1`, `${log}.2`);
    await writeFile(`${log}.1`, block('second'));
    await writeFile(log, `${block('third')}${block('third is longer')}`);
    const after = follow(cwd, pattern, positionsAfter(half), { identityFile });
    await after.into.until('the third generation', () => after.into.texts().includes('third is longer 000099'));
    const texts = after.into.texts();
    const third = [...numbered('third', 100), ...numbered('third is longer', 100)];
    if (pattern === '*.log') expect(texts).toEqual(third);
    else {
      expect(after.into.texts('app.log/0')).toEqual([...numbered('first', 50, 50), 'rest of the first']);
      expect(texts).toEqual([...numbered('first', 50, 50), 'rest of the first', ...numbered('second', 100), ...third]);
    }
    expect(after.into.received.at(-1)!.key).toBe('app.log/1');
    expect(after.into.broken).toEqual([]);
    await after.stop();
    const everything = positionsAfter([...half, ...after.into.received]);
    await appendFile(log, 'one more\n');
    const last = follow(cwd, pattern, everything, { identityFile });
    await count(last, 1);
    expect(last.into.received.map(({ key, text }) => [key, text])).toEqual([['app.log/1', 'one more']]);
  });
}

test('without kept identities a shorter file is known to be another one', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'app.log'), 'new\n');
  const followed = follow(cwd, '*.log', { 'app.log/3': 500 });
  await count(followed, 1);
  expect(followed.into.received[0]!.key).toBe('app.log/4');
});

test('a followed file that is removed is given up, and one of the same name is the next generation', async () => {
  const cwd = await tempDir();
  const log = join(cwd, 'app.log');
  await writeFile(log, 'one\n');
  const followed = follow(cwd, '*.log');
  await count(followed, 1);
  await rm(log);
  await followed.into.until('its end', () => followed.into.endedKeys.includes('app.log/0'));
  await writeFile(log, 'two\n');
  await count(followed, 2);
  expect(followed.into.received[1]).toMatchObject({ key: 'app.log/1', text: 'two' });
  expect(followed.into.broken).toEqual([]);
});

test('a busy file does not keep a rotated one from being given up, nor a quiet one from being read', async () => {
  const cwd = await tempDir();
  const log = join(cwd, 'app.log');
  await writeFile(log, block('first'));
  await writeFile(join(cwd, 'quiet.log'), 'one\n');
  const followed = follow(cwd, '*.log');
  await count(followed, 101);
  let writing = true;
  const busy = (async () => {
    for (let i = 0; writing; i++) await appendFile(join(cwd, 'busy.log'), `busy ${i}\n`);
  })();
  await rename(log, join(cwd, 'app.old'));
  await appendFile(join(cwd, 'quiet.log'), 'two\n');
  await followed.into.until('the renamed file to end', () => followed.into.endedKeys.includes('app.log/0'));
  await followed.into.until('the quiet file', () => followed.into.texts('quiet.log/0').length === 2);
  writing = false;
  await busy;
  expect(followed.into.broken).toEqual([]);
});

test('samples of followed files are found by a process that does not run them', async () => {
  const cwd = await tempDir();
  const identityFile = join(cwd, 'files.json');
  const { log, followed } = await followedLog('app.log*', { cwd, identityFile });
  await followed.stop();
  await rename(log, `${log}.1`);
  await writeFile(log, block('second'));
  const sample = followed.into.received[42]!;
  const other = createFileSource({ path: 'app.log*', cwd, dataset: 'app', follow: true, identityFile });
  expect(Buffer.from((await other.read('app.log', 0, sample.offset))!).toString()).toBe(sample.text);
  expect(await other.read('app.log', 7, sample.offset)).toBeNull();
});
