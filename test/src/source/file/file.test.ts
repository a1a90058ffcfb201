import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { DependencyError, UsageError } from '../../../../src/errors.ts';
import { createFileSource } from '../../../../src/source/file/file.ts';
import type { FileSourceOptions } from '../../../../src/source/file/file-options.ts';
import { boundedSourceLaws, Collector, numbered, positionsAfter, type SourceHarness, sourceLaws } from '../../../contracts/source-laws.ts';
import { makeTempDir, tempDir } from '../../../support/temp-dir.ts';

function harness(options: Partial<FileSourceOptions>, encode?: (text: Buffer) => Buffer) {
  return async (): Promise<SourceHarness> => {
    const dir = await makeTempDir();
    const name = (partition: string) => join(dir, `${partition}.log${encode ? '.gz' : ''}`);
    return {
      partitions: ['web-1', 'web-2', 'worker'],
      source: () => createFileSource({ path: `*.log${encode ? '.gz' : ''}`, cwd: dir, dataset: 'app', pollMs: 20, ...options }),
      write: async (partition, lines) => {
        const text = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');
        await appendFile(name(partition), encode ? encode(text) : text);
      },
      end: options.follow ? undefined : async () => {},
      dispose: () => rm(dir, { recursive: true, force: true }),
    };
  };
}

sourceLaws('files', harness({}));
boundedSourceLaws('files', harness({}));
sourceLaws('gzip files', harness({}, gzipSync));
boundedSourceLaws('gzip files', harness({}, gzipSync));
sourceLaws('followed files', harness({ follow: true }));
sourceLaws('followed files without file events', harness({ follow: true, watch: false }));

async function readAll(options: FileSourceOptions, positions = {}): Promise<Collector> {
  const into = new Collector();
  await createFileSource(options).run(positions, into);
  return into;
}

test('offsets are the byte where a line begins, with CRLF, blank lines and bytes that are not UTF-8', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'a.log'), Buffer.from('one\r\n\n\xff\xfe\nlast without end', 'latin1'));
  const into = await readAll({ path: 'a.log', cwd, dataset: 'app' });
  expect(into.received.map(({ key, offset, text }) => [key, offset, text])).toEqual([
    ['a.log/0', 0, 'one'],
    ['a.log/0', 5, ''],
    ['a.log/0', 6, '\xff\xfe'],
    ['a.log/0', 9, 'last without end'],
  ]);
});

test('a last line without a newline is not read again after a restart', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'a.log'), 'one\ntwo');
  const into = await readAll({ path: 'a.log', cwd, dataset: 'app' });
  const again = await readAll({ path: 'a.log', cwd, dataset: 'app' }, positionsAfter(into.received));
  expect(again.texts()).toEqual([]);
  expect(again.endedKeys).toEqual(['a.log/0']);
});

test('a line over the limit comes cut and says so; it reads again as it came', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'a.log'), `${'x'.repeat(2_000_000)}\nnext\n`);
  const records: { length: number; cutFromBytes?: number }[] = [];
  const source = createFileSource({ path: 'a.log', cwd, dataset: 'app' });
  await source.run(
    {},
    {
      partitions: () => {},
      ended: () => {},
      revoked: async () => {},
      batch: async (batch) => {
        for (const record of batch.records) records.push({ length: record.value!.length, cutFromBytes: record.cutFromBytes });
      },
    },
  );
  expect(records).toEqual([
    { length: 1_048_576, cutFromBytes: 2_000_000 },
    { length: 4, cutFromBytes: undefined },
  ]);
  expect((await source.read('a.log', 0, 0))!.length).toBe(1_048_576);
  expect(Buffer.from((await source.read('a.log', 0, 2_000_001))!).toString()).toBe('next');
});

