/** docs/deploy/prometheus-rules.yaml: every metric and label in it is one that `/metrics` has; where promtool is there, it fires as it should. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { Counters, countBy } from '../../processors/counters.ts';
import { Metrics } from '../../src/http/metrics.ts';
import { builtCommand, root } from '../support/build.ts';
import { Command } from '../support/command.ts';
import { freePorts } from '../support/port.ts';
import { output } from '../support/program.ts';
import { tempDir } from '../support/temp-dir.ts';

const file = join(root, 'docs', 'deploy', 'prometheus-rules.yaml');
const text = readFileSync(file, 'utf8');
const { groups } = parse(text) as { groups: { rules: { alert: string; expr: string; labels: Record<string, string> }[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** What `/metrics` shows of a run in which something of everything went wrong. */
async function shownMetrics(): Promise<string> {
  const failing = { ok: false, retries: 0, dropped: { too_old: 3 } };
  const status = {
    sources: [{ name: 'kafka:logs', health: { ...failing, lagRecords: 7 } }],
    sinks: [{ name: 'loki', health: failing }],
    reasons: () => [],
  };
  const checkpoint = { count: 1, stateBytes: 1, writtenBytes: 1, tookMs: 1, savedMs: 0 };
  const counters = new Counters();
  countBy(counters.lostRecords, 'expired', 7);
  const input = { counters: () => counters, watermarkMs: () => 0, checkpoint: () => checkpoint, rulesRun: () => 6 };
  const metrics = new Metrics(input, status);
  const shown = await metrics.text();
  metrics.stop();
  return shown;
}

test('they name metrics and labels that are there, and routes that Alertmanager has', async () => {
  const shown = await shownMetrics();
  const names = new Set(rules.flatMap(({ expr }) => expr.match(/streamgauge_\w+/g) ?? []));
  expect(names.size).toBeGreaterThan(5);
  for (const name of names) expect(shown, name).toMatch(new RegExp(`^${name}[{ ]`, 'm'));
  expect(shown).toContain('streamgauge_health_reason{reason="source_failing",severity="failing"} 1');
  expect(shown).toContain('streamgauge_sink_findings_dropped_total{sink="loki",reason="too_old"} 3');
  const routes = readFileSync(join(root, 'docs', 'deploy', 'alertmanager.yaml'), 'utf8');
  for (const { labels } of rules) expect(routes).toContain(`matchers: ['route="${labels.route}"']`);
});

test('a process whose drains have a topic behind them does not pass for one that judges', async () => {
  builtCommand();
  const [nobody] = await freePorts(1);
  const rulesOf = async (to: string) => {
    const cwd = await tempDir();
    const drain = `drain: { path: /drain/json, dataset: app, to: ${to} }`;
    const config = `rules: [builtin]\nhttp: { listen: "127.0.0.1:0" }\nsources:\n  - ${drain}\nsinks: [{ file: { path: ./findings.jsonl } }]\n`;
    await writeFile(join(cwd, 'streamgauge.yaml'), config);
    const run = Command.start(['run'], { cwd });
    const shown = await (await fetch(`${await run.address()}/metrics`)).text();
    return /^streamgauge_rules (\d+)$/m.exec(shown)?.[1];
  };
  expect(await rulesOf('engine')).toBe('6');
  // It answers before it has reached the broker.
  expect(await rulesOf(`{ kafka: { topic: logs, driver: kafkajs, brokers: ["127.0.0.1:${nobody}"] } }`)).toBe('0');
}, 60_000);

const noPromtool = output('promtool', ['--version']) === undefined;
if (noPromtool) console.log('skipping promtool on the rules for Prometheus: it is not here (apt-get install prometheus)');
test.skipIf(noPromtool)('promtool takes them; each fires for what it is for, and not before its time', () => {
  expect(output('promtool', ['check', 'rules', file])).toContain(`SUCCESS: ${rules.length} rules found`);
  expect(output('promtool', ['test', 'rules', join(root, 'test', 'docs', 'prometheus-rules.test.yaml')])).toContain('SUCCESS');
});

test.skipIf(noPromtool)('promtool finds nothing wrong with the names of the metrics', async () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: await shownMetrics(), encoding: 'utf8' });
  expect(`${stdout}${stderr}`).toBe('');
  expect(status).toBe(0);
});
