import { deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { BodyOpener } from '../../../../src/source/drain/body-opener.ts';

const body = (text: string, bytes = 50_000) => gzipSync(text.repeat(bytes));

test('opens what fits, few at a time, and lets what would be more than may be held wait until some is given back', async () => {
  const opener = new BodyOpener(60_000, 170_000);
  const opened = await Promise.all(['a', 'b', 'c'].map((text) => opener.open(body(text), 1000)));
  expect(opened.map((each) => [each.length, each[49_999]])).toEqual([...'abc'].map((text) => [50_000, text.charCodeAt(0)]));
  await expect(opener.open(body('d'), 20)).rejects.toMatchObject({ status: 503 });
  const late = opener.open(deflateSync('d'.repeat(50_000)), 10_000);
  setImmediate(() => opener.giveBack(opened[0]));
  expect((await late).length).toBe(50_000);
  await expect(opener.open(body('e', 20_001), 20)).rejects.toMatchObject({ status: 503 });
});

test('gives back by itself what it could not open', async () => {
  const opener = new BodyOpener(60_000, 120_000);
  for (let i = 0; i < 20; i++) {
    await expect(opener.open(body('x', 60_001), 1000)).rejects.toMatchObject({ status: 413 });
    await expect(opener.open(body('x').subarray(0, -9), 1000)).rejects.toThrow('unexpected end of file');
    await expect(opener.open(Buffer.from('nothing of the kind'), 1000)).rejects.toThrow(/header/);
  }
  expect((await Promise.all([opener.open(body('a'), 1000), opener.open(body('b'), 1000)])).length).toBe(2);
});

test('lets one wait for its turn no longer than it may', async () => {
  const opener = new BodyOpener(100, 300);
  const held = await Promise.all(['a', 'b', 'c'].map((text) => opener.open(body(text, 100), 1000)));
  // Both turns are taken by bodies that wait for room.
  const first = [opener.open(body('d', 100), 10_000), opener.open(body('e', 100), 10_000)];
  await expect(opener.open(body('f', 100), 20)).rejects.toThrow('too many compressed bodies are being opened already');
  for (const each of held) opener.giveBack(each);
  expect((await Promise.all(first)).map(String)).toEqual(['d'.repeat(100), 'e'.repeat(100)]);
});
