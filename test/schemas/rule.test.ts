import { expect, test } from 'vitest';
import { parseRule } from '../../schemas/rule.ts';

const base: Record<string, string> = {
  id: 'id: auth_scan',
  title: 'title: Many of them',
  severity: 'severity: high',
  key: 'key: client.address',
  measure: 'measure: count',
  window: 'window: 10m',
  detect: 'detect: { above: 20 }',
};

/** A small rule with some lines changed; an empty one is left out. */
function parse(changes: Record<string, string> = {}) {
  return parseRule(
    Object.values({ ...base, ...changes })
      .filter((line) => line !== '')
      .join('\n'),
    'r.yaml',
  );
}

function problemsOf(changes: Record<string, string>): string[] {
  const { rule, problems } = parse(changes);
  expect(rule).toBeUndefined();
  return problems;
}

test('a whole rule becomes what the stages read', () => {
  const text = `
id: auth_passkey_enumeration
title: One address tries many e-mail addresses
category: auth
severity: high
status: dormant
needs:
  - { dataset: heroku.app, for: 24h }
from: [heroku.app]
where:
  event.name: passkey.begin
key: [client.address, "subnet(client.address, 24)?"]
measure: { quantile: { of: duration, q: 0.99 } }
window: { size: 10m, slide: 30s, lateness: 1m }
detect:
  - { above: 20, for: 5m }
  - { below: 0.5 }
  - silence: { after: 5m, during: { days: [fri-mon, wed], hours: "9:30-24:00", zone: Europe/Berlin } }
finding:
  summary: "{client.address} tried {value} in {window}"
  mute: 10m
`;
  expect(parseRule(text, 'r.yaml')).toEqual({
    problems: [],
    rule: {
      id: 'auth_passkey_enumeration',
      title: 'One address tries many e-mail addresses',
      category: 'auth',
      severity: 'high',
      status: 'dormant',
      needs: [{ dataset: 'heroku.app', forMs: 86_400_000 }],
      from: ['heroku.app'],
      where: { op: 'test', field: 'event.name', test: 'equals', values: ['passkey.begin'], every: false, cased: false },
      key: [
        { field: 'client.address', optional: false, transform: 'none' },
        { field: 'client.address', optional: true, transform: 'subnet', bits: 24 },
      ],
      measure: { kind: 'quantile', field: 'duration', q: 0.99, sketch: 'tdigest' },
      window: { sizeMs: 600_000, slideMs: 30_000, latenessMs: 60_000 },
      detect: [
        { kind: 'above', threshold: 20, forMs: 300_000 },
        { kind: 'below', threshold: 0.5, forMs: 0 },
        { kind: 'silence', afterMs: 300_000, during: { days: [0, 1, 3, 5, 6], startMinute: 570, endMinute: 1440, zone: 'Europe/Berlin' } },
      ],
      early: false,
      finding: { summary: '{client.address} tried {value} in {window}', muteMs: 600_000 },
    },
  });
});

test('what a rule leaves out has its default', () => {
  expect(parse().rule).toEqual({
    id: 'auth_scan',
    title: 'Many of them',
    category: 'other',
    severity: 'high',
    status: 'live',
    needs: [],
    from: [],
    where: { op: 'all', of: [] },
    key: [{ field: 'client.address', optional: false, transform: 'none' }],
    measure: { kind: 'count' },
    window: { sizeMs: 600_000, slideMs: 10_000, latenessMs: 10_000 },
    detect: [{ kind: 'above', threshold: 20, forMs: 0 }],
    early: false,
    finding: { summary: 'Many of them', muteMs: 0 },
  });
});

test('lateness is the rule’s, else the deployment’s, else 10 s', () => {
  const text = (window: string) => [...Object.values({ ...base, window })].join('\n');
  const lateness = (window: string, defaults?: { latenessMs: number }) => parseRule(text(window), 'r', defaults).rule?.window.latenessMs;
  expect(lateness('window: 10m')).toBe(10_000);
  expect(lateness('window: { size: 10m }')).toBe(10_000);
  expect(lateness('window: { size: 10m }', { latenessMs: 5 })).toBe(5);
  expect(lateness('window: { size: 10m, lateness: 1s }', { latenessMs: 5 })).toBe(1000);
});

