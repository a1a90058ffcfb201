import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { createStdinSource } from '../../../../src/source/file/stdin.ts';
import { boundedSourceLaws, Collector, numbered, type SourceHarness, sourceLaws } from '../../../contracts/source-laws.ts';

async function harness(): Promise<SourceHarness> {
  const input = new PassThrough();
  return {
    partitions: ['stdin'],
    source: () => createStdinSource({ input, dataset: 'app' }),
    write: async (_partition, lines) => {
      if (!input.destroyed) input.write(Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1'));
    },
    end: async () => {
      input.end();
    },
    dispose: async () => {
      input.destroy();
    },
  };
}

sourceLaws('stdin', harness, { notRepeatable: 'a pipe cannot be read again' });
boundedSourceLaws('stdin', harness);

test('the last line without a newline comes at the end of input', async () => {
  const into = new Collector();
  await createStdinSource({ input: Readable.from([Buffer.from('one\r\ntw'), Buffer.from('o')]), dataset: 'app' }).run({}, into);
  expect(into.received.map(({ text, offset }) => ({ text, offset }))).toEqual([
    { text: 'one', offset: 0 },
    { text: 'two', offset: 5 },
  ]);
  expect(into.endedKeys).toEqual(['stdin/0']);
});

test('after a restart numbers go on where they stood', async () => {
  const into = new Collector();
  await createStdinSource({ input: Readable.from([Buffer.from('one\n')]), dataset: 'app' }).run({ 'stdin/0': 100 }, into);
  expect(into.received[0]!.offset).toBe(100);
});

test('a stream slower than its reader is not read ahead of a pending batch', async () => {
  let asked = 0;
  const input = new Readable({
    highWaterMark: 1024,
    read() {
      asked++;
      this.push(Buffer.from(`${'x'.repeat(1000)}\n`));
    },
  });
  const into = new Collector();
  into.hold();
  const source = createStdinSource({ input, dataset: 'app' });
  const run = source.run({}, into);
  await into.until('a batch', () => into.batches === 1);
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBeLessThan(10);
  void source.stop();
  into.release();
  await run;
});

test('lines that went by too long ago read as null, recent ones as they were', async () => {
  const lines = numbered('line', 2000);
  const source = createStdinSource({
    input: Readable.from(lines.map((line) => Buffer.from(`${line}\n`))),
    dataset: 'app',
    maxRecentBytes: 1200,
  });
  const into = new Collector();
  await source.run({}, into);
  expect(await source.read('stdin', 0, 0)).toBeNull();
  const last = into.received.at(-1)!;
  expect(Buffer.from((await source.read('stdin', 0, last.offset))!).toString()).toBe(last.text);
  // The middle of a line is not a record.
  expect(await source.read('stdin', 0, last.offset + 1)).toBeNull();
});

test('a read error is told as a dependency that failed, with the place', async () => {
  const input = new PassThrough();
  const into = new Collector();
  const run = createStdinSource({ input, dataset: 'app' }).run({}, into);
  input.write('one\n');
  await into.until('a line', () => into.received.length === 1);
  input.destroy(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' }));
  await expect(run).rejects.toThrow('stdin cannot be read after byte 4: EIO: i/o error, read');
});
