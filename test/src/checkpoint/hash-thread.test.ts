import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { HashThread } from '../../../src/checkpoint/hash-thread.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const shared = (bytes: Uint8Array) => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length + 8), 8, bytes.length);
  copy.set(bytes);
  return copy;
};

test('gives the digest of each part in order, in shared memory or not, for calls that overlap', async () => {
  const thread = new HashThread();
  const lists = [0, 1, 64, 65, 200].map((count) =>
    Array.from({ length: count }, (_, i) => (i % 3 === 0 ? shared(randomBytes(i)) : new Uint8Array(randomBytes(i)))),
  );
  const found = await Promise.all(lists.map((list) => thread.digests(list)));
  expect(found.map((list) => list.map((each) => Buffer.from(each).toString('hex')))).toEqual(lists.map((list) => list.map(digest)));
});

test('what it cannot take is told, and the next call begins anew', async () => {
  const thread = new HashThread();
  const wrong = ['text', { no: 'bytes' }] as unknown as Uint8Array[];
  await expect(thread.digests(wrong)).rejects.toThrow(/must be of type|ended with/);
  const [found] = await thread.digests([new Uint8Array([1, 2, 3])]);
  expect(Buffer.from(found).toString('hex')).toBe(digest(new Uint8Array([1, 2, 3])));
});