test('a rule that only watches for silence has a window as long as its longest silence', () => {
  const { rule } = parse({ window: '', detect: 'detect: [{ silence: { after: 5m } }, { silence: { after: 30m } }]' });
  expect(rule?.window).toEqual({ sizeMs: 1_800_000, slideMs: 30_000, latenessMs: 10_000 });
});

test('key: all has no parts, and silence without hours counts always', () => {
  const { rule } = parse({ key: 'key: all', detect: 'detect: { silence: { after: 1m } }' });
  expect(rule?.key).toEqual([]);
  expect(rule?.detect).toEqual([{ kind: 'silence', afterMs: 60_000, during: undefined }]);
});

for (const [measure, spec] of [
  ['{ sum: a }', { kind: 'sum', field: 'a' }],
  ['{ distinct: user.email }', { kind: 'distinct', field: 'user.email' }],
  ['{ distinct: { of: user.email } }', { kind: 'distinct', field: 'user.email' }],
  ['{ distinct: { of: user.email, precision: 11 } }', { kind: 'distinct', field: 'user.email' }],
  ['{ distinct: { of: user.email, precision: 14 } }', { kind: 'distinct', field: 'user.email', precision: 14 }],
  ['{ quantile: { of: a, q: 0.5, sketch: histogram } }', { kind: 'quantile', field: 'a', q: 0.5, sketch: 'histogram' }],
  [
    '{ ratio: { of: { a|gte: 500 }, minCount: 10 } }',
    { kind: 'ratio', of: { op: 'test', field: 'a', test: 'gte', values: [500], every: false, cased: false }, minCount: 10 },
  ],
] as const) {
  test(`measure ${measure}`, () => {
    expect(parse({ measure: `measure: ${measure}` }).rule?.measure).toEqual(spec);
  });
}

