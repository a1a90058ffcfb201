/** Compression that kafkajs has no codec for: snappy, lz4 and zstd are read; what this program writes with kafkajs is not compressed. */
import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import { decompress as zstdInScript } from 'fzstd';
import kafkajs from 'kafkajs';
import { readLz4Frames } from './lz4-frame.ts';

const { CompressionCodecs, CompressionTypes } = kafkajs;
/** CommonJS without types. */
const snappy: { uncompress(bytes: Uint8Array, maxBytes?: number): Uint8Array } = createRequire(import.meta.url)('snappyjs');

/** A batch that says it is larger than this is damaged or an attack: the broker's own limits are far below. */
const maxBatchBytes = 256 * 1024 * 1024;

/** What snappy-java writes before its blocks, and the Java client with it: `\x82SNAPPY\0`, a version, the oldest that can read it. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const xerialHeaderBytes = 16;

interface Codec {
  compress(encoder: unknown): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

/** Registers the codecs with kafkajs, which keeps them per process. Doing so again is harmless. */
export function registerCodecs(): void {
  const codecs = CompressionCodecs as Record<number, () => Codec>;
  codecs[CompressionTypes.Snappy] = () => reader('snappy', readSnappy);
  codecs[CompressionTypes.LZ4] = () => reader('lz4', (bytes) => readLz4Frames(bytes, maxBatchBytes));
  codecs[CompressionTypes.ZSTD] = () => reader('zstd', readZstd);
}

function reader(name: string, decompress: (bytes: Buffer) => Buffer): Codec {
  return {
    compress: () => Promise.reject(new Error(`${name}: expected a codec that writes, but with kafkajs it is only read`)),
    // Async, so that what a damaged batch throws becomes a rejection.
    decompress: async (bytes) => decompress(bytes),
  };
}

/** Raw snappy (librdkafka, Go), or the blocks of snappy-java. Throws on damage. */
export function readSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return asBuffer(snappy.uncompress(bytes, maxBatchBytes));
  const blocks: Uint8Array[] = [];
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + (at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0);
    if (end > bytes.length || end === at + 4) throw new RangeError(`snappy: cut off at byte ${at}`);
    blocks.push(snappy.uncompress(bytes.subarray(at + 4, end), maxBatchBytes));
    at = end;
  }
  return Buffer.concat(blocks);
}

/** Node's own from 22.15 on, many times faster; else in script. Throws on damage. */
export function readZstd(bytes: Buffer): Buffer {
  if ('zstdDecompressSync' in zlib && typeof zlib.zstdDecompressSync === 'function') {
    return zlib.zstdDecompressSync(bytes, { maxOutputLength: maxBatchBytes });
  }
  return asBuffer(zstdInScript(bytes));
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
