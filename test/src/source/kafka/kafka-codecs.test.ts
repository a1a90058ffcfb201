import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readSnappy, readZstd } from '../../../../src/source/kafka/kafka-codecs.ts';
import { readLz4Frames } from '../../../../src/source/kafka/lz4-frame.ts';

const { compress: snappyBlock }: { compress(bytes: Uint8Array): Uint8Array } = createRequire(import.meta.url)('snappyjs');
const mib = 1024 * 1024;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** A frame without compression, and one made of the sequences given. */
function frame(block: Buffer, stored: boolean): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(stored ? (block.length | 0x80000000) >>> 0 : block.length);
  return Buffer.concat([hex('04224d18 60 40 82'), size, block, Buffer.alloc(4)]);
}

describe('lz4', () => {
  test('reads literals, matches, and matches that run into what they write', () => {
    // 3 literals "abc", a match of 9 from 3 back, then the last literals "xyz".
    const block = Buffer.concat([hex('35'), Buffer.from('abc'), hex('0300'), hex('30'), Buffer.from('xyz')]);
    expect(readLz4Frames(frame(block, false), mib).toString()).toBe('abcabcabcabcxyz');
  });

  test('reads lengths of more than fourteen, and frames one after the other', () => {
    const literals = 'x'.repeat(15 + 255 + 4);
    const block = Buffer.concat([hex('f0 ff 04'), Buffer.from(literals)]);
    expect(readLz4Frames(Buffer.concat([frame(block, false), frame(Buffer.from('!'), true)]), mib).toString()).toBe(`${literals}!`);
  });

  test('says what is wrong, and where', () => {
    expect(() => readLz4Frames(hex('00112233445566'), mib)).toThrow('expected a frame at byte 0, found 0x33221100');
    expect(() => readLz4Frames(frame(Buffer.from('hello'), true).subarray(0, 14), mib)).toThrow('cut off at byte 11');
    expect(() => readLz4Frames(frame(hex('10 61 0900 00'), false), mib)).toThrow('a match before the beginning at byte 15');
    expect(() => readLz4Frames(frame(Buffer.alloc(70_000), true), 65_536)).toThrow('at most 65536 bytes');
  });

  test('never hangs or reads past its input, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readLz4Frames(frame(Buffer.from(bytes), false), mib);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { seed: 4171, numRuns: 2_000 },
    );
  });
});

describe('snappy', () => {
  test('reads raw blocks and those of snappy-java', () => {
    const text = Buffer.from('GET /wp-login.php '.repeat(500));
    const raw = Buffer.from(snappyBlock(text));
    expect(readSnappy(raw).equals(text)).toBe(true);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(raw.length);
    const xerial = Buffer.concat([hex('82534e4150505900 00000001 00000001'), size, raw, size, raw]);
    expect(readSnappy(xerial).equals(Buffer.concat([text, text]))).toBe(true);
    expect(() => readSnappy(xerial.subarray(0, -3))).toThrow(/cut off at byte/);
  });
});

describe('zstd', () => {
  test('reads a frame', () => {
    // A raw block of "hello", RFC 8878.
    expect(readZstd(hex('28b52ffd 00 58 290000 68656c6c6f')).toString()).toBe('hello');
  });

  test('says that it is damaged', () => {
    expect(() => readZstd(hex('28b52ffd 00 58 ff'))).toThrow();
  });
});
