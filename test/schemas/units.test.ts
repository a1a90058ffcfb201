import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDurationMs, parseSizeBytes } from '../../schemas/units.ts';

for (const [text, ms] of [
  ['1500ms', 1500],
  ['90s', 90_000],
  ['10m', 600_000],
  ['1.5h', 5_400_000],
  ['1.1s', 1100],
  ['7d', 604_800_000],
  ['2w', 1_209_600_000],
  ['0s', 0],
] as const) {
  test(`${text} is ${ms} ms`, () => {
    expect(parseDurationMs(text)).toBe(ms);
  });
}

for (const text of ['', '10', 'm', '10 m', '-1s', '1e3s', '10min', '1.5ms', '1h30m', '999999999999w', 'NaNs']) {
  test(`"${text}" is no duration`, () => {
    expect(parseDurationMs(text)).toBeUndefined();
  });
}

test('a duration is written as it can be read again, seed 20261121', () => {
  const check = fc.property(fc.nat(2 ** 40), fc.constantFrom(1, 1000, 60_000, 3_600_000), (n, unit) => {
    const ms = Math.floor(n / unit) * unit;
    expect(parseDurationMs(formatDuration(ms))).toBe(ms);
  });
  fc.assert(check, { seed: 20261121 });
});

for (const [text, bytes] of [
  ['512MB', 512e6],
  ['64MiB', 67_108_864],
  ['1.5 GB', 1.5e9],
  ['10kB', 10_000],
  ['7B', 7],
] as const) {
  test(`${text} is ${bytes} bytes`, () => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });
}

for (const text of ['512', 'MB', '512mb', '-1MB', '1TB']) {
  test(`"${text}" is no size`, () => {
    expect(parseSizeBytes(text)).toBeUndefined();
  });
}
