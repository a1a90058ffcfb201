/** docs/operations.md names every self-finding, every reason of `/healthz` and every metric that there is, and none that is not. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Counters } from '../../processors/counters.ts';
import { Metrics } from '../../src/http/metrics.ts';
import { root } from '../support/build.ts';

const text = readFileSync(join(root, 'docs', 'operations.md'), 'utf8');
const rules = readFileSync(join(root, 'docs', 'deploy', 'prometheus-rules.yaml'), 'utf8');
const sources = ['src', 'processors']
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(root, folder, name)))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n');

const all = (of: string, pattern: RegExp) => [...new Set([...of.matchAll(pattern)].map(([, name]) => name))].sort();
/** From one heading of the second level to the next. */
const section = (heading: string) => text.split(/^## /m).find((part) => part.startsWith(heading)) ?? '';

test('every finding about ourselves has its entry: what it means, what to look at, what to do', () => {
  const inCode = all(sources, /'(streamgauge\.[a-z_]+)'/g).filter((name) => name !== 'streamgauge.yaml');
  expect(inCode.length).toBeGreaterThan(5);
  const entries = section('What it says of itself').split(/^### /m).slice(1);
  expect(entries.map((entry) => /^`([^`]+)`$/m.exec(entry)?.[1]).sort()).toEqual(inCode);
  for (const entry of entries) expect(entry).toMatch(/\*Look at\* [\s\S]+\*Do\*: /);
});

test('every reason of /healthz has its row', () => {
  const inCode = all(sources, /reason: '([a-z_]+)',\s*severity/g);
  expect(inCode.length).toBeGreaterThan(5);
  expect(all(section('What `/healthz` says'), /^\| `(\w+)` \|/gm)).toEqual(inCode);
});

test('every metric has its place, once, and those worth an alert have one', () => {
  const metrics = new Metrics({ counters: () => new Counters() }, { sources: [], sinks: [], reasons: () => [] });
  const names = metrics.registry.getMetricsAsArray().map(({ name }) => name);
  metrics.stop();
  const rows = section('What `/metrics` says');
  const told = [...rows.matchAll(/^\|(.*?)\| /gm)].flatMap(([, cell]) => cell.match(/streamgauge_\w+/g) ?? []);
  expect(told.sort()).toEqual(names.sort());
  const worthAnAlert = rows.slice(0, rows.indexOf('To look at:')).match(/(?<=`)streamgauge_\w+(?=`)/g) ?? [];
  expect(worthAnAlert.filter((name) => !rules.includes(name))).toEqual([]);
  expect(worthAnAlert.length).toBeGreaterThan(5);
});
