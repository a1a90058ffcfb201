import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { estimateFromHistogram, estimateFromRegisters, relativeError, sigma, tau } from '../../../processors/sketch/ertl-estimator.ts';
import { hashBytes, hashKeyOf, hashText } from '../../../processors/sketch/hash.ts';
import { bucketMiddle, finestIndex, histogramIndex, powerAt } from '../../../processors/sketch/histogram-index.ts';
import { murmur3 } from '../../../processors/sketch/murmur3.ts';
import {
  addHash,
  emptyPostgresHll,
  formatPostgresHll,
  fromRegisters,
  type PostgresHll,
  parsePostgresHll,
  registersOf,
  unionOf,
} from '../../../processors/sketch/postgres-hll.ts';
import { rankOf, tokenOf } from '../../../processors/sketch/token.ts';

const encoder = new TextEncoder();
const key = hashKeyOf(new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]));

function hex(...words: number[]): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/^\\x/, ''), 'hex'));
}

describe('hashes', () => {
  it.each([
    [[], '218d1f59b9b83cc8'],
    [[0], 'be552412f8387315'],
    [[0, 1], '064f39ef7c50eb57'],
    [[0, 1, 2], 'ce0f1a45f7060679'],
  ])('HalfSipHash-2-4-64 of %j is %s', (bytes, expected) => {
    const out = new Uint32Array(2);
    hashBytes(Uint8Array.from(bytes), 0, bytes.length, key, out);
    expect(Buffer.from(out.buffer).toString('hex')).toBe(expected);
  });

  it('murmur3 x64 128 gives the published values', () => {
    const out = new Uint32Array(4);
    murmur3(encoder.encode('item-0'), 0, out);
    expect(hex(out[1], out[0])).toBe('a04b71e473445266');
    murmur3(encoder.encode('item-0'), 9001, out);
    expect(hex(out[1], out[0])).toBe('e20c82170223515d');
    expect(hex(out[3], out[2])).toBe('9f402d51e38ed96f');
    const signed = (bytes: number[]) => {
      murmur3(Uint8Array.from(bytes), 0, out);
      return BigInt.asIntN(64, (BigInt(out[1]) << 32n) | BigInt(out[0]));
    };
    expect(signed([0])).toBe(5048724184180415669n);
    expect(signed([0x64, 0])).toBe(4631120266694327276n);
  });
});

