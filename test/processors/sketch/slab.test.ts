import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxBlockLog2, Slab } from '../../../processors/sketch/slab.ts';
import { SnapshotReader, SnapshotWriter } from '../../../processors/snapshot.ts';

const seed = 20261121;

interface Held {
  address: number;
  log2: number;
  mark: number;
}

function fill(slab: Slab, { address, log2, mark }: Held): void {
  const base = address & 0xffff;
  slab.chunks[address >>> 16].fill(mark, base, base + (1 << log2));
}

function intact(slab: Slab, { address, log2, mark }: Held): boolean {
  const base = address & 0xffff;
  const words = slab.chunks[address >>> 16].subarray(base, base + (1 << log2));
  return words.length === 1 << log2 && words.every((word) => word === mark);
}

describe('a slab', () => {
  it(`hands out blocks that never overlap, whatever is allocated and given back in between, snapshots included (seed ${seed})`, () => {
    const size = fc.oneof({ weight: 8, arbitrary: fc.nat(9) }, { weight: 1, arbitrary: fc.integer({ min: 10, max: maxBlockLog2 }) });
    const steps = fc.array(
      fc.oneof(
        size.map((log2) => ({ log2 })),
        fc.nat(1000).map((drop) => ({ drop })),
        fc.constant({ copy: true }),
      ),
      {
        maxLength: 400,
        size: 'max',
      },
    );
    fc.assert(
      fc.property(steps, (list) => {
        let slab = new Slab();
        const held: Held[] = [];
        list.forEach((step, i) => {
          if ('log2' in step) {
            const block = { address: slab.allocate(step.log2), log2: step.log2, mark: i + 1 };
            expect(step.log2 === 0 || block.address % 2 === 0).toBe(true);
            fill(slab, block);
            held.push(block);
          } else if ('drop' in step) {
            if (held.length > 0) {
              const [block] = held.splice(step.drop % held.length, 1);
              slab.release(block.address, block.log2);
            }
          } else {
            const out = new SnapshotWriter();
            slab.snapshot(out);
            slab = new Slab();
            slab.restore(new SnapshotReader(out.done().slice()));
          }
        });
        for (const block of held) expect(intact(slab, block)).toBe(true);
      }),
      { seed, numRuns: 150 },
    );
  });

  it('uses again what was given back, and starts small', () => {
    const slab = new Slab();
    const blocks = Array.from({ length: 100 }, () => slab.allocate(1));
    expect(slab.bytes()).toBe(1024);
    for (const block of blocks) slab.release(block, 1);
    for (let i = 0; i < 100; i++) slab.allocate(1);
    expect(slab.bytes()).toBe(1024);
  });

  it('says what to do about a key that is too large', () => {
    expect(() => new Slab().allocate(maxBlockLog2 + 1)).toThrow('use a longer slide or a shorter window');
  });
});
