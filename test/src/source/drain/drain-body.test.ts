import { deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { BodyOpener } from '../../../../src/source/drain/drain-body.ts';

const body = (text: string, bytes = 50_000) => gzipSync(text.repeat(bytes));

test('opens what fits, few at a time, and refuses what would be more than may be held until some is given back', async () => {
  const opener = new BodyOpener(60_000, 170_000);
  const opened = await Promise.all(['a', 'b', 'c'].map((text) => opener.open(body(text))));
  expect(opened.map((each) => [each.length, each[49_999]])).toEqual([...'abc'].map((text) => [50_000, text.charCodeAt(0)]));
  await expect(opener.open(body('d'))).rejects.toMatchObject({ status: 503 });
  opener.giveBack(opened[0]);
  expect((await opener.open(deflateSync('d'.repeat(50_000)))).length).toBe(50_000);
  await expect(opener.open(body('e', 20_001))).rejects.toMatchObject({ status: 503 });
});

test('gives back by itself what it could not open', async () => {
  const opener = new BodyOpener(60_000, 120_000);
  for (let i = 0; i < 20; i++) {
    await expect(opener.open(body('x', 60_001))).rejects.toMatchObject({ status: 413 });
    await expect(opener.open(body('x').subarray(0, -9))).rejects.toThrow('unexpected end of file');
    await expect(opener.open(Buffer.from('nothing of the kind'))).rejects.toThrow(/header/);
  }
  expect((await Promise.all([opener.open(body('a')), opener.open(body('b'))])).length).toBe(2);
});