describe('the estimator', () => {
  it('sigma and tau', () => {
    expect(sigma(0.5)).toBeCloseTo(0.89074707403779, 12);
    expect(sigma(0.9)).toBeCloseTo(6.8136919586339, 12);
    expect(tau(0.5)).toBeCloseTo(0.149929495864088, 12);
  });

  it('estimates from register counts', () => {
    const counts = (first: number[]) => [...first, ...new Array(66).fill(0)];
    expect(estimateFromHistogram(counts([1023, 1]), 10)).toBeCloseTo(1.0004820560606, 9);
    expect(estimateFromHistogram(counts([1, 30, 150, 270, 250, 150, 90, 45, 20, 12, 6]), 10)).not.toBeCloseTo(13824.4239802227, 6);
    expect(estimateFromHistogram([0, ...counts([1, 30, 150, 270, 250, 150, 90, 45, 20, 12, 6])], 10)).toBeCloseTo(13824.4239802227, 6);
  });

  it.each([
    [8, 6.494],
    [9, 4.592],
    [10, 3.247],
    [11, 2.296],
    [12, 1.623],
    [14, 0.8117],
  ])('at precision %i the standard error is %f %%', (precision, percent) => {
    expect(100 * relativeError(2 ** precision)).toBeCloseTo(percent, 3);
  });

  function sketchOf(count: number, hash: (text: string, out: Uint32Array) => void): Uint8Array {
    const registers = new Uint8Array(2048);
    const out = new Uint32Array(2);
    for (let i = 0; i < count; i++) {
      hash(`item-${i}`, out);
      const token = tokenOf(out[0], out[1]);
      registers[token & 2047] = Math.max(registers[token & 2047], rankOf(token, 11));
    }
    return registers;
  }
  const murmur = (text: string, out: Uint32Array) => murmur3(encoder.encode(text), 0, out);
  const halfSip = (text: string, out: Uint32Array) => hashText(text, key, out);

  it.each([
    ['murmur3', 100, 99.3575998103726, 161],
    ['murmur3', 1000, 983.867521247001, 1713],
    ['murmur3', 100_000, 101428.109856914, 14297],
    ['HalfSip', 100, 100.41712999975, 181],
    ['HalfSip', 1000, 1019.68927190462, 1773],
    ['HalfSip', 100_000, 99502.2174689346, 14264],
  ] as const)('%s over %i items gives %f, register sum %i', (name, count, estimate, sum) => {
    const registers = sketchOf(count, name === 'murmur3' ? murmur : halfSip);
    expect(registers.reduce((a, b) => a + b, 0)).toBe(sum);
    expect(estimateFromRegisters(registers, 11) / estimate).toBeCloseTo(1, 9);
  });

  it('exports 1,000 items under murmur3 as a FULL sketch of the storage specification', () => {
    // Cut-offs without sparse (bit 6) make it FULL; the published bytes say 7f, so that is put back.
    const registers = sketchOf(1000, murmur);
    const bytes = formatPostgresHll(fromRegisters(registers, 5, 0x3f));
    bytes[2] = 0x7f;
    expect(bytes.length).toBe(1283);
    expect(Buffer.from(bytes.subarray(0, 16)).toString('hex')).toBe('148b7f00000088210880300022000000');
    expect(registersOf(parsePostgresHll(bytes))).toEqual(registers);
  });

  it('a token has the register and rank of its hash at every precision', () => {
    for (let i = 0; i < 2000; i++) {
      const low = Math.imul(i, 0x9e3779b1) >>> 0;
      // Now and then no bits above the precision, or none in the low half.
      const highHalf = i % 7 === 0 ? 0 : Math.imul(i, 0x85ebca6b) >>> 0;
      const lowHalf = i % 5 === 0 ? low & 0x3ff : i % 3 === 0 ? 0 : low;
      const hash = (BigInt(highHalf) << 32n) | BigInt(lowHalf);
      for (const precision of [10, 11, 12, 14]) {
        let rest = hash >> BigInt(precision);
        let rank = 1;
        while (rank < 65 - precision && (rest & 1n) === 0n) {
          rest >>= 1n;
          rank++;
        }
        const token = tokenOf(lowHalf, highHalf);
        expect([token & (2 ** precision - 1), rankOf(token, precision)]).toEqual([lowHalf & (2 ** precision - 1), rank]);
      }
    }
  });
});

describe('the histogram index', () => {
  it.each([
    [1, -1],
    [1.0000001, 0],
    [1.5, 18],
    [2, 31],
    [2.0000001, 32],
    [50, 180],
    [1000, 318],
    [3.6e6, 696],
    [0.001, -319],
  ])('of %f at scale 5 is %i', (x, expected) => {
    expect(histogramIndex(x, 5)).toBe(expected);
  });

  it('equals ceil(2^s log2 x) - 1 on 200,000 numbers, away from the edges', () => {
    let state = 1;
    for (let i = 0; i < 200_000; i++) {
      state = (state * 48271) % 2147483647;
      const x = 2 ** ((state / 2147483647) * 200 - 100);
      for (const scale of [8, 5, 0, -2]) {
        const place = 2 ** scale * Math.log2(x);
        if (Math.abs(place - Math.round(place)) > 1e-9 && histogramIndex(x, scale) !== Math.ceil(place) - 1) {
          throw new Error(`${x} at scale ${scale}: ${histogramIndex(x, scale)}, expected ${Math.ceil(place) - 1}`);
        }
      }
    }
  });

  it('an edge belongs to the bucket below it, and a middle to its own', () => {
    for (let i = -3000; i < 3000; i++) {
      expect(finestIndex(powerAt(i))).toBe(i - 1);
      expect(histogramIndex(bucketMiddle(i, 5), 5)).toBe(i);
      expect(histogramIndex(bucketMiddle(i, 8), 8)).toBe(i);
    }
  });
});

