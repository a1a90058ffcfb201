import { spawn } from 'node:child_process';
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { findingJson } from '../../../processors/detect/ocsf.ts';
import { DependencyError, UsageError } from '../../../src/errors.ts';
import { createFileSink, createStdoutSink, OutputClosedError } from '../../../src/sink/ndjson.ts';
import { type SinkHarness, sampleFinding, sinkLaws } from '../../contracts/sink-laws.ts';
import { withSmallDisk } from '../../support/small-disk.ts';
import { makeTempDir, tempDir } from '../../support/temp-dir.ts';

function storedIn(text: string): { id: string; sequence: number }[] {
  const lines = text.split('\n');
  // Every line is whole: the text ends after a newline.
  expect(lines.pop()).toBe('');
  return lines.map((line) => {
    const finding = JSON.parse(line) as { finding_info: { uid: string }; metadata: { sequence: number } };
    return { id: finding.finding_info.uid, sequence: finding.metadata.sequence };
  });
}

sinkLaws('file', async (): Promise<SinkHarness> => {
  const dir = await makeTempDir();
  const path = join(dir, 'made', 'findings.jsonl');
  return {
    sink: () => createFileSink({ path }),
    stored: async () => storedIn(await readFile(path, 'utf8')),
    dispose: () => rm(dir, { recursive: true, force: true }),
  };
});

sinkLaws('stdout', async (): Promise<SinkHarness> => {
  let text = '';
  const output = new Writable({
    highWaterMark: 10,
    write(chunk, _encoding, done) {
      text += String(chunk);
      setImmediate(done);
    },
  });
  return { sink: () => createStdoutSink({ output }), stored: async () => storedIn(text), dispose: async () => {} };
});

const line = (index: number) => `${findingJson(sampleFinding(index))}\n`;

test('what was written past the mark is found in a file that was rotated since, and in a last line that only lacks its end', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const killed = createFileSink({ path });
  await killed.open();
  await killed.write([sampleFinding(1)]);
  const mark = await killed.mark?.();
  await killed.write([sampleFinding(2)]);
  await killed.close();
  // Longer than the mark says: only that it is another file tells that all of it is past the mark.
  await rename(path, `${path}.1`);
  await writeFile(path, line(3) + line(4) + line(5).trimEnd());
  const next = createFileSink({ path });
  await next.open();
  await next.resume?.(mark);
  await next.write([2, 3, 4, 5, 6].map((index) => sampleFinding(index)));
  await next.close();
  expect(await readFile(path, 'utf8')).toBe([3, 4, 5, 2, 6].map(line).join(''));
});

test('wherever a crash tore the last line, it is cut and the lines before it stay', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const last = Buffer.from(line(2));
  const lengths = [...Array(40).keys(), last.length - 3, last.length - 2];
  for (const length of lengths) {
    await writeFile(path, Buffer.concat([Buffer.from(line(1)), last.subarray(0, length)]));
    const sink = createFileSink({ path });
    await sink.open();
    await sink.write([sampleFinding(3)]);
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(line(1) + line(3));
  }
});

test('a last line that only lacks its newline is kept', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  await writeFile(path, line(1) + line(2).trimEnd());
  const sink = createFileSink({ path });
  await sink.open();
  await sink.write([sampleFinding(3)]);
  await sink.close();
  expect(await readFile(path, 'utf8')).toBe(line(1) + line(2) + line(3));
});

test('a torn line longer than one look back, and the NUL bytes of a power loss, are cut', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  for (const torn of [`{"long":"${'x'.repeat(200_000)}`, '\0'.repeat(4096)]) {
    await writeFile(path, line(1) + torn);
    const sink = createFileSink({ path });
    await sink.open();
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(line(1));
  }
});

test('a file that is not ours is refused and left as it is', async () => {
  const path = join(await tempDir(), 'notes.txt');
  await writeFile(path, 'dear diary');
  const open = createFileSink({ path }).open();
  await expect(open).rejects.toThrow(UsageError);
  await expect(open).rejects.toThrow(/notes\.txt: ends in "dear diary", not in a line of JSON: name another path/);
  expect(await readFile(path, 'utf8')).toBe('dear diary');
});

