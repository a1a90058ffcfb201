import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asctimeAt, bsdTimeAt, clfTimeAt, epochMs, isoTimeAt, textTimeMs, timeEnd } from '../../../processors/decode/time.ts';

const seed = 20261121;
const instants = fc.integer({ min: Date.UTC(1600, 0, 1), max: Date.UTC(9998, 11, 31) });

test(`ISO times agree with Date over eight thousand years (seed ${seed})`, () => {
  fc.assert(
    fc.property(instants, (ms) => {
      const text = new Date(ms).toISOString();
      expect(isoTimeAt(text, 0)).toBe(ms);
      expect(timeEnd).toBe(text.length);
      expect(isoTimeAt(text.replace('T', ' ').replace('Z', ''), 0)).toBe(ms);
    }),
    { seed, numRuns: 2000 },
  );
});

test(`offsets shift the time (seed ${seed})`, () => {
  fc.assert(
    fc.property(instants, fc.integer({ min: -23 * 60, max: 23 * 60 }), fc.boolean(), (ms, offset, colon) => {
      const size = Math.abs(offset);
      const zone = `${offset < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}${colon ? ':' : ''}${String(size % 60).padStart(2, '0')}`;
      expect(isoTimeAt(new Date(ms).toISOString().replace('Z', zone), 0)).toBe(ms - offset * 60_000);
    }),
    { seed, numRuns: 1000 },
  );
});

test.each([
  ['2022-12-05T08:59:21.66229+00:00', 1670230761662],
  ['2022-12-05T08:59:21+00:00', 1670230761000],
  ['2016-10-06T00:17:09.669794202Z', 1475713029669],
  ['2022-12-05t08:59:21z', 1670230761000],
  ['2022-12-05 08:59:21,5', 1670230761500],
  ['2022-12-05T08:59+0100', 1670227140000],
  ['2022-12-05T08:59:21 +0100', 1670227161000],
  ['2022-12-05T08:59:60Z', 1670230800000],
  ['29/Sep/2021:12:37:05 +0200', 1632911825000],
  ['1670230761', 1670230761000],
  ['1670230761662', 1670230761662],
  ['1544712660300000000', 1544712660300],
  ['2022-13-05T08:59:21Z', Number.NaN],
  ['2022-02-29T08:59:21Z', Number.NaN],
  ['2022-12-05T24:59:21Z', Number.NaN],
  ['2022-12-05', Number.NaN],
  ['2022-12-05T08:59:21.Z', Number.NaN],
  ['2022-12-05T08:59:21Zulu', Number.NaN],
  ['', Number.NaN],
  ['soon', Number.NaN],
  ['12', Number.NaN],
])('%s', (text, ms) => {
  expect(textTimeMs(text)).toBe(ms);
});

test('numbers are seconds, ms, us or ns by their size; small ones are no time', () => {
  expect([1554141513.598656, 1554141513.598, 1554141513598, 1554141513598656, 1554141513598656000].map(epochMs)).toEqual(
    Array(5).fill(1554141513598),
  );
  expect([0, -1, 0.35, 86400, 99_999_999, 1e20, Number.NaN, Number.POSITIVE_INFINITY].map(epochMs)).toEqual(Array(8).fill(Number.NaN));
});

test('the other clocks', () => {
  expect(clfTimeAt('[29/Sep/2021:12:37:05 -0700]', 1)).toBe(Date.UTC(2021, 8, 29, 19, 37, 5));
  expect(asctimeAt('Wed Oct 11 14:32:52.123456 2021', 0)).toBe(Date.UTC(2021, 9, 11, 14, 32, 52, 123));
  expect(bsdTimeAt('Feb 29 00:00:00', 0, Number.NaN)).toBe(Date.UTC(2000, 1, 29));
  expect(bsdTimeAt('Feb 30 00:00:00', 0, Date.UTC(2024, 2, 1))).toBeNaN();
});
