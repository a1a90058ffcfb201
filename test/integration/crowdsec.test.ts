import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { evaluateAll, isRight, report, type Variant } from '../evaluate/crowdsec.ts';
import { rawSuites } from '../evaluate/crowdsec-raw-rules.ts';
import { readSuites } from '../evaluate/crowdsec-suite.ts';

const dir = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'crowdsec');
const suites = readSuites(dir);
if (suites === undefined) console.warn(`SKIPPED: the CrowdSec suites are not at ${dir}; nothing here was tested`);

describe.skipIf(suites === undefined)('the CrowdSec hub suites', () => {
  const outcomes = suites === undefined ? [] : evaluateAll(suites);
  const of = (variant: Variant) => outcomes.filter((outcome) => outcome.variant === variant);
  const wrong = (variant: Variant) => report(of(variant).filter((outcome) => !isRight(outcome)));
  const found = (variant: Variant) => of(variant).reduce((sum, outcome) => sum + outcome.found, 0);

  test('give the 57 findings the hub asserts, each by rule and source, and nothing else', () => {
    expect(of('events').length).toBe(39);
    expect(of('events').every(isRight), wrong('events')).toBe(true);
    expect(found('events')).toBe(57);
  });

  test('give 18 findings when the deciding event is taken out of each', () => {
    expect(of('minus one').every(isRight), wrong('minus one')).toBe(true);
    expect(found('minus one')).toBe(18);
  });

  test('give none when the events come one an hour', () => {
    expect(of('one per hour').every(isRight), wrong('one per hour')).toBe(true);
    expect(found('one per hour')).toBe(0);
  });

  test('give the same findings from the raw nginx, Apache, LiteSpeed and sshd lines, through our own decoders', () => {
    expect(
      of('raw lines')
        .map((outcome) => outcome.suite)
        .sort(),
    ).toEqual(Object.keys(rawSuites).sort());
    expect(of('raw lines').every(isRight), wrong('raw lines')).toBe(true);
    expect(of('raw lines').every((outcome) => outcome.rejected === 0)).toBe(true);
  });
});
