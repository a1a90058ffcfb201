import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { partitionKey } from '../../../processors/record.ts';
import { DependencyError } from '../../../src/errors.ts';
import { createQueueLog, type FindingLog } from '../../../src/sink/finding-log.ts';
import type { Source } from '../../../src/source/source.ts';
import { sampleFinding } from '../../contracts/sink-laws.ts';
import { tempDir } from '../../support/temp-dir.ts';

async function opened(dir: string, maxBytes?: number): Promise<FindingLog> {
  const log = createQueueLog({ dir, maxBytes });
  await log.open();
  onTestFinished(() => log.close());
  return log;
}

/** Finding uids the log still has, in order, and how to say that they were shipped. */
async function readAll(log: FindingLog): Promise<{ ids: string[]; source: Source; next: number }> {
  const source = log.source();
  const ids: string[] = [];
  let next = 0;
  if (log.waiting() === 0) return { ids, source, next };
  await source.run(
    {},
    {
      partitions: () => {},
      ended: () => {},
      revoked: async () => {},
      batch: async ({ records }) => {
        for (const { value, offset } of records) {
          ids.push(JSON.parse(Buffer.from(value ?? []).toString()).finding_info.uid);
          next = offset + 1;
        }
        if (ids.length === log.waiting()) await source.stop();
      },
    },
  );
  return { ids, source, next };
}

const three = [1, 2, 3].map((index) => sampleFinding(index));
const idsOf = (indexes: readonly number[]) => indexes.map((index) => sampleFinding(index).id);

test('what was kept is read again after a restart until it was committed, and then no more', async () => {
  const dir = await tempDir();
  const first = await opened(dir);
  await first.keep(three);
  expect(first.waiting()).toBe(3);
  expect((await readAll(first)).ids).toEqual(idsOf([1, 2, 3]));
  await first.close();
  const second = await opened(dir);
  const { ids, source, next } = await readAll(second);
  expect(ids).toEqual(idsOf([1, 2, 3]));
  await source.commit({ [partitionKey(second.name, 0)]: next });
  expect(second.waiting()).toBe(0);
  await second.keep([sampleFinding(4)]);
  await second.close();
  const third = await opened(dir);
  expect((await readAll(third)).ids).toEqual(idsOf([4]));
});

test('a full queue refuses, so that the engine waits, and takes again once something was shipped', async () => {
  const dir = await tempDir();
  const log = await opened(dir, 8_000);
  let kept = 0;
  const fill = async () => {
    for (;;) {
      await log.keep([sampleFinding(kept)]);
      kept++;
    }
  };
  await expect(fill()).rejects.toThrow(DependencyError);
  expect(kept).toBeGreaterThan(2);
  const { ids, source, next } = await readAll(log);
  expect(ids).toEqual(idsOf(Array.from({ length: kept }, (_, index) => index)));
  await source.commit({ [partitionKey(log.name, 0)]: next });
  await log.keep([sampleFinding(kept)]);
});

test('a mark that cannot be read ships all again; a queue that was emptied under its mark goes on after it', async () => {
  const dir = await tempDir();
  const first = await opened(dir);
  await first.keep(three);
  const { source, next } = await readAll(first);
  await source.commit({ [partitionKey(first.name, 0)]: next });
  await first.close();
  expect(JSON.parse(await readFile(join(dir, 'shipped.json'), 'utf8'))).toEqual({ next: 3 });
  await writeFile(join(dir, 'shipped.json'), '{"nex');
  const second = await opened(dir);
  expect((await readAll(second)).ids).toEqual(idsOf([1, 2, 3]));
  await second.close();
  await rm(join(dir, 'queue'), { recursive: true });
  await writeFile(join(dir, 'shipped.json'), '{"next":3}');
  const third = await opened(dir);
  await third.keep([sampleFinding(9)]);
  expect((await readAll(third)).ids).toEqual(idsOf([9]));
});