const folder = new URL('../../../../shared/data/hll/', import.meta.url);
const there = existsSync(folder);
if (!there) console.log(`skipped: the postgresql-hll vectors, since there is no ${folder.pathname}`);

describe.skipIf(!there)('the vectors of postgresql-hll', () => {
  const rowsOf = (name: string): Record<string, string>[] =>
    gunzipSync(readFileSync(new URL(`${name}.ndjson.gz`, folder)))
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  /** The estimator of postgresql-hll: the raw one, and linear counting below 2.5 m. */
  function classic(hll: PostgresHll): number {
    if (hll.explicit !== undefined) return hll.explicit.size;
    const m = hll.registers.length;
    let zeros = 0;
    let sum = 0;
    for (const value of hll.registers) {
      if (value === 0) zeros++;
      sum += 2 ** -value;
    }
    const raw = ((0.7213 / (1 + 1.079 / m)) * m * m) / sum;
    return raw <= 2.5 * m && zeros > 0 ? m * Math.log(m / zeros) : raw;
  }

  function expectRow(found: PostgresHll, multiset: string, cardinality: string): void {
    const expected = parsePostgresHll(bytesOf(multiset));
    expect(Buffer.compare(registersOf(found), registersOf(expected))).toBe(0);
    expect(found.explicit?.size).toBe(expected.explicit?.size);
    // From when on sparse becomes full is the writer's choice (these rows were written with a limit of 512 registers): bytes are
    // compared where the form is the same.
    const bytes = Buffer.from(formatPostgresHll(found)).toString('hex');
    if (bytes[1] === multiset[3]) expect(bytes).toBe(multiset.slice(2).toLowerCase());
    else expect([bytes[1], multiset[3]]).toEqual(['3', '4']);
    expect(classic(found)).toBeCloseTo(Number(cardinality), 8);
  }

  it.each([
    ['edge', 515],
    ['random', 513],
    ['step', 513],
  ])('cumulative_add_sparse_%s: %i rows', (name, count) => {
    const rows = rowsOf(`cumulative_add_sparse_${name}`);
    expect(rows.length).toBe(count);
    // The first row is the empty start, and its raw value is not added.
    let hll = parsePostgresHll(bytesOf(rows[0].multiset));
    expectRow(hll, rows[0].multiset, rows[0].cardinality);
    for (const row of rows.slice(1)) {
      hll = addHash({ ...hll, explicit: undefined }, BigInt(row.raw_value));
      expectRow(hll, row.multiset, row.cardinality);
    }
  });

  it.each([
    ['comprehensive', 1001],
    ['explicit_explicit', 257],
    ['explicit_promotion', 629],
    ['sparse_full_representation', 4],
    ['sparse_promotion', 1513],
    ['sparse_sparse', 513],
  ])('cumulative_union_%s: %i rows', (name, count) => {
    const rows = rowsOf(`cumulative_union_${name}`);
    expect(rows.length).toBe(count);
    let hll = emptyPostgresHll(11, 5, 0x48);
    for (const row of rows) {
      const next = parsePostgresHll(bytesOf(row.multiset));
      expect(classic(next)).toBeCloseTo(Number(row.cardinality), 8);
      hll = unionOf(hll, next);
      expectRow(hll, row.union_multiset, row.union_cardinality);
    }
  });

  it.each(['murmur_bigint', 'murmur_bytea'])('%s: 600 rows', (name) => {
    const rows = rowsOf(name);
    expect(rows.length).toBe(600);
    const out = new Uint32Array(2);
    for (const row of rows) {
      const bytes = row.pre_hash_bytes === undefined ? new Uint8Array(8) : bytesOf(row.pre_hash_bytes);
      if (row.pre_hash_long !== undefined) new DataView(bytes.buffer).setBigInt64(0, BigInt(row.pre_hash_long), true);
      murmur3(bytes, Number(row.seed) >>> 0, out);
      expect(BigInt.asIntN(64, (BigInt(out[1]) << 32n) | BigInt(out[0]))).toBe(BigInt(row.post_hash_long));
    }
  });
});
