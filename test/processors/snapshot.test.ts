import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pipeline } from '../../processors/pipeline.ts';
import { whole } from '../../processors/slices.ts';
import { SnapshotError, SnapshotReader, SnapshotWriter } from '../../processors/snapshot.ts';
import { SnapshotCopies } from '../../processors/snapshot-copies.ts';
import { joined, PartsWriter, partBytes } from '../../processors/snapshot-parts.ts';
import { batchesOf } from '../support/events.ts';
import { ruleOf } from '../support/rules.ts';

type Write = (out: SnapshotWriter) => void;

const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 7 + (at >>> 8)) & 255);

/** What a state may write, of every size that is treated in its own way. */
const writes: fc.Arbitrary<Write> = fc.letrec<{ write: Write }>((tie) => ({
  write: fc.oneof(
    { maxDepth: 3 },
    fc.nat().map((value) => (out: SnapshotWriter) => out.u32(value)),
    fc.double().map((value) => (out: SnapshotWriter) => out.f64(value)),
    fc.string().map((value) => (out: SnapshotWriter) => out.text(value)),
    fc
      .tuple(fc.constantFrom(0, 1, 1023, 1024, 5000, 16_384, partBytes - 1, partBytes, partBytes + 1, 150_000), fc.nat(255))
      .map(([length, seed]) => bytes(length, seed))
      .map((value) => (out: SnapshotWriter) => out.array(value)),
    fc.nat(3000).map((length) => {
      const values = new Set(Array.from({ length }, (_, i) => i));
      return (out: SnapshotWriter) => out.u32s(values);
    }),
    fc.nat(2500).map((length) => {
      const values = new Map(Array.from({ length }, (_, i) => [i, i / 3]));
      return (out: SnapshotWriter) => out.f64Pairs(values);
    }),
    fc.array(tie('write'), { maxLength: 4 }).map(
      (inner) => (out: SnapshotWriter) =>
        out.nested((own) => {
          for (const each of inner) each(own);
        }),
    ),
  ),
})).write;

test('what is taken in slices is byte for byte what is written at once', () => {
  fc.assert(
    fc.property(fc.array(writes, { maxLength: 12 }), (all) => {
      const atOnce = new SnapshotWriter();
      const sliced = new PartsWriter();
      for (const write of all) {
        write(atOnce);
        write(sliced);
      }
      const parts = whole(sliced.parts());
      expect(Buffer.from(joined(parts)).equals(atOnce.done())).toBe(true);
      expect(parts.every(({ length }) => length > 0 && length <= partBytes)).toBe(true);
    }),
    { seed: 20_261_121, numRuns: 150 },
  );
});

test('a reader does not see where its parts were cut', () => {
  const out = new SnapshotWriter();
  out.section('first');
  out.u32(7);
  out.nested((own) => {
    own.f64(0.1);
    own.text('ünïcode');
    own.nested(() => {});
  });
  out.array(Float64Array.of(1, 2, 3));
  out.u32s([4, 5]);
  out.f64Pairs(new Map([[6, 0.5]]));
  const whole = out.done().slice();
  const read = (parts: Uint8Array | Uint8Array[]) => {
    const from = new SnapshotReader(parts);
    from.section('first');
    const number = from.u32();
    const own = from.nested();
    const inner = [own.f64(), own.text(), own.nested().finished, own.finished];
    const rest = [from.f64s(), from.u32s(), from.f64s()].map((array) => [...array]);
    return [number, inner, rest, from.finished];
  };
  const expected = [
    7,
    [0.1, 'ünïcode', true, true],
    [
      [1, 2, 3],
      [4, 5],
      [6, 0.5],
    ],
    true,
  ];
  expect(read(whole)).toEqual(expected);
  for (const size of [1, 2, 3, 5, 7, 13]) {
    const parts: Uint8Array[] = [new Uint8Array(0)];
    for (let at = 0; at < whole.length; at += size) parts.push(whole.slice(at, at + size), new Uint8Array(0));
    expect(read(parts)).toEqual(expected);
  }
  for (let length = 0; length < whole.length; length++) {
    expect(() => read([whole.subarray(0, 3), whole.subarray(3, Math.max(3, length))].map((part) => part.slice()))).toThrow(SnapshotError);
  }
});

