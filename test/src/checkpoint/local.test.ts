import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Checkpoint, CheckpointError } from '../../../src/checkpoint/checkpoint.ts';
import { createLocalCheckpoints } from '../../../src/checkpoint/local.ts';
import { DependencyError } from '../../../src/errors.ts';
import { withSmallDisk } from '../../support/small-disk.ts';
import { tempDir } from '../../support/temp-dir.ts';

const checkpoint = (index: number): Checkpoint => ({
  positions: { 'logs/0': index * 10, 'app.log/1': index },
  state: Uint8Array.from({ length: 40 }, (_, at) => (at * 7 + index) & 255),
});
const store = (dir: string, warnings: string[] = [], identity = 'rules 1') =>
  createLocalCheckpoints({ dir, identity, warn: (message) => warnings.push(message), retryDelaysMs: [1, 1] });

test('an empty or missing folder has no checkpoint', async () => {
  const dir = join(await tempDir(), 'state');
  expect(await store(dir).load()).toBeUndefined();
  await mkdir(dir);
  expect(await store(dir).load()).toBeUndefined();
});

test('the newest of many saves is loaded, and two are kept', async () => {
  const dir = join(await tempDir(), 'state');
  const saver = store(dir);
  await Promise.all([1, 2, 3, 4, 5].map((index) => saver.save(checkpoint(index))));
  expect(await store(dir).load()).toEqual(checkpoint(5));
  expect((await readdir(dir)).sort()).toEqual(['checkpoint-000000000004.sgc', 'checkpoint-000000000005.sgc']);
  await store(dir).save(checkpoint(6));
  expect(await store(dir).load()).toEqual(checkpoint(6));
  expect((await readdir(dir)).length).toBe(2);
});

test("where the sinks' findings ended is kept with it; a checkpoint without that is one of before", async () => {
  const dir = await tempDir();
  const marks = { 'kafka:findings': '{"0":17}', 'file:./data/findings.jsonl': '4711' };
  await store(dir).save({ ...checkpoint(1), marks });
  expect((await store(dir).load())!.marks).toEqual(marks);
  await store(dir).save(checkpoint(2));
  expect((await store(dir).load())!.marks).toBeUndefined();
});

test('the state that is saved is the one that was handed in, also when its memory is reused right away', async () => {
  const dir = await tempDir();
  const state = new Uint8Array([1, 2, 3]);
  const saver = store(dir);
  const saved = saver.save({ positions: {}, state });
  state.fill(9);
  await saved;
  expect((await store(dir).load())!.state).toEqual(new Uint8Array([1, 2, 3]));
});

test('a crash at any byte of a save leaves the checkpoint before it', async () => {
  const dir = await tempDir();
  await store(dir).save(checkpoint(1));
  await store(dir).save(checkpoint(2));
  const newest = join(dir, 'checkpoint-000000000002.sgc');
  const bytes = await readFile(newest);
  for (let length = 0; length < bytes.length; length++) {
    // Before the rename: a temporary file, which nobody looks at.
    await rm(newest);
    await writeFile(join(dir, 'checkpoint.tmp'), bytes.subarray(0, length));
    const quiet: string[] = [];
    expect(await store(dir, quiet).load()).toEqual(checkpoint(1));
    expect(quiet).toEqual([]);
    // A disk that lost what it said it had: the renamed file is short.
    await writeFile(newest, bytes.subarray(0, length));
    const warnings: string[] = [];
    expect(await store(dir, warnings).load()).toEqual(checkpoint(1));
    expect(warnings.length).toBe(1);
    expect(warnings[0]).toMatch(/checkpoint-000000000002\.sgc is damaged: .*; going on from .*checkpoint-000000000001\.sgc/);
  }
});

test('any changed byte is noticed', async () => {
  const dir = await tempDir();
  await store(dir).save(checkpoint(1));
  await store(dir).save(checkpoint(2));
  const newest = join(dir, 'checkpoint-000000000002.sgc');
  const bytes = await readFile(newest);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = changed[at]! ^ 0x10;
    await writeFile(newest, changed);
    const warnings: string[] = [];
    expect(await store(dir, warnings).load()).toEqual(checkpoint(1));
    expect(warnings.length).toBe(1);
  }
});

