import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DependencyError } from '../../../src/errors.ts';
import { createDeadLetterFile, type DeadRecord } from '../../../src/sink/dead-letter.ts';
import { withSmallDisk } from '../../support/small-disk.ts';
import { tempDir } from '../../support/temp-dir.ts';

const now = () => Date.UTC(2026, 10, 2, 10, 0, 0);

function record(offset: number, value: Uint8Array | string | null = 'not json', rest: Partial<DeadRecord> = {}): DeadRecord {
  return {
    topic: 'logs',
    partition: 3,
    offset,
    reason: 'bad_json',
    value: typeof value === 'string' ? Buffer.from(value) : value,
    ...rest,
  };
}

async function entries(path: string): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a record is kept with its place, reason, time and bytes', async () => {
  const path = join(await tempDir(), 'data', 'dead-letter.jsonl');
  const dead = createDeadLetterFile({ path, now });
  await dead.open();
  const bytes = Buffer.from([0xff, 0x00, 0x0a, 0xc3]);
  await dead.write([record(1, 'caf\u00e9 \u001b[31m "q"\n'), record(2, bytes), record(3, null, { reason: 'empty' })]);
  await dead.write([record(4, 'x', { reason: 'too_long', cutFromBytes: 5_000_000 })]);
  await dead.close();
  const place = { topic: 'logs', partition: 3, time: '2026-11-02T10:00:00.000Z' };
  expect(await entries(path)).toEqual([
    { ...place, offset: 1, reason: 'bad_json', text: 'caf\u00e9 \u001b[31m "q"\n' },
    { ...place, offset: 2, reason: 'bad_json', base64: bytes.toString('base64') },
    { ...place, offset: 3, reason: 'empty', text: null },
    { ...place, offset: 4, reason: 'too_long', cutFromBytes: 5_000_000, text: 'x' },
  ]);
});

test('a value that is reused after the write was handed in is kept as it was', async () => {
  const path = join(await tempDir(), 'dead-letter.jsonl');
  const dead = createDeadLetterFile({ path, now });
  await dead.open();
  const value = Buffer.from('first');
  const written = dead.write([record(1, value)]);
  await written;
  value.fill(0);
  await dead.close();
  expect((await entries(path))[0]!.text).toBe('first');
});

test('a full file makes room by moving to .1, so that at most about twice the limit is kept', async () => {
  const path = join(await tempDir(), 'dead-letter.jsonl');
  const dead = createDeadLetterFile({ path, now, maxBytes: 2000 });
  await dead.open();
  await Promise.all(Array.from({ length: 100 }, (_, index) => dead.write([record(index)])));
  expect(dead.health().ok).toBe(true);
  expect(dead.health().reason).toMatch(/^\d+ times the oldest 2000 bytes were let go$/);
  await dead.close();
  expect((await stat(path)).size).toBeLessThanOrEqual(2000);
  expect((await stat(`${path}.1`)).size).toBeLessThanOrEqual(2000);
  const offsets = [...(await entries(`${path}.1`)), ...(await entries(path))].map((entry) => entry.offset as number);
  expect(offsets.at(-1)).toBe(99);
  expect(offsets).toEqual(Array.from({ length: offsets.length }, (_, index) => 100 - offsets.length + index));
});

test('the size of what is there counts when it is opened again, and a torn line is cut', async () => {
  const path = join(await tempDir(), 'dead-letter.jsonl');
  const first = createDeadLetterFile({ path, now, maxBytes: 300 });
  await first.open();
  await first.write([record(1), record(2)]);
  await first.close();
  await writeFile(path, `${await readFile(path, 'utf8')}{"topic":"lo`);
  const again = createDeadLetterFile({ path, now, maxBytes: 300 });
  await again.open();
  await again.write([record(3)]);
  await again.close();
  expect((await entries(`${path}.1`)).map((entry) => entry.offset)).toEqual([1, 2]);
  expect((await entries(path)).map((entry) => entry.offset)).toEqual([3]);
});

test('a full disk is retried with a bound, then the write fails and health says why', async ({ skip }) => {
  await withSmallDisk(skip, async (disk) => {
    const path = join(disk, 'dead-letter.jsonl');
    const dead = createDeadLetterFile({ path, now, retryDelaysMs: [1, 1] });
    await dead.open();
    await dead.write([record(1)]);
    await writeFile(join(disk, 'ballast'), Buffer.alloc(50 * 1024));
    await expect(dead.write([record(2, 'x'.repeat(30_000))])).rejects.toThrow(DependencyError);
    expect(dead.health()).toMatchObject({ ok: false, retries: 2 });
    expect(dead.health().reason).toMatch(/the disk is full/);
    await rm(join(disk, 'ballast'));
    await dead.write([record(3)]);
    expect((await entries(path)).map((entry) => entry.offset)).toEqual([1, 3]);
    await dead.close();
  });
});
