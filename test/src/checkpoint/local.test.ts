import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Checkpoint, CheckpointError } from '../../../src/checkpoint/checkpoint.ts';
import { createLocalCheckpoints } from '../../../src/checkpoint/local.ts';
import { DependencyError } from '../../../src/errors.ts';
import { checkpointLaws } from '../../contracts/checkpoint-laws.ts';
import { withSmallDisk } from '../../support/small-disk.ts';
import { tempDir } from '../../support/temp-dir.ts';

const store = (dir: string, warnings: string[] = [], identity = 'rules 1') =>
  createLocalCheckpoints({ dir, identity, warn: (message) => warnings.push(message), retryDelaysMs: [1, 1] });
const newestOf = async (dir: string, ending: string) =>
  join(
    dir,
    (await readdir(dir))
      .filter((name) => name.endsWith(ending))
      .sort()
      .at(-1) ?? 'none',
  );

checkpointLaws('folder', async () => {
  const dir = join(await tempDir(), 'state');
  return {
    store: ({ identity = 'rules 1', warn } = {}) => createLocalCheckpoints({ dir, identity, warn }),
    heldBytes: async () => {
      const sizes = await Promise.all((await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    saveHalf: async (checkpoint) => {
      const other = await tempDir();
      await createLocalCheckpoints({ dir: other, identity: 'rules 1' }).save(checkpoint);
      // It is the next of this folder: what is there has number 1.
      await writeFile(join(dir, 'parts-000000000002.sgp'), await readFile(await newestOf(other, '.sgp')));
      await writeFile(join(dir, 'checkpoint.tmp'), (await readFile(await newestOf(other, '.sgc'))).subarray(0, 20));
    },
    damageNewest: async (what) => {
      const path = await newestOf(dir, what === 'part' ? '.sgp' : '.sgc');
      const bytes = await readFile(path);
      bytes[Math.floor(bytes.length / 2)] ^= 0x10;
      await writeFile(path, bytes);
    },
    dispose: async () => {},
  };
});

const checkpoint = (index: number): Checkpoint => ({
  positions: { 'logs/0': index * 10, 'app.log/1': index },
  state: [Buffer.from(Uint8Array.from({ length: 40 }, (_, at) => (at * 7 + index) & 255))],
});

/** A folder with checkpoints 1 and 2. */
async function savedTwice(): Promise<string> {
  const dir = await tempDir();
  const saver = store(dir);
  await saver.save(checkpoint(1));
  await saver.save(checkpoint(2));
  return dir;
}

/** Damages each file of checkpoint 2 at each of its bytes: the one before it is loaded, and told. */
async function eachDamage(damaged: (bytes: Buffer, at: number) => Uint8Array): Promise<string> {
  const dir = await savedTwice();
  for (const name of ['checkpoint-000000000002.sgc', 'parts-000000000002.sgp']) {
    const path = join(dir, name);
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length; at++) {
      await writeFile(path, damaged(bytes, at));
      const warnings: string[] = [];
      expect(await store(dir, warnings).load()).toEqual(checkpoint(1));
      expect(warnings.length).toBe(1);
      expect(warnings[0]).toMatch(/checkpoint-000000000002\.sgc is damaged: .*; going on from .*checkpoint-000000000001\.sgc/);
    }
    await writeFile(path, bytes);
    expect(await store(dir).load()).toEqual(checkpoint(2));
  }
  return dir;
}

test('an empty or missing folder has no checkpoint', async () => {
  const dir = join(await tempDir(), 'state');
  expect(await store(dir).load()).toBeUndefined();
  await mkdir(dir);
  expect(await store(dir).load()).toBeUndefined();
});

test('a crash at any byte of a save leaves the checkpoint before it', async () => {
  // A disk that lost what it said it had: the file is short.
  const dir = await eachDamage((bytes, at) => bytes.subarray(0, at));
  // Before the rename there is a temporary file, which nobody looks at.
  await rm(join(dir, 'checkpoint-000000000002.sgc'));
  await writeFile(join(dir, 'checkpoint.tmp'), 'half');
  const quiet: string[] = [];
  expect(await store(dir, quiet).load()).toEqual(checkpoint(1));
  expect(quiet).toEqual([]);
});

test('any changed byte is noticed', async () => {
  await eachDamage((bytes, at) => {
    const changed = Buffer.from(bytes);
    changed[at] = changed[at]! ^ 0x10;
    return changed;
  });
});

test('after a damaged one was passed over, the next save keeps the whole one before it', async () => {
  const dir = await savedTwice();
  await writeFile(join(dir, 'checkpoint-000000000002.sgc'), 'rubbish');
  const again = store(dir);
  expect(await again.load()).toEqual(checkpoint(1));
  await again.save(checkpoint(3));
  expect((await readdir(dir)).sort()).toEqual([
    'checkpoint-000000000001.sgc',
    'checkpoint-000000000003.sgc',
    'parts-000000000001.sgp',
    'parts-000000000003.sgp',
  ]);
});

test('parts in many packs, or few of a large one, are put together again: files and bytes stay bounded', async () => {
  const dir = await tempDir();
  const saver = store(dir);
  const state = Array.from({ length: 200 }, (_, i) => Buffer.alloc(1000, i));
  for (let round = 0; round < 150; round++) {
    // Some change in every round, and some never do.
    state[(round * 7) % 150] = Buffer.from(`${round}`.padEnd(1000));
    await saver.save({ positions: { 'logs/0': round }, state: [...state] });
    const names = await readdir(dir);
    expect(names.length).toBeLessThan(60);
  }
  const packs = (await readdir(dir)).filter((name) => name.endsWith('.sgp'));
  const held = await Promise.all(packs.map(async (name) => (await stat(join(dir, name))).size));
  expect(held.reduce((sum, size) => sum + size, 0)).toBeLessThan(3 * 200_000);
  expect((await store(dir).load())?.state).toEqual(state);
});

test('a later format is refused by name rather than taken for damage', async () => {
  const dir = await savedTwice();
  const path = join(dir, 'checkpoint-000000000002.sgc');
  const bytes = await readFile(path);
  const body = Buffer.from(bytes.subarray(0, bytes.length - 32));
  body.writeUInt32LE(4, 4);
  await writeFile(path, Buffer.concat([body, createHash('sha256').update(body).digest()]));
  await expect(store(dir).load()).rejects.toThrow(/has format 4, this version reads up to 3: run the version that wrote it/);
});

/** As version 0.1 wrote it. */
function format1(header: object, state: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const body = Buffer.concat([Buffer.from('SGCP'), Buffer.from([1, 0, 0, 0, text.length, 0, 0, 0]), text, state]);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

test('format 1, with the state in it, is read; the next save is of format 3, and keeps it', async () => {
  const dir = await tempDir();
  const state = Buffer.from([1, 2, 3]);
  const bytes = format1({ identity: 'rules 1', positions: { 'logs/0': 7 }, stateBytes: 3 }, state);
  await writeFile(join(dir, 'checkpoint-000000000007.sgc'), bytes);
  const again = store(dir);
  const loaded = await again.load();
  expect({ ...loaded, state: loaded?.state.map((part) => [...part]) }).toEqual({ positions: { 'logs/0': 7 }, state: [[1, 2, 3]] });
  await again.save(checkpoint(8));
  expect((await readdir(dir)).sort()).toEqual(['checkpoint-000000000007.sgc', 'checkpoint-000000000008.sgc', 'parts-000000000001.sgp']);
  expect(await store(dir).load()).toEqual(checkpoint(8));
});

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const u32 = (value: number) => Buffer.from([value & 255, value >> 8, 0, 0]);

/** A checkpoint of positions, marks and three bytes of state, as these formats have it. */
function pinned(format: 2 | 3): { checkpoint: string; pack: Buffer } {
  const state = Buffer.from([1, 2, 3]);
  const list = Buffer.concat([sha(state), u32(3)]);
  const origins = format === 2 ? '' : '"origins":[{"cluster":"c","group":"g","topics":["logs"]}],';
  const header = Buffer.from(
    `{"identity":"rules 1","positions":{"logs/0":7},${origins}"stateBytes":3,"marks":{"file:out":"12"},"packs":[1],"number":1,"lists":[["${sha(list).toString('hex')}",36]]}`,
  );
  const body = Buffer.concat([Buffer.from('SGCP'), u32(format), u32(header.length), header]);
  const pack = [Buffer.from('SGPK'), u32(1), u32(3), sha(state), state, u32(36), sha(list), list];
  return { checkpoint: Buffer.concat([body, sha(body)]).toString('latin1'), pack: Buffer.concat(pack) };
}

test('format 3 is pinned', async () => {
  const dir = await tempDir();
  const origins = [{ cluster: 'c', group: 'g', topics: ['logs'] }];
  await store(dir).save({ positions: { 'logs/0': 7 }, origins, state: [Buffer.from([1, 2, 3])], marks: { 'file:out': '12' } });
  expect((await readFile(join(dir, 'checkpoint-000000000001.sgc'))).toString('latin1')).toBe(pinned(3).checkpoint);
  expect(await readFile(join(dir, 'parts-000000000001.sgp'))).toEqual(pinned(3).pack);
});

test('format 2, which does not say where topics lie, is read', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'checkpoint-000000000001.sgc'), pinned(2).checkpoint, 'latin1');
  await writeFile(join(dir, 'parts-000000000001.sgp'), pinned(2).pack);
  const loaded = await store(dir).load(({ origins }) => origins && 'not ours');
  expect(loaded).toEqual({ positions: { 'logs/0': 7 }, marks: { 'file:out': '12' }, state: [Buffer.from([1, 2, 3])] });
});

test('a full disk is retried with a bound and told; the checkpoint before it is whole and the next save works', async ({ skip }) => {
  await withSmallDisk(skip, async (disk) => {
    const dir = join(disk, 'state');
    const saver = store(dir);
    await saver.save(checkpoint(1));
    const save = saver.save({ positions: {}, state: [new Uint8Array(100_000)] });
    await expect(save).rejects.toThrow(DependencyError);
    await expect(save).rejects.toThrow(/cannot be saved in .*ENOSPC.*gave up after 3 tries; the one before it is whole/);
    expect((await readdir(dir)).sort()).toEqual(['checkpoint-000000000001.sgc', 'parts-000000000001.sgp']);
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

test('only damaged ones are refused with the reason of each', async () => {
  const dir = await tempDir();
  await writeFile(join(dir, 'checkpoint-000000000002.sgc'), '');
  const load = store(dir).load();
  await expect(load).rejects.toThrow(CheckpointError);
  await expect(load).rejects.toThrow(/000002\.sgc is damaged: 0 bytes where at least 44 were expected/);
});