test('a device takes findings like a file', async () => {
  const sink = createFileSink({ path: '/dev/null' });
  await sink.open();
  await sink.write([sampleFinding(1)]);
  await sink.close();
  expect(sink.health()).toEqual({ ok: true, retries: 0 });
});

test('a path that cannot be opened is told with the reason', async () => {
  const dir = await tempDir();
  await mkdir(join(dir, 'findings.jsonl'));
  await expect(createFileSink({ path: join(dir, 'findings.jsonl') }).open()).rejects.toThrow(DependencyError);
});

test('a file that a log rotation empties is written from its new end', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const sink = createFileSink({ path });
  await sink.open();
  await sink.write([sampleFinding(1)]);
  await writeFile(path, '');
  await sink.write([sampleFinding(2)]);
  await sink.close();
  expect(await readFile(path, 'utf8')).toBe(line(2));
});

test('a full disk is retried, then told, and leaves no half line; once there is room the next write succeeds', async ({ skip }) => {
  await withSmallDisk(skip, async (disk) => {
    const path = join(disk, 'findings.jsonl');
    const sink = createFileSink({ path, retryDelaysMs: [1, 1, 1] });
    await sink.open();
    await sink.write([sampleFinding(0)]);
    await writeFile(join(disk, 'ballast'), Buffer.alloc(40 * 1024));
    const many = Array.from({ length: 100 }, (_, index) => sampleFinding(index + 1));
    const write = sink.write(many);
    await expect(write).rejects.toThrow(DependencyError);
    await expect(write).rejects.toThrow(/findings\.jsonl: the disk is full; gave up after 4 tries/);
    expect(sink.health()).toMatchObject({ ok: false, retries: 3 });
    expect(await readFile(path, 'utf8')).toBe(line(0));
    await rm(join(disk, 'ballast'));
    await sink.write([sampleFinding(200)]);
    expect(sink.health().ok).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(line(0) + line(200));
    await sink.close();
  });
});

test('room that comes back during the retries saves the write', async ({ skip }) => {
  await withSmallDisk(skip, async (disk) => {
    const path = join(disk, 'findings.jsonl');
    await writeFile(join(disk, 'ballast'), Buffer.alloc(60 * 1024));
    const sink = createFileSink({ path, retryDelaysMs: Array(200).fill(20) });
    await sink.open();
    const write = sink.write(Array.from({ length: 20 }, (_, index) => sampleFinding(index)));
    await expect.poll(() => sink.health().ok).toBe(false);
    await rm(join(disk, 'ballast'));
    await write;
    expect(storedIn(await readFile(path, 'utf8')).length).toBe(20);
    expect(sink.health().ok).toBe(true);
    await sink.close();
  });
});

test('a reader of stdout that goes away is a clean end, not a failure', async () => {
  const reader = spawn('head', ['-c', '1'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const sink = createStdoutSink({ output: reader.stdin });
  await sink.open();
  const writeUntilClosed = async (): Promise<void> => {
    for (;;) await sink.write([sampleFinding(1)]);
  };
  await expect(writeUntilClosed()).rejects.toThrow(OutputClosedError);
  // It stays so, and says so.
  await expect(sink.write([sampleFinding(2)])).rejects.toThrow('stdout was closed by its reader');
  expect(sink.health().ok).toBe(false);
});

test('any other failure of stdout is a dependency that failed', async () => {
  const output = new PassThrough();
  const sink = createStdoutSink({ output });
  await sink.open();
  output.destroy(Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' }));
  await expect.poll(() => sink.health().ok).toBe(false);
  await expect(sink.write([sampleFinding(1)])).rejects.toThrow(DependencyError);
});

test('a write that is not awaited before the next does not mix lines', async () => {
  const path = join(await tempDir(), 'findings.jsonl');
  const sink = createFileSink({ path, fsync: false });
  await sink.open();
  await Promise.all(Array.from({ length: 300 }, (_, index) => sink.write([sampleFinding(index)])));
  await appendFile(path, '');
  await sink.close();
  expect(storedIn(await readFile(path, 'utf8')).map(({ id }) => id)).toEqual(
    Array.from({ length: 300 }, (_, index) => sampleFinding(index).id),
  );
});
