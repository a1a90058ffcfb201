import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Match } from '../../../processors/match/match.ts';
import { Digits } from '../../../processors/measure/digits.ts';
import { leadingDigit } from '../../../processors/sketch/leading-digit.ts';
import { describeMeasureLaws, type LawEvent, matchOf } from '../../contracts/measure-laws.ts';

const seed = 20261121;

function written(number: number): number {
  return Number(Math.abs(number).toExponential()[0]);
}

function eventOf(pane: number, number: number): LawEvent {
  return { slot: 0, pane, arrival: pane, number, valueLow: 0, valueHigh: 0, counted: false, timeMs: 0, partition: 0, offset: 0 };
}

/** One digit's share of the laws: the value of a measure is one number, and the nine counters are its state. */
class CountOfDigit extends Digits {
  private readonly digit: number;

  constructor(digit: number) {
    super();
    this.digit = digit;
  }

  /** The laws ask for events that are all taken: a zero counts as a one here, and in the reference. */
  override add(slot: number, pane: number, match: Match): boolean {
    return super.add(slot, pane, { ...match, number: match.number || 1 });
  }

  override value(slot: number, firstPane: number, lastPane: number): number {
    return Number.isNaN(super.value(slot, firstPane, lastPane)) ? Number.NaN : this.counts(slot, firstPane, lastPane)[this.digit - 1];
  }
}

describe('first digits', () => {
  it(`are those of the number as it is written (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        expect(leadingDigit(number)).toBe(Math.abs(number) < 1e-307 ? 0 : written(number));
      }),
      { seed, numRuns: 20_000 },
    );
  });

  it('are right on either side of every d 10^k', () => {
    const bits = new BigInt64Array(1);
    const double = new Float64Array(bits.buffer);
    for (let exponent = -306; exponent <= 308; exponent++) {
      for (let digit = 1; digit <= 9 && Number(`${digit}e${exponent}`) < Number.POSITIVE_INFINITY; digit++) {
        double[0] = Number(`${digit}e${exponent}`);
        expect(leadingDigit(double[0])).toBe(digit);
        bits[0]--;
        expect(leadingDigit(-double[0])).toBe(digit === 1 ? 9 : digit - 1);
      }
    }
  });

  it.each([0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324])(
    'of %d there is none, and it is not taken',
    (number) => {
      expect(leadingDigit(number)).toBe(0);
      expect(new Digits().add(0, 1, matchOf(eventOf(1, number)))).toBe(false);
    },
  );

  for (const digit of [1, 9]) {
    describeMeasureLaws({
      name: `count of first digit ${digit}`,
      windowPanes: 12,
      make: () => new CountOfDigit(digit),
      reference: (events) => (events.length === 0 ? Number.NaN : events.filter(({ number }) => written(number || 1) === digit).length),
    });
  }

  it('are counted over the panes of the window', () => {
    const measure = new Digits();
    [1, 12, 0.3, 300, -9e9].forEach((number, i) => void measure.add(0, 1 + i, matchOf(eventOf(1 + i, number))));
    expect([...measure.counts(0, 1, 5)]).toEqual([2, 0, 2, 0, 0, 0, 0, 0, 1]);
    expect([...measure.counts(0, 2, 3)]).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect(measure.value(0, 1, 5)).toBe(5);
    expect(measure.value(0, 6, 9)).toBeNaN();
  });
});