test('gzip is told by its first bytes too, several members are one stream, and samples are read from it', async () => {
  const cwd = await tempDir();
  const lines = numbered('packed', 30_000);
  const text = lines.map((line) => `${line}\n`);
  await writeFile(join(cwd, 'odd-name'), Buffer.concat([gzipSync(text.slice(0, 100).join('')), gzipSync(text.slice(100).join(''))]));
  const source = createFileSource({ path: 'odd-name', cwd, dataset: 'app' });
  const into = new Collector();
  await source.run({}, into);
  expect(into.texts()).toEqual(lines);
  const sample = into.received[25_000]!;
  expect(Buffer.from((await source.read('odd-name', 0, sample.offset))!).toString()).toBe(sample.text);
  expect(await source.read('odd-name', 0, sample.offset + 1)).toBeNull();
});

test('a damaged gzip gives what came before the damage, then the run fails and names it; the other files are read', async () => {
  const cwd = await tempDir();
  const random = numbered('line', 50_000).map((line, index) => `${line} ${(index * 2_654_435_761) % 4_294_967_296}\n`);
  const packed = gzipSync(random.join(''));
  await writeFile(join(cwd, 'a.log.gz'), packed.subarray(0, Math.floor(packed.length / 2)));
  await writeFile(join(cwd, 'b.log'), 'whole\n');
  const into = new Collector();
  const run = createFileSource({ path: '*', cwd, dataset: 'app' }).run({}, into);
  await expect(run).rejects.toThrow(DependencyError);
  await expect(run).rejects.toThrow(/a\.log\.gz: damaged gzip after byte \d+ \(unexpected end of file\): what came before was read/);
  expect(into.texts('a.log.gz/0').length).toBeGreaterThan(10_000);
  expect(into.texts('b.log/0')).toEqual(['whole']);
  expect(into.endedKeys).toContain('a.log.gz/0');
});

test('the files of a rotated log come oldest first, one after the other, each announced before the one before it ends', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'app.log'), 'newest\n');
  await writeFile(join(cwd, 'app.log.1'), 'third\n');
  await writeFile(join(cwd, 'app.log.2.gz'), gzipSync('second\n'));
  await writeFile(join(cwd, 'app.log.10.gz'), gzipSync('first\n'));
  await writeFile(join(cwd, 'db-2026-11-02.log'), 'tuesday\n');
  await writeFile(join(cwd, 'db-2026-11-01.log'), 'monday\n');
  const events: string[] = [];
  await createFileSource({ path: '*', cwd, dataset: 'app' }).run(
    {},
    {
      partitions: (keys) => events.push(`+${keys.join(' +')}`),
      ended: (key) => events.push(`-${key}`),
      revoked: async () => {},
      batch: async (batch) => {
        for (const record of batch.records) events.push(Buffer.from(record.value!).toString());
      },
    },
  );
  expect(events[0]).toBe('+app.log.10.gz/0 +db-2026-11-01.log/0');
  expect(events.filter((event) => !/^[+-]|day/.test(event))).toEqual(['first', 'second', 'third', 'newest']);
  expect(events.filter((event) => /^\w+day$/.test(event))).toEqual(['monday', 'tuesday']);
  const app = events.filter((event) => event.includes('app.log.'));
  expect(app).toEqual([
    '+app.log.10.gz/0 +db-2026-11-01.log/0',
    '+app.log.2.gz/0',
    '-app.log.10.gz/0',
    '+app.log.1/0',
    '-app.log.2.gz/0',
    '-app.log.1/0',
  ]);
  expect(events.indexOf('+app.log/0')).toBeLessThan(events.indexOf('-app.log.1/0'));
});

test('logs side by side take turns by the share that was read, the same in every run', async () => {
  const cwd = await tempDir();
  const write = (name: string, count: number) =>
    writeFile(
      join(cwd, name),
      numbered(name, count)
        .map((line) => `${line}\n`)
        .join(''),
    );
  await write('busy.log', 40_000);
  await write('quiet.log', 10_000);
  const first = await readAll({ path: '*.log', cwd, dataset: 'app' });
  const second = await readAll({ path: '*.log', cwd, dataset: 'app' });
  expect(second.received).toEqual(first.received);
  // When half of all lines were read, half of each log was, give or take a batch.
  const half = first.received.slice(0, 25_000);
  expect(Math.abs(half.filter((record) => record.topic === 'quiet.log').length - 5000)).toBeLessThanOrEqual(1000);
});

