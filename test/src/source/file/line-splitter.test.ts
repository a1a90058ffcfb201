import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rejectedBySource } from '../../../../processors/decode/reject-header.ts';
import { LineSplitter } from '../../../../src/source/file/line-splitter.ts';

interface Line {
  text: string;
  offset: number;
  cutFromBytes?: number;
}

function split(
  bytes: Buffer,
  cuts: readonly number[],
  options: ConstructorParameters<typeof LineSplitter>[0] = {},
  maxLines = 1000,
): Line[] {
  const splitter = new LineSplitter(options);
  const lines: Line[] = [];
  const keep = (record: { value: Uint8Array | null; offset: number; cutFromBytes?: number }) =>
    lines.push({
      text: Buffer.from(record.value!).toString('latin1'),
      offset: record.offset,
      ...(record.cutFromBytes === undefined ? {} : { cutFromBytes: record.cutFromBytes }),
    });
  const edges = [0, ...[...cuts].map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < edges.length; i++) {
    splitter.feed(bytes.subarray(edges[i - 1], edges[i]));
    for (let taken = splitter.take(maxLines, 1 << 20); taken.length > 0; taken = splitter.take(maxLines, 1 << 20)) taken.forEach(keep);
  }
  const last = splitter.end();
  if (last) keep(last);
  return lines;
}

/** The plain reference: the whole text at once. */
function reference(bytes: Buffer, maxLineBytes: number): Line[] {
  const lines: Line[] = [];
  let offset = 0;
  const text = bytes.toString('latin1');
  const parts = text.split('\n');
  if (parts.at(-1) === '') parts.pop();
  for (const part of parts) {
    const line = part.endsWith('\r') ? part.slice(0, -1) : part;
    lines.push(
      line.length > maxLineBytes ? { text: line.slice(0, maxLineBytes), offset, cutFromBytes: line.length } : { text: line, offset },
    );
    offset += part.length + 1;
  }
  return lines;
}

test('lines come out the same however the bytes are cut into chunks', () => {
  const byte = fc.constantFrom(10, 10, 13, 13, 0x61, 0x62, 0xff, 0x00, 0xe2);
  fc.assert(
    fc.property(
      fc.array(byte, { maxLength: 60 }),
      fc.array(fc.nat(60), { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 3 }),
      (content, cuts, maxLineBytes, maxLines) => {
        const bytes = Buffer.from(content);
        expect(split(bytes, cuts, { maxLineBytes }, maxLines)).toEqual(reference(bytes, maxLineBytes));
      },
    ),
    { seed: 20261101, numRuns: 3000 },
  );
});

test('from any position on, exactly the lines that begin there or later come', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(10, 10, 13, 0x61), { maxLength: 40 }), fc.nat(45), (content, from) => {
      const bytes = Buffer.from(content);
      const position = Math.min(from, bytes.length);
      const options = position > 0 ? { startOffset: position - 1, skipFirst: true } : {};
      const lines = split(bytes.subarray(Math.max(0, position - 1)), [3, 7], options);
      expect(lines).toEqual(reference(bytes, 1 << 20).filter((line) => line.offset >= position));
    }),
    { seed: 20261102, numRuns: 3000 },
  );
});

test('bytes that are not UTF-8 pass through as they are', () => {
  expect(split(Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0xc3, 0x0a]), [])).toEqual([
    { text: '\xff\xfe\x00', offset: 0 },
    { text: '\xc3', offset: 4 },
  ]);
});

test('a line over the limit is cut, says how long it was, and the next line is whole', () => {
  const bytes = Buffer.from(`${'x'.repeat(3 * 1024 * 1024)}\r\nnext\n`);
  const cuts = Array.from({ length: 60 }, (_, index) => index * 65_536);
  const [long, next] = split(bytes, cuts) as [Line, Line];
  expect(long.text.length).toBe(1024 * 1024);
  expect(long.cutFromBytes).toBe(3 * 1024 * 1024);
  expect(next).toEqual({ text: 'next', offset: 3 * 1024 * 1024 + 2 });
});

test('a line of exactly the limit is not cut, with LF or CRLF', () => {
  for (const end of ['\n', '\r\n']) {
    expect(split(Buffer.from(`12345678${end}`), [4, 8, 9], { maxLineBytes: 8 })).toEqual([{ text: '12345678', offset: 0 }]);
    expect(split(Buffer.from(`123456789${end}`), [4, 8, 9], { maxLineBytes: 8 })).toEqual([
      { text: '12345678', offset: 0, cutFromBytes: 9 },
    ]);
  }
});

test('memory held for an endless line stays bounded', () => {
  const splitter = new LineSplitter({ maxLineBytes: 1000 });
  const chunk = Buffer.alloc(65_536, 0x61);
  for (let i = 0; i < 1000; i++) {
    splitter.feed(chunk);
    expect(splitter.take(10, 10)).toEqual([]);
  }
  expect(splitter.pendingBytes).toBe(65_536_000);
  const last = splitter.end()!;
  expect(last.value!.length).toBe(1000);
  expect(last.cutFromBytes).toBe(65_536_000);
  expect(rejectedBySource(last)).toBe('too_long');
});

test('feeding before everything was taken is refused', () => {
  const splitter = new LineSplitter();
  splitter.feed(Buffer.from('a\nb\n'));
  expect(splitter.take(1, 100).length).toBe(1);
  expect(() => splitter.feed(Buffer.from('c\n'))).toThrow('2 bytes of the chunk before were not taken');
});