// Each mistake: the line that makes it, and what must be said of it.
const mistakes: readonly (readonly [changes: Record<string, string>, ...said: string[]])[] = [
  [{ id: 'id: Auth-Scan' }, 'r.yaml:1: id: expected lower-case letters, digits and _', 'found "Auth-Scan"'],
  [{ title: '' }, 'r.yaml:1: title: expected text, found nothing'],
  [{ severity: 'severity: hihg' }, 'r.yaml:3: severity: expected one of low, medium, high, critical, found "hihg"; did you mean "high"?'],
  [{ severity: 'severty: high' }, 'r.yaml:3: severty: expected one of', 'found "severty"; did you mean "severity"?'],
  [{ title: 'title: [a]' }, 'r.yaml:2: title: expected text, found a list'],
  [{ key: 'key: [a, b, c, d, e]' }, 'r.yaml:4: key: expected at most 4 entries'],
  [{ key: 'key: [a, a]' }, 'r.yaml:4: key[1]: expected every part once'],
  [{ key: 'key: []' }, 'r.yaml:4: key: expected at least 1 entries'],
  [{ key: 'key: [all, b]' }, 'r.yaml:4: key[0]: expected `all` alone'],
  [{ key: 'key: dmain(x)' }, 'found "dmain"; did you mean "domain"?'],
  [{ key: 'key: domain(x, 3)' }, 'expected domain(field), found'],
  [{ key: 'key: subnet(x)' }, 'expected subnet(field, bits from 1 to 128)'],
  [{ key: 'key: subnet(x, 129)' }, 'expected subnet(field, bits from 1 to 128)'],
  [{ key: 'key: [subnet(x, 24)]' }, 'a comma ends an entry'],
  [{ measure: 'measure: cuont' }, 'r.yaml:5: measure: expected count, or a map', 'found "cuont"; did you mean "count"?'],
  [{ measure: 'measure: { distnct: a }' }, 'r.yaml:5: measure.distnct: expected one of', 'did you mean "distinct"?'],
  [{ measure: 'measure: { sum: a, avg: a }' }, 'expected exactly one measure', 'found sum and avg'],
  [{ measure: 'measure: { quantile: { of: a, q: 99 } }' }, 'measure.quantile.q: expected less than 1, found 99'],
  [{ measure: 'measure: { quantile: { of: a, q: 0.9, sketch: tdigset } }' }, 'did you mean "tdigest"?'],
  [{ measure: 'measure: { distinct: domain(a) }' }, 'measure.distinct: expected the name of a field'],
  [{ measure: 'measure: { distinct: { of: a, precision: 15 } }' }, 'measure.distinct.precision: expected at most 14, found 15'],
  [
    { measure: 'measure: { distinct: { of: a, precision: 14 } }', window: 'window: { size: 2h, slide: 1s }' },
    'window.slide: expected at most 4096 slides in the window of a distinct count with precision 14, found 7200',
  ],
  [{ window: 'window: 10' }, 'r.yaml:6: window: expected a duration above zero such as 10m, or a map', 'found 10'],
  [{ window: 'window: 0s' }, 'window: expected a duration above zero'],
  [{ window: 'window: { size: 10m, slide: 7s }' }, 'window.slide: expected a slide that divides the size 10m, such as 10s, found "7s"'],
  [{ window: '' }, 'window: expected a duration such as 10m, found nothing'],
  [{ detect: 'detect: { abov: 3 }' }, 'r.yaml:7: detect.abov:', 'did you mean "above"?'],
  [{ detect: 'detect: { above: many }' }, 'detect.above: expected a number, found "many"'],
  [{ detect: 'detect: { above: 1, below: 2 }' }, 'expected exactly one detector', 'found above and below'],
  [{ detect: 'detect: { silence: { after: 5m }, for: 5m }' }, 'detect.for: expected "for" only beside above or below'],
  [{ detect: 'detect: { silence: { after: 5 } }' }, 'detect.silence.after: expected a duration above zero such as 5m, or learned, found 5'],
  [{ detect: 'detect: { silence: { after: 5m, during: { hours: "22:00-06:00" } } }' }, 'the first before the second'],
  [{ detect: 'detect: { silence: { after: 5m, during: { zone: Mars } } }' }, 'expected a time zone'],
  [{ detect: 'detect: { silence: { after: 5m, during: { days: monday } } }' }, 'expected days such as mon-fri'],
  [{ status: 'status: retired' }, 'r.yaml:8: status: expected a `reason`'],
  [{ status: 'status: dormant' }, 'r.yaml:8: status: expected `needs`'],
  [{ early: 'early: true', measure: 'measure: { avg: a }' }, 'early: expected one of the measures count, distinct, sum, max', 'found avg'],
  [{ early: 'early: true', detect: 'detect: { below: 1 }' }, 'early: expected a detector `above`'],
  [{ finding: 'finding: { summary: "{kye} {client.address} {user.id}" }' }, 'found "{kye}"; did you mean "key"?', 'found "{user.id}"'],
  [{ finding: 'finding: { mute: 10 }' }, 'finding.mute: expected a duration such as'],
  [{ where: 'where: { a|contians: x }' }, 'r.yaml:8: where["a|contians"]: expected a modifier', 'did you mean "contains"?'],
  [{ where: 'where:\n  a:\n    - ok\n    - [x]' }, 'r.yaml:11: where.a[1]: expected a value or a list of values, found a list'],
  [{ where: 'where: { a|re: ["ok", "("] }' }, 'where["a|re"][1]: expected a JavaScript regular expression, found "("'],
  [{ where: 'where: { a|cidr: 10.0.0.0/33 }' }, 'expected a network such as 10.0.0.0/8'],
  [{ where: 'where: { a|gt: x }' }, 'expected a number, found "x"'],
  [{ where: 'where: { a|exists: yes }' }, 'expected true or false, found "yes"'],
  [{ where: 'where: { a|contains|endswith: x }' }, 'expected one modifier that compares, found "contains" and "endswith"'],
  [{ where: 'where: { a|contains: null }' }, 'expected text, found null'],
  [{ where: 'where: { a: [] }' }, 'expected at least one value, found an empty list'],
  [{ where: 'where: { sel: { a: 1 } }' }, 'named selections need `condition:`'],
  [{ where: 'where: 5.5.5\nreason: ""' }, 'reason: expected at least 1 characters'],
  [
    { where: 'where: { sel: { a: 1 }, filter: { b: 1 }, condition: sel }' },
    'expected the condition to use every selection, found none of "filter"',
  ],
  [
    { where: 'where: { sel: { a: 1 }, condition: sle }' },
    'where.condition: expected one of the selections sel, found "sle"; did you mean "sel"?',
  ],
  [{ where: 'where: { sel: { a: 1 }, condition: "sel and" }' }, 'expected the name of a selection, found the end'],
  [{ where: 'where: { sel: { a: 1 }, condition: "(sel" }' }, 'expected ")", found the end'],
  [{ where: 'where: { sel: { a: 1 }, condition: "sel sel" }' }, 'expected "and", "or" or the end, found "sel"'],
  [{ where: 'where: { sel: { a: 1 }, condition: "1 of x_*" }' }, 'expected a selection that "x_*" names'],
  [{ where: 'where: { sel: { a: 1 }, condition: "sel | count() > 5" }' }, 'counting is said by measure'],
  [{ where: `where: { sel: { a: 1 }, condition: "${'('.repeat(60)}sel${')'.repeat(60)}" }` }, 'expected at most 50 levels'],
  [{ id: 'id: a\nid: b' }, 'r.yaml:2: expected every key once in a map, found the same key again'],
  [{ id: 'id: [' }, 'expected valid YAML'],
];

