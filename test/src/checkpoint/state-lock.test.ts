import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { lockState, StateLockedError } from '../../../src/checkpoint/state-lock.ts';
import { DependencyError } from '../../../src/errors.ts';
import { tempDir } from '../../support/temp-dir.ts';

const silent = (message: string) => expect.fail(message);
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that owns the folder by the protocol: a socket of this form, which answers. */
async function owner(dir: string, name = 'lock-00000000000000aa.sock'): Promise<ChildProcess> {
  const program = `require('node:net').createServer((s) => s.end('process 1 on elsewhere')).listen(${JSON.stringify(join(dir, name))}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

test('a folder that is missing is made, and taken once', async () => {
  const dir = join(await tempDir(), 'state');
  const lock = await lockState(dir, silent);
  const second = lockState(dir, silent);
  await expect(second).rejects.toThrow(StateLockedError);
  await expect(second).rejects.toThrow(
    /state folder .*\/state belongs to another streamgauge \(process \d+ on .+, since 20.+Z\): stop that one, or give this one/,
  );
  await lock.release();
  expect(await readdir(dir)).toEqual([]);
  await (await lockState(dir, silent)).release();
});

test('of many that come at once at most one gets it, and afterwards it can be had', async () => {
  const dir = await tempDir();
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => lockState(dir, silent)));
  const won = all.filter((each) => each.status === 'fulfilled');
  expect(won.length).toBeLessThanOrEqual(1);
  for (const each of all) if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(StateLockedError);
  for (const { value } of won) await value.release();
  await (await lockState(dir, silent)).release();
});

test('a process that is killed leaves nothing that must be removed by hand', async () => {
  const dir = await tempDir();
  const child = await owner(dir);
  await expect(lockState(dir, silent)).rejects.toThrow(/\(process 1 on elsewhere\)/);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await readdir(dir)).toEqual(['lock-00000000000000aa.sock']);
  const lock = await lockState(dir, silent);
  expect(await readdir(dir)).not.toContain('lock-00000000000000aa.sock');
  await lock.release();
});

test('a folder too deep for the path of a socket is locked all the same, under every name it has', async ({ skip }) => {
  if (process.platform !== 'linux') skip('only Linux has a shorter path for it');
  const root = await tempDir();
  const dir = join(root, 'a'.repeat(100), 'b'.repeat(100));
  await mkdir(dir, { recursive: true });
  await symlink(dir, join(root, 'short'));
  const lock = await lockState(dir, silent);
  await expect(lockState(dir, silent)).rejects.toThrow(StateLockedError);
  await expect(lockState(join(root, 'short'), silent)).rejects.toThrow(StateLockedError);
  await lock.release();
  await (await lockState(join(root, 'short'), silent)).release();
});

test('a folder that cannot be one is told as what it is', async () => {
  const dir = join(await tempDir(), 'file');
  await writeFile(dir, '');
  await expect(lockState(dir, silent)).rejects.toThrow(DependencyError);
  await expect(lockState(dir, silent)).rejects.toThrow(/state folder .* cannot be made: EEXIST/);
});
