import { expect, test } from 'vitest';
import { type LokiVerdict, lokiVerdict } from '../../../src/sink/loki-verdict.ts';

const stream = '{job="findings", severity="high"}';
const behind =
  "entry with timestamp 2026-11-21 10:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-11-21T10:00:00Z, oldest acceptable timestamp is: 2026-11-21T11:00:00Z',\n";

type Expected = { kind: LokiVerdict['kind']; entries?: number; reason?: string };
const dropped = (entries: number, reason: string): Expected => ({ kind: 'dropped', entries, reason });

/** Answers to a push of three entries, as Loki 3.4 words them unless said otherwise. */
const answers: [what: string, status: number, body: string, expected: Expected][] = [
  ['accepted', 204, '', { kind: 'done' }],
  ['nothing in the request', 422, 'error at least one valid stream is required for ingestion', { kind: 'done' }],
  ['unreadable', 400, 'loghttp.PushRequest.Streams: unmarshalerDecoder: …', { kind: 'split', reason: 'malformed' }],
  ['labels nobody can parse', 400, 'Error parsing labels \'{a-b="x"}\' with error: …', { kind: 'split', reason: 'malformed' }],
  [
    'one too old',
    400,
    `entry for stream '${stream}' has timestamp too old: 2026-11-02T10:00:00Z, oldest acceptable timestamp is: …`,
    dropped(1, 'too_old'),
  ],
  ['two too new', 400, `2 errors like: entry for stream '${stream}' has timestamp too new: 2027-01-01T00:00:00Z`, dropped(2, 'too_new')],
  [
    'two reasons at once',
    400,
    '1 errors like: Max entry size 262144 bytes exceeded; 1 errors like: Max entry size 262145 bytes exceeded',
    dropped(2, 'too_large'),
  ],
  ['too much metadata', 400, `stream '${stream}' has structured metadata too large: '70000' bytes`, dropped(1, 'too_large')],
  ['too many labels', 400, `entry for stream '${stream}' has 16 label names; limit 15`, dropped(1, 'refused')],
  ['too far behind', 400, `${behind}user 'fake', total ignored: 1 out of 3 for stream: ${stream}`, dropped(1, 'too_far_behind')],
  ['all too far behind', 400, `${behind}user 'fake', TOTAL IGNORED: 3 out of 3`, dropped(3, 'too_far_behind')],
  ['never more dropped than were sent', 400, `${behind}total ignored: 9 out of 9`, dropped(3, 'too_far_behind')],
  [
    'some too far behind, some too fast: nothing may be given up',
    400,
    `${behind}entry with timestamp … ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec)',\ntotal ignored: 2 out of 3`,
    { kind: 'retry' },
  ],
  ['no tenant', 401, 'no org id', { kind: 'misconfigured' }],
  ['two tenants', 400, 'multiple org IDs present', { kind: 'misconfigured' }],
  ['labels that a tenant must have', 400, 'missing required labels team for user fake', { kind: 'misconfigured' }],
  [
    'metadata switched off',
    400,
    `stream '${stream}' includes structured metadata, but this feature is disallowed.`,
    { kind: 'misconfigured' },
  ],
  ['wrong path', 404, '404 page not found', { kind: 'misconfigured' }],
  ['wrong method', 405, '', { kind: 'misconfigured' }],
  ['refused by a proxy', 403, '', { kind: 'misconfigured' }],
  ['blocked by config, though 2xx', 260, "ingestion blocked for user fake until '…'", { kind: 'misconfigured' }],
  ['a redirect', 302, '', { kind: 'misconfigured' }],
  ['too big', 413, '', { kind: 'split', reason: 'too_large' }],
  ['too big once decoded', 500, 'rpc error: grpc: received message larger than max (18004457 vs. 4194304)', { kind: 'split' }],
  ['too fast', 429, 'Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec)', { kind: 'retry' }],
  ['one stream too fast', 429, 'Per stream rate limit exceeded', { kind: 'retry' }],
  ['too many streams', 429, 'Maximum active stream limit exceeded when trying to create stream', { kind: 'misconfigured' }],
  ['starting', 503, 'Service Unavailable', { kind: 'retry' }],
  ['a proxy without its Loki', 502, '<html>', { kind: 'retry' }],
  ['broken', 500, 'empty ring', { kind: 'retry' }],
  ['slow', 408, '', { kind: 'retry' }],
];

test.each(answers)('an answer to a push: %s', (_, status, body, expected) => {
  expect(lokiVerdict(status, body, 3)).toMatchObject(expected);
});

test('a verdict never carries more of an answer than can be logged', () => {
  expect(JSON.stringify(lokiVerdict(503, 'x'.repeat(1_000_000), 1)).length).toBeLessThan(1000);
});
