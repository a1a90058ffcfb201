import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expireFrontier, foldPane, frontierOf, maxPanes, raiseRegisters } from '../../../processors/sketch/pareto-hll.ts';
import { rankOf, tokenOf } from '../../../processors/sketch/token.ts';

const seed = 20261121;
const precision = 10;
const windowPanes = 20;

/** Registers of the tokens seen in panes first..last: the plain way. */
function registersOf(seen: readonly { token: number; pane: number }[], first: number, last: number): Uint8Array {
  const registers = new Uint8Array(2 ** precision);
  for (const { token, pane } of seen) {
    if (pane < first || pane > last) continue;
    const register = token & (registers.length - 1);
    registers[register] = Math.max(registers[register], rankOf(token, precision));
  }
  return registers;
}

const seen = fc.array(
  // Few registers, so that frontiers are long.
  fc.record({
    token: fc.tuple(fc.nat(7), fc.nat(2 ** 31), fc.nat(2 ** 31)).map(([low, middle, high]) => tokenOf(low | (middle << 10), high)),
    pane: fc.nat(40).map((pane) => 2_147_483_600 + pane),
  }),
  { maxLength: 300 },
);

describe('a Pareto-HLL', () => {
  it(`has the registers of every window that ends at its newest pane, however its panes came in (seed ${seed})`, () => {
    fc.assert(
      fc.property(seen, fc.infiniteStream(fc.nat(1000)), (all, order) => {
        const panes = [...new Set(all.map(({ pane }) => pane))].sort((a, b) => a - b);
        const newest = panes.at(-1) ?? 0;
        const first = newest - windowPanes + 1;
        let frontier: Uint32Array = new Uint32Array(3);
        // All but the newest in any order: they must be in the window, as late panes that fold are.
        const early = panes.filter((pane) => pane >= first);
        while (early.length > 0) {
          const [pane] = early.splice(Number(order.next().value) % early.length, 1);
          frontier = foldPane(frontier, registersOf(all, pane, pane), pane, first, precision);
        }
        for (let from = first; from <= newest; from++) {
          const registers = new Uint8Array(2 ** precision);
          raiseRegisters(frontier, from, newest, precision, registers);
          expect(Buffer.compare(registers, registersOf(all, from, newest))).toBe(0);
          const left = new Uint8Array(2 ** precision);
          raiseRegisters(expireFrontier(frontier.slice(), from, precision), 0, newest, precision, left);
          expect(Buffer.compare(left, registers)).toBe(0);
        }
      }),
      { seed, numRuns: 100 },
    );
  });

  it(`made of tokens is the one that folding their panes makes, bit by bit (seed ${seed})`, () => {
    fc.assert(
      fc.property(seen, (all) => {
        const last = new Map<number, number>();
        for (const { token, pane } of all) last.set(token, Math.max(pane, last.get(token) ?? 0));
        const tokens = Uint32Array.from(last.keys());
        const panes = Uint32Array.from(last.values());
        const made = frontierOf(tokens, panes, tokens.length, precision);
        let folded: Uint32Array = new Uint32Array(3);
        for (const pane of [...new Set(all.map((each) => each.pane))].sort((a, b) => a - b)) {
          folded = foldPane(folded, registersOf(all, pane, pane), pane, 0, precision);
        }
        expect([...made.subarray(0, 2), ...made.subarray(3, 3 + made[1])]).toEqual([
          ...folded.subarray(0, 2),
          ...folded.subarray(3, 3 + folded[1]),
        ]);
      }),
      { seed, numRuns: 100 },
    );
  });

  it('holds as many entries a register as the law of its size says', () => {
    for (const panes of [12, 60]) {
      let state = 7;
      const random = () => {
        state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
        return (state ^ (state >>> 13)) >>> 0;
      };
      let frontier: Uint32Array = new Uint32Array(3);
      for (let pane = 1; pane <= 2 * panes; pane++) {
        const registers = new Uint8Array(2 ** precision);
        for (let i = 0; i < 4000; i++) {
          const token = tokenOf(random(), random());
          const register = token & (registers.length - 1);
          registers[register] = Math.max(registers[register], rankOf(token, precision));
        }
        frontier = foldPane(frontier, registers, pane, pane - panes + 1, precision);
      }
      expect(frontier[1] / 2 ** precision).toBeCloseTo(0.83 + 0.5 * Math.log2(panes), 0);
    }
  });

  it('tells 2^(26 - p) panes apart', () => {
    expect(maxPanes(11)).toBe(32768);
    expect(maxPanes(14)).toBe(4096);
  });
});