test('nothing that matches is a mistake of the user, told with the pattern', async () => {
  const cwd = await tempDir();
  const none = readAll({ path: 'logs/*.log', cwd, dataset: 'app' });
  await expect(none).rejects.toThrow(UsageError);
  await expect(none).rejects.toThrow(/logs\/\*\.log: no file in .* matches/);
  const missing = readAll({ path: ['no.log', 'neither.log'], cwd, dataset: 'app' });
  await expect(missing).rejects.toThrow(/no\.log: no such file[\s\S]*neither\.log: no such file/);
});

test('a folder is refused with how to name the files in it', async () => {
  const cwd = await tempDir();
  await mkdir(join(cwd, 'logs'));
  await expect(readAll({ path: 'logs', cwd, dataset: 'app' })).rejects.toThrow('logs: is a folder: name the files in it');
});

test('a folder that may not be read is an error, not an empty folder', async ({ skip }) => {
  if (process.geteuid?.() !== 0) return skip('needs root, to become a user who may not read');
  const cwd = await tempDir();
  await mkdir(join(cwd, 'secret'), { mode: 0o700 });
  await writeFile(join(cwd, 'open.log'), 'line\n');
  await import('node:fs/promises').then((fs) => fs.chmod(cwd, 0o755));
  process.seteuid!(65_534);
  try {
    const run = readAll({ path: '**/*.log', cwd, dataset: 'app' });
    await expect(run).rejects.toThrow(DependencyError);
    await expect(run).rejects.toThrow(/the folder .*secret\/? cannot be read \(EACCES\)/);
  } finally {
    process.seteuid!(0);
  }
});

test('a file that goes away after it was listed is named at the end, and the others are read', async () => {
  const cwd = await tempDir();
  for (const name of ['a.log', 'b.log', 'c.log'])
    await writeFile(
      join(cwd, name),
      numbered(name, 3000)
        .map((line) => `${line}\n`)
        .join(''),
    );
  const into = new Collector();
  into.hold();
  const run = createFileSource({ path: '*.log', cwd, dataset: 'app' }).run({}, into);
  await into.until('the first batch', () => into.batches === 1);
  await rm(join(cwd, 'a.log'));
  await rm(join(cwd, 'c.log'));
  into.release();
  await expect(run).rejects.toThrow(/^c\.log: gone before it could be read$/);
  // It was open: what is open can be read although its name is gone.
  expect(into.texts('a.log/0').length).toBe(3000);
  expect(into.texts('b.log/0').length).toBe(3000);
});

test('a file shorter than what was read of it is refused: it is another file', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'a.log'), 'short\n');
  await expect(readAll({ path: 'a.log', cwd, dataset: 'app' }, { 'a.log/0': 100 })).rejects.toThrow(
    'a.log: cannot be read: 6 bytes long where 100 were read before: it was replaced',
  );
});

test('a name with glob characters in it is that file, where it exists', async () => {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'copy (1) [x].log'), 'line\n');
  expect((await readAll({ path: 'copy (1) [x].log', cwd, dataset: 'app' })).texts()).toEqual(['line']);
});

test('topics outside the working folder are absolute, inside it relative', async () => {
  const cwd = await tempDir();
  await mkdir(join(cwd, 'in'));
  await writeFile(join(cwd, 'out.log'), 'line\n');
  await writeFile(join(cwd, 'in', 'in.log'), 'line\n');
  const into = await readAll({ path: ['../out.log', 'in.log'], cwd: join(cwd, 'in'), dataset: 'app' });
  expect([...into.announced].sort()).toEqual([`${join(cwd, 'out.log')}/0`, 'in.log/0']);
});

test('a named pipe is read like a file', async () => {
  const cwd = await tempDir();
  const { execFileSync } = await import('node:child_process');
  execFileSync('mkfifo', [join(cwd, 'pipe')]);
  const [into] = await Promise.all([readAll({ path: 'pipe', cwd, dataset: 'app' }), writeFile(join(cwd, 'pipe'), 'one\ntwo')]);
  expect(into.texts()).toEqual(['one', 'two']);
});
