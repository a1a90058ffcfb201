/** A state folder that is not this deployment's, or no longer what it was: said by name before anything is read or overwritten. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { builtCommand } from '../support/build.ts';
import { Command, command, type Ended } from '../support/command.ts';
import { requests, writeRule } from '../support/many-requests.ts';
import { tempDir } from '../support/temp-dir.ts';

beforeAll(() => void builtCommand());

const keyOf = (letter: string) => `hashKey: "${letter.repeat(32)}"\n`;

async function configure(cwd: string, sources: string, more = ''): Promise<void> {
  await writeFile(join(cwd, 'streamgauge.yaml'), `rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\nsources: [${sources}]\n${more}`);
}

async function contents(folder: string): Promise<Record<string, string>> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((each) => each.isFile());
  const read = files.map(async ({ parentPath, name }) => [
    join(parentPath, name),
    (await readFile(join(parentPath, name))).toString('hex'),
  ]);
  return Object.fromEntries(await Promise.all(read));
}

test('the checkpoint of a deployment with another hash key is refused, and left alone', { timeout: 60_000 }, async () => {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  await writeFile(join(cwd, 'app.log'), `${requests('192.0.2.1', Date.parse('2026-01-05T12:00:00Z'), 12).join('\n')}\n`);
  await configure(cwd, '{ file: { path: ./app.log } }', keyOf('A'));
  expect(await command(['run'], { cwd })).toMatchObject({ code: 0 });
  const before = await contents(join(cwd, 'data'));
  expect(Object.keys(before).some((name) => name.endsWith('.sgc'))).toBe(true);

  await configure(cwd, '{ file: { path: ./app.log } }', keyOf('B'));
  const refused = await command(['run'], { cwd });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(
    /checkpoint-\d+\.sgc belongs to .* \(another hash key\): go back to those, or give `state\.dir` .* move checkpoint-\* and parts-\* of .*data away/,
  );
  expect(await contents(join(cwd, 'data'))).toEqual(before);
});

test('the checkpoint of a deployment that reads other logs is refused, and left alone; one of the same logs less one is not', {
  timeout: 60_000,
}, async () => {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  const sources = (...names: string[]) => names.map((name) => `{ file: { path: ./${name} } }`).join(', ');
  const startMs = Date.parse('2026-01-05T12:00:00Z');
  for (const name of ['a.log', 'b.log', 'c.log']) await writeFile(join(cwd, name), `${requests('192.0.2.1', startMs, 3).join('\n')}\n`);
  await configure(cwd, sources('a.log', 'b.log'));
  expect(await command(['run'], { cwd })).toMatchObject({ code: 0 });
  const before = await contents(join(cwd, 'data'));
  await configure(cwd, sources('c.log'));
  const refused = await command(['run'], { cwd });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(
    /checkpoint-\d+\.sgc belongs to another deployment: it goes on in a\.log, b\.log, of which no source here reads any \(file:.*c\.log\): name in `sources` what it reads, or give `state\.dir` another folder or move checkpoint-\* and parts-\* of .*data away/,
  );
  expect(await contents(join(cwd, 'data'))).toEqual(before);

  await configure(cwd, sources('b.log', 'c.log'));
  const fewer = await command(['run'], { cwd });
  expect(fewer).toMatchObject({ code: 0 });
  expect(fewer.stderr).toMatch(/restored from the checkpoint/);
});

test('the journal of a drain with rubbish in its place is refused, or stepped over where that loses nothing', {
  timeout: 60_000,
}, async () => {
  const cwd = await tempDir();
  await writeRule(join(cwd, 'rules'));
  await configure(cwd, '{ drain: { path: /drain/json } }');
  const first = Command.start(['run'], { cwd });
  const address = await first.address();
  expect((await fetch(`${address}/drain/json`, { method: 'POST', body: '{"a":1}' })).status).toBe(200);
  expect((await first.stop()).code).toBe(0);
  const journal = join(cwd, 'data', 'journal', 'drain+json');
  const [segment] = await readdir(journal);

  // What a crash in the middle of a write leaves.
  await writeFile(join(journal, segment), Buffer.concat([await readFile(join(journal, segment)), Buffer.alloc(5000, 0x53)]));
  const second = Command.start(['run'], { cwd });
  await second.says(/damaged journal/);
  await second.address();
  expect((await second.stop()).code).toBe(0);

  await writeFile(join(journal, 'notes.journal'), 'not ours');
  const refused: Ended = await command(['run'], { cwd });
  expect(refused.code).toBe(3);
  expect(refused.stderr).toContain('notes.journal is no segment: its name must be a sequence number');
});
