import { expect, test } from 'vitest';
import { datasetHeader, isDatasetName } from '../../../processors/decode/dataset-header.ts';
import { rejectHeader } from '../../../processors/decode/reject-header.ts';
import { Pipeline } from '../../../processors/pipeline.ts';
import { anyDataset, type RecordBatch } from '../../../processors/record.ts';
import { ruleOf } from '../../support/rules.ts';
import { decodeOne } from './decode-lines.ts';

const named = (dataset: string) => ({ headers: { [datasetHeader]: dataset } });
const router =
  '<158>1 2026-01-05T12:00:00+00:00 host heroku router - at=info method=GET path="/" host=example.org request_id=1 fwd="192.0.2.1" dyno=web.1 connect=0ms service=3ms status=200 bytes=5';

test.each([
  ['logplex', router, 'shop.router'],
  ['auto', '{"a":1}', 'shop'],
  ['auto', 'just a line', 'shop'],
  ['json', '[{"a":1}]', 'shop'],
  ['logfmt', 'a=1 b=2', 'shop'],
  ['cri', '2026-01-05T12:00:00.5Z stdout F a=1 b=2', 'shop'],
  ['plain', 'just a line', 'shop'],
])('a drained record belongs to the dataset of its drain: %s, %s', (format, line, dataset) => {
  expect(decodeOne(line, ['a'], { ...named('shop'), format }).dataset).toBe(dataset);
});

test('a part of Heroku is below the dataset of the record, where it has one of its own', () => {
  expect(decodeOne(router, [], named('heroku')).dataset).toBe('heroku.router');
  expect(decodeOne(router, []).dataset).toBe('app.router');
});

test('what an event says of itself goes before the header', () => {
  expect(decodeOne('{"dataset":"nginx"}', ['a'], named('shop')).dataset).toBe('nginx');
});

test.each([
  ['', false],
  ['x'.repeat(128), true],
  ['x'.repeat(129), false],
  ['x'.repeat(1_000_000), false],
  ['two words', false],
  ['line\nbreak', false],
  ['größe', false],
  ['\u0000', false],
  ['__proto__', true],
])('a header that names no dataset says nothing (%#)', (text, valid) => {
  expect(isDatasetName(text)).toBe(valid);
  expect(decodeOne('{"a":1}', ['a'], named(text)).dataset).toBe(valid ? text : 'app');
});

const baseMs = Date.parse('2026-01-05T12:00:00Z');
const silence = (from: string) =>
  ruleOf(
    `id: silent_${from}\nfrom: [${from}]\nkey: all\nmeasure: count\nwindow: { size: 60s, slide: 5s, lateness: 5s }\ndetect: { silence: { after: 60s } }`,
  );

/** Of one partition: an event of each dataset, what comes between, an event of each 200 s later. The rules that found a silence. */
function silentAfter(...between: RecordBatch['records'][number][]): string[] {
  const event = (dataset: string, second: number) => ({
    value: Buffer.from(JSON.stringify({ time: baseMs + second * 1000 })),
    offset: 0,
    timestampMs: Number.NaN,
    ...named(dataset),
  });
  const all = [event('heroku', 0), event('nginx', 0), ...between, event('heroku', 200), event('nginx', 200)];
  const records = all.map((record, offset) => ({ ...record, offset }));
  const pipeline = new Pipeline([silence('heroku'), silence('nginx')]);
  const findings = pipeline.process({ topic: 'logs', partition: 0, dataset: 'app', format: 'json', records });
  return [...new Set([...findings, ...pipeline.finish()].map(({ rule }) => rule))].sort();
}

test('what a topic lost may be of any dataset that its records have', () => {
  const event = (second: number, offset: number): RecordBatch => ({
    ...{ topic: 'logs', partition: 0, dataset: 'app', format: 'json' },
    records: [{ value: Buffer.from(`{"time":${baseMs + second * 1000}}`), offset, timestampMs: Number.NaN, ...named('heroku') }],
  });
  const silent = (dataset: string) => {
    const pipeline = new Pipeline([silence('heroku')]);
    pipeline.process(event(0, 0));
    pipeline.loss('logs/0', dataset, 'expired', 5);
    return pipeline.process(event(200, 6)).length > 0;
  };
  expect([silent('app'), silent(anyDataset)]).toEqual([true, false]);
});

test('what could not be decoded is missing in the dataset of its drain; of two datasets, in any', () => {
  const garbage = (dataset: string) => ({ value: Buffer.from('{"x'), offset: 0, timestampMs: Number.NaN, ...named(dataset) });
  expect(silentAfter()).toEqual(['silent_heroku', 'silent_nginx']);
  expect(silentAfter(garbage('heroku'))).toEqual(['silent_nginx']);
  expect(silentAfter(garbage('heroku'), garbage('nginx'))).toEqual([]);
  const frame = { ...garbage('nginx'), headers: { [rejectHeader]: 'bad_frame', [datasetHeader]: 'nginx' } };
  expect(silentAfter(frame)).toEqual(['silent_heroku']);
});