for (const [changes, ...said] of mistakes) {
  test(`told: ${Object.values(changes).join('; ').slice(0, 90)}`, () => {
    const problems = problemsOf(changes).join('\n');
    for (const text of said) expect(problems).toContain(text);
  });
}

test('every mistake of a rule is told at once, in the order of its lines', () => {
  const problems = problemsOf({
    id: 'id: X',
    severity: 'severity: no',
    key: 'key: f(x)',
    measure: 'measure: { sum: 3 }',
    status: 'status: retired',
    wat: 'wat: 1',
  });
  expect(problems.map((problem) => problem.split(':').slice(1, 3).join(':'))).toEqual([
    '1: id',
    '3: severity',
    '4: key',
    '5: measure.sum',
    '8: status',
    '9: wat',
  ]);
});

for (const detector of [
  'unusual: { history: 7d, baseline: hour-of-week, direction: up, sigma: 3, atLeast: 5 }',
  'percentile: { p: 99.9, history: 7d }',
  'drift: { history: 7d }',
  'benford: {}',
  'ks: { history: 7d, alpha: 1e-4 }',
  'sequence: { then: { a: 1 }, within: 10m, without: { b: 2 } }',
  'chain: { id: a, previous: b, sequence: c, verify: { hmac: x } }',
  'pattern: { of: user.email, atLeast: 5 }',
  'novel: { of: a, history: 7d }',
]) {
  const name = detector.slice(0, detector.indexOf(':'));
  test(`${name} is refused by name, and its form is checked`, () => {
    expect(problemsOf({ detect: `detect: { ${detector} }` })).toEqual([
      `r.yaml:7: detect: not yet: detector \`${name}\` is not built in this version`,
    ]);
    expect(problemsOf({ detect: `detect: { ${name}: { nonsense: 1 } }` }).join('\n')).toContain(`detect.${name}.nonsense: expected`);
  });
}

test('a learned silence and whole distributions are refused by name', () => {
  expect(problemsOf({ detect: 'detect: { silence: { after: learned } }' })).toEqual([
    'r.yaml:7: detect: not yet: detector `silence: {after: learned}` is not built in this version',
  ]);
  expect(problemsOf({ measure: 'measure: { digits: a }' })).toEqual([
    'r.yaml:5: measure: not yet: measure `digits` is not built in this version',
  ]);
});

for (const [what, text] of [
  ['nothing', ''],
  ['a list', '- 1'],
  ['a number', '7'],
  [
    'a bomb of aliases',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
  ],
  ['deep nesting', '['.repeat(20_000)],
  ['a bad anchor', 'a: *nobody'],
  ['binary', '\u0000\u0001\ufffe'],
]) {
  test(`${what} is a mistake, not a crash`, () => {
    const { rule, problems } = parseRule(text, 'r.yaml');
    expect(rule).toBeUndefined();
    expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) expect(problem).toMatch(/^r\.yaml:\d+: /);
  });
}