test('what did not change gives the parts it gave before, whatever grew around it', () => {
  const steady = bytes(300_000, 1);
  const growing = bytes(400_000, 2);
  const partsOf = (counter: number, grown: number) => {
    const out = new PartsWriter();
    out.u32(counter);
    out.u32s(Array.from({ length: counter }, (_, i) => i));
    out.nested((own) => {
      own.section('steady');
      own.array(steady);
    });
    out.array(growing.subarray(0, grown));
    return whole(out.parts()).map((part) => Buffer.from(part).toString('base64'));
  };
  const before = new Set(partsOf(10, 300_000));
  const after = partsOf(5000, 360_000);
  // The numbers before the arrays, and the last part of the one that grew: two, because it came to a sixth.
  expect(after.filter((part) => !before.has(part))).toHaveLength(3);
});

test('no slice takes more than a part, and what is noted is taken only then', () => {
  const out = new PartsWriter();
  const array = new Uint32Array(1_000_000);
  out.array(array);
  out.u32s(Array.from({ length: 100_000 }, (_, i) => i));
  array[999_999] = 7;
  const work = out.parts();
  let slices = 0;
  for (let step = work.next(); ; step = work.next(), slices++) {
    if (!step.done) continue;
    const from = new SnapshotReader(step.value);
    expect(from.u32s()[999_999]).toBe(7);
    expect(from.u32s()[99_999]).toBe(99_999);
    break;
  }
  expect(slices).toBeGreaterThan(4_000_000 / partBytes + 100_000 / 1024);
});

test('with the copies of the snapshot before, the same parts are the same objects, and others never are', () => {
  const copies = new SnapshotCopies();
  const state = new Uint32Array(100_000);
  const take = (length: number) => {
    const out = new PartsWriter(copies);
    out.array(state.subarray(0, length));
    return whole(out.parts());
  };
  const first = take(90_000);
  const written = first.map((part) => part.slice());
  state[20_000] = 1;
  const second = take(91_000);
  // The length before the array, then parts of 16,384 numbers.
  expect(second.map((part, i) => first.includes(part) === (Buffer.compare(part, written[i] ?? new Uint8Array(0)) === 0))).toEqual(
    second.map(() => true),
  );
  expect(second.map((part) => first.includes(part))).toEqual([false, true, false, true, true, true, false]);
  const from = new SnapshotReader(second);
  expect(Buffer.from(from.u8s()).equals(new Uint8Array(state.buffer, 0, 4 * 91_000))).toBe(true);
  state[20_000] = 0;
  expect(Buffer.from(joined(take(90_000))).equals(joined(written))).toBe(true);
});

test('arrays that begin at the same place of the same memory do not overwrite each other', () => {
  const copies = new SnapshotCopies();
  const memory = bytes(50_000, 3);
  for (const lengths of [
    [50_000, 40_000],
    [30_000, 50_000],
  ]) {
    const out = new PartsWriter(copies);
    for (const length of lengths) out.array(memory.subarray(0, length));
    const from = new SnapshotReader(whole(out.parts()));
    for (const length of lengths) expect(Buffer.from(from.u8s()).equals(memory.subarray(0, length))).toBe(true);
  }
});

test('a snapshot over the copies of those before it is the snapshot, whatever came in between', () => {
  const rules = ['{ distinct: user.id }', '{ quantile: { of: n, q: 0.9, sketch: histogram } }'].map((measure, i) =>
    ruleOf(`id: rule_${i}\nkey: client.address\nmeasure: ${measure}\nwindow: { size: 60s, slide: 20s }\ndetect: { above: ${40 + i} }`),
  );
  const pipeline = new Pipeline(rules);
  const copies = new SnapshotCopies();
  const baseMs = Date.parse('2026-01-05T12:00:00Z');
  const events = Array.from({ length: 10_000 }, (_, i) => ({
    timeMs: baseMs + i * 15,
    // Many keys, then few of them again, some new ones, and one that fires.
    'client.address': i % 7 === 0 ? '192.0.2.1' : `k${i < 6_000 || i % 5 === 0 ? i : i % 97}`,
    'user.id': `u${(i * 31) % 977}`,
    n: (i * 7919) % 1000,
  }));
  let reused = 0;
  let before = new Set<Uint8Array>();
  for (const batch of batchesOf(events, 1_000)) {
    pipeline.process(batch);
    const parts = whole(pipeline.snapshotInSlices(copies));
    expect(Buffer.from(joined(parts)).equals(pipeline.snapshot())).toBe(true);
    reused += parts.filter((part) => before.has(part)).length;
    before = new Set(parts);
  }
  expect(reused).toBeGreaterThan(8);
});