test('after a damaged one was passed over, the next save keeps the whole one before it', async () => {
  const dir = await tempDir();
  await store(dir).save(checkpoint(1));
  await store(dir).save(checkpoint(2));
  await writeFile(join(dir, 'checkpoint-000000000002.sgc'), 'rubbish');
  const again = store(dir);
  expect(await again.load()).toEqual(checkpoint(1));
  await again.save(checkpoint(3));
  expect((await readdir(dir)).sort()).toEqual(['checkpoint-000000000001.sgc', 'checkpoint-000000000003.sgc']);
});

test('only damaged ones are refused by name, with what to do', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'checkpoint-000000000002.sgc'), '');
  const load = store(dir).load();
  await expect(load).rejects.toThrow(CheckpointError);
  await expect(load).rejects.toThrow(
    /000002\.sgc is damaged: 0 bytes where at least 44 were expected[\s\S]*restore it, or move the folder away/,
  );
});

test('a checkpoint of other rules or another hash key is refused by name, and stays', async () => {
  const dir = await tempDir();
  await store(dir).save(checkpoint(1));
  const load = store(dir, [], 'rules 2').load();
  await expect(load).rejects.toThrow(CheckpointError);
  await expect(load).rejects.toThrow(/belongs to "rules 1", this deployment is "rules 2"/);
  expect(await store(dir).load()).toEqual(checkpoint(1));
});

test('a later format is refused by name rather than taken for damage', async () => {
  const dir = await tempDir();
  await store(dir).save(checkpoint(1));
  await store(dir).save(checkpoint(2));
  const path = join(dir, 'checkpoint-000000000002.sgc');
  const bytes = await readFile(path);
  const body = Buffer.from(bytes.subarray(0, bytes.length - 32));
  body.writeUInt32LE(2, 4);
  await writeFile(path, Buffer.concat([body, createHash('sha256').update(body).digest()]));
  await expect(store(dir).load()).rejects.toThrow(/has format 2, this version reads up to 1: run the version that wrote it/);
});

test('format 1 is pinned', async () => {
  const dir = await tempDir();
  await store(dir).save({ positions: { 'logs/0': 7 }, state: new Uint8Array([1, 2, 3]) });
  const bytes = await readFile(join(dir, 'checkpoint-000000000001.sgc'));
  const header = '{"identity":"rules 1","positions":{"logs/0":7},"stateBytes":3}';
  const body = Buffer.concat([
    Buffer.from('SGCP'),
    Buffer.from([1, 0, 0, 0, header.length, 0, 0, 0]),
    Buffer.from(header),
    Buffer.from([1, 2, 3]),
  ]);
  expect(bytes.subarray(0, -32)).toEqual(body);
  expect(bytes.subarray(-32)).toEqual(createHash('sha256').update(body).digest());
});

test('a full disk is retried with a bound and told; the checkpoint before it is whole and the next save works', async ({ skip }) => {
  await withSmallDisk(skip, async (disk) => {
    const dir = join(disk, 'state');
    const saver = store(dir);
    await saver.save(checkpoint(1));
    const save = saver.save({ positions: {}, state: new Uint8Array(100_000) });
    await expect(save).rejects.toThrow(DependencyError);
    await expect(save).rejects.toThrow(/cannot be saved in .*ENOSPC.*gave up after 3 tries; the one before it is whole/);
    expect(await readdir(dir)).toEqual(['checkpoint-000000000001.sgc']);
    expect(await store(dir).load()).toEqual(checkpoint(1));
    await saver.save(checkpoint(2));
    expect(await store(dir).load()).toEqual(checkpoint(2));
  });
});

test('a folder that is a file is told as what it is', async () => {
  const dir = join(await tempDir(), 'state');
  await writeFile(dir, '');
  await expect(store(dir).load()).rejects.toThrow(/the state folder .* cannot be read: ENOTDIR/);
});
