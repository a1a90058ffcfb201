import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Finding } from '../../../processors/detect/finding.ts';
import { cloudEventHeaders, findingJson, toOcsf } from '../../../processors/detect/ocsf.ts';
import { findingSchema } from '../../../schemas/finding.ts';

const base: Finding = {
  id: '9f2c1a7be4d05566',
  activity: 'open',
  sequence: 0,
  timeMs: 1_795_232_895_000,
  rule: 'auth_passkey_enumeration',
  title: 'One address tries many e-mail addresses',
  category: 'auth',
  severity: 'high',
  status: 'live',
  summary: '203.0.113.9 tried 21 e-mail addresses in 10m',
  key: { 'client.address': '203.0.113.9' },
  measure: 'distinct(user.email)',
  detector: 'above',
  value: 21,
  valueError: 0,
  threshold: 20,
  windowStartMs: 1_795_232_295_000,
  windowEndMs: 1_795_232_895_000,
  openedMs: 1_795_232_885_000,
  early: false,
  degraded: false,
  late: 0,
  evicted: 0,
  countErr: 0,
  samples: [{ topic: 'logs', partition: 2, offset: 4711, text: '{"event":"passkey.begin"}' }],
};

/** What a reader of the wire sees; fails if the schema does not know a field that is written. */
function sent(change: Partial<Finding> = {}) {
  const raw: unknown = JSON.parse(findingJson({ ...base, ...change }));
  const parsed = findingSchema.parse(raw);
  expect(parsed).toEqual(raw);
  return parsed;
}

describe('a finding on the wire', () => {
  test('has every field that OCSF 1.8.0 requires of a Detection Finding, and ours under unmapped', () => {
    expect(findingJson(base)).toBe(
      '{"class_uid":2004,"class_name":"Detection Finding","category_uid":2,"category_name":"Findings","activity_id":1,' +
        '"activity_name":"Create","type_uid":200401,"time":1795232895000,"severity_id":4,"severity":"High","status_id":1,"status":"New",' +
        '"is_alert":true,"confidence_id":3,"confidence":"High","message":"203.0.113.9 tried 21 e-mail addresses in 10m",' +
        '"start_time":1795232295000,"end_time":1795232895000,"metadata":{"version":"1.8.0","product":{"name":"streamgauge",' +
        '"vendor_name":"streamgauge"},"uid":"9f2c1a7be4d05566:open:0","sequence":0},"finding_info":{"uid":"9f2c1a7be4d05566",' +
        '"title":"One address tries many e-mail addresses","types":["auth"],"analytic":{"uid":"auth_passkey_enumeration","name":"above",' +
        '"type_id":1,"type":"Rule"},"first_seen_time":1795232885000,"last_seen_time":1795232895000},' +
        '"evidences":[{"src_endpoint":{"ip":"203.0.113.9"}}],"unmapped":{"rule":"auth_passkey_enumeration",' +
        '"key":{"client.address":"203.0.113.9"},"measure":"distinct(user.email)","detector":"above","value":21,"valueError":0,' +
        '"threshold":20,"windowStart":1795232295000,"windowEnd":1795232895000,"degraded":false,"early":false,"late":0,"evicted":0,' +
        '"countErr":0,"status":"live","samples":[{"topic":"logs","partition":2,"offset":4711,"text":"{\\"event\\":\\"passkey.begin\\"}"}]}}',
    );
    sent();
  });

  test.each([
    ['open', 1, 1],
    ['update', 2, 2],
    ['close', 3, 4],
  ] as const)('%s is activity %i with status %i', (activity, activityId, statusId) => {
    const finding = sent({ activity, sequence: 3 });
    expect([finding.activity_id, finding.type_uid, finding.status_id]).toEqual([activityId, 200400 + activityId, statusId]);
    expect(finding.metadata).toMatchObject({ uid: `${base.id}:${activity}:3`, sequence: 3 });
  });

  test.each([
    ['low', 2],
    ['medium', 3],
    ['high', 4],
    ['critical', 5],
  ] as const)('severity %s is %i', (severity, id) => {
    expect(sent({ severity }).severity_id).toBe(id);
  });

  test('of a rule in shadow is no alert', () => {
    expect(sent({ status: 'shadow' }).is_alert).toBe(false);
  });

  test('is less sure when its value is an estimate, and least when its input was incomplete', () => {
    expect(sent({ valueError: 0.008 }).confidence_id).toBe(2);
    expect(sent({ countErr: 3 }).confidence_id).toBe(2);
    expect(sent({ valueError: 0.008, degraded: true }).confidence_id).toBe(1);
  });

  test.each([
    [{ 'client.address': '2001:db8::7' }, { src_endpoint: { ip: '2001:db8::7' } }],
    [{ 'client.address': 'edge-7.example' }, { src_endpoint: { hostname: 'edge-7.example' } }],
    [{ 'user.email': 'a@b.example' }, { user: { name: 'a@b.example', email_addr: 'a@b.example' } }],
    [{ 'user.id': 'u7', 'user.email': 'a@b.example' }, { user: { uid: 'u7', name: 'a@b.example', email_addr: 'a@b.example' } }],
    [{ 'http.route': '/login' }, { url: { path: '/login' } }],
    [{ 'http.route': '/users/{id}', 'url.path': '/users/7' }, { url: { path: '/users/7' } }],
    [
      { 'client.address': '203.0.113.9', 'url.path': '/x' },
      { src_endpoint: { ip: '203.0.113.9' }, url: { path: '/x' } },
    ],
    [{}, { data: { key: {}, measure: 'distinct(user.email)', value: 21 } }],
    [
      { 'domain(user.email)': 'b.example' },
      { data: { key: { 'domain(user.email)': 'b.example' }, measure: 'distinct(user.email)', value: 21 } },
    ],
    [{ 'client.address': '' }, { data: { key: { 'client.address': '' }, measure: 'distinct(user.email)', value: 21 } }],
  ])('of key %o has evidence that OCSF accepts', (key: Record<string, string>, evidence) => {
    expect(sent({ key }).evidences).toEqual([evidence]);
  });

  test('names the service of its key as a resource', () => {
    expect(sent({ key: { 'service.name': 'web' } }).resources).toEqual([{ name: 'web', type: 'service' }]);
  });

  test('says what it expected, by how much chance, and why a sample is missing', () => {
    const finding = sent({
      threshold: undefined,
      expected: 4.5,
      p: 1e-9,
      chanceRatePerDay: 0.002,
      detector: 'unusual',
      samples: [{ topic: 'logs', partition: 0, offset: 7, unreadable: 'gone: retention' }],
    });
    expect(finding.unmapped).toMatchObject({ expected: 4.5, p: 1e-9, chanceRatePerDay: 0.002 });
    expect('threshold' in finding.unmapped).toBe(false);
    expect(finding.unmapped.samples).toEqual([{ topic: 'logs', partition: 0, offset: 7, unreadable: 'gone: retention' }]);
    expect(finding.finding_info.analytic).toMatchObject({ type_id: 3, type: 'Statistical' });
  });

  test('carries the version of the program where it is given', () => {});

  test('is one line of valid JSON, whatever the log put into it', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(text, text, fc.double(), fc.constantFrom('client.address', '__proto__', '1', 'x'), (a, b, value, field) => {
        const key = Object.fromEntries([[field, b]]);
        const json = findingJson({ ...base, summary: a, key, value, samples: [{ topic: a, partition: 0, offset: 0, text: b }] });
        expect(json).not.toMatch(/[\n\r]/);
        const raw = JSON.parse(json) as { message: string; unmapped: { key: object; value: number | null } };
        expect(findingSchema.safeParse(raw).error).toBeUndefined();
        expect(Object.entries(raw.unmapped.key)).toEqual([[field, b]]);
        expect(raw.message).toBe(a);
        expect(raw.unmapped.value).toBe(Number.isFinite(value) ? value || 0 : null);
      }),
      { seed: 20261121, numRuns: 200 },
    );
  });
});

describe('the schema of a finding', () => {
  test('becomes a JSON Schema that requires what OCSF requires', () => {
    const schema = z.toJSONSchema(findingSchema) as { required: string[] };
    expect(schema.required).toEqual(
      expect.arrayContaining([
        'class_uid',
        'category_uid',
        'activity_id',
        'type_uid',
        'time',
        'severity_id',
        'metadata',
        'finding_info',
        'evidences',
        'unmapped',
      ]),
    );
  });

  test.each([
    ['class_uid', 2001],
    ['evidences', [{ http_request: { url: '/x' } }]],
    ['evidences', [{ user: { email_addr: 'a@b.example' } }]],
    ['evidences', []],
    ['severity_id', 0],
    ['finding_info', { uid: '' }],
  ])('refuses %s = %o', (field, value) => {
    expect(findingSchema.safeParse({ ...toOcsf(base), [field]: value }).success).toBe(false);
  });
});

describe('the CloudEvents headers of a finding', () => {
  test('are binary mode of 1.0, with an id that tells repeats from updates', () => {
    expect(cloudEventHeaders({ ...base, activity: 'update', sequence: 2 })).toEqual({
      ce_specversion: '1.0',
      ce_id: '9f2c1a7be4d05566:update:2',
      ce_source: '/streamgauge/rules/auth_passkey_enumeration',
      ce_type: 'io.streamgauge.finding.update',
      ce_time: '2026-11-21T03:48:15.000Z',
      ce_subject: '9f2c1a7be4d05566',
      'content-type': 'application/json',
    });
  });

  test('leave out a time that RFC 3339 has no form for', () => {
    expect('ce_time' in cloudEventHeaders({ ...base, timeMs: 253_402_300_800_000 })).toBe(false);
    expect('ce_time' in cloudEventHeaders({ ...base, timeMs: Number.NaN })).toBe(false);
  });
});
