/** What `docs/deploy` ships, against the real programs: a finding's way to whoever is woken, and every query of rules and dashboard. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Finding } from '../../processors/detect/finding.ts';
import { createTopicLog } from '../../src/sink/finding-log.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import type { LokiShipper } from '../../src/sink/loki-shipper.ts';
import { sampleFinding } from '../contracts/sink-laws.ts';
import { type Alertmanager, alertmanagerUnavailable, amtool, startAlertmanager } from '../support/alertmanager.ts';
import { root } from '../support/build.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { collect } from '../support/kafka-topic.ts';
import { type Loki, lokiUnavailable, startLoki } from '../support/loki.ts';
import { queuedLoki, shipperFrom } from '../support/loki-shipper.ts';
import { makeTempDir, tempDir } from '../support/temp-dir.ts';
import { startWebhook, type Webhook } from '../support/webhook.ts';

const shipped = (name: string) => readFileSync(path.join(root, 'docs', 'deploy', name), 'utf8');
const rulesText = shipped('loki-rules.yaml');
const routesText = shipped('alertmanager.yaml');
const rules = (parse(rulesText) as { groups: { rules: { alert: string; expr: string }[] }[] }).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(shipped('grafana/findings.json')) as {
  templating: { list: { name: string; type: string; query: unknown }[] };
  panels: { id: number; title: string; targets: { expr: string; queryType: string }[] }[];
};

const unavailable = lokiUnavailable({ own: true }) ?? alertmanagerUnavailable();
if (unavailable) console.log(`skipping the alerting suite: ${unavailable}`);
const kafkaMissing = kafkaUnavailable();
if (kafkaMissing) console.log(`alerting goes without Kafka, from a queue: ${kafkaMissing}`);

const app = `app-${randomBytes(4).toString('hex')}`;
const nowMs = Date.now();
const minuteMs = 60_000;
/** One of each severity, a closing, one in shadow, one of streamgauge itself, two told late; each of a rule of its own. */
const findings: Finding[] = [
  finding(1, { rule: 'r_critical', severity: 'critical' }),
  finding(2, { rule: 'r_high', severity: 'high' }),
  finding(3, { rule: 'r_medium', severity: 'medium' }),
  finding(4, { rule: 'r_low', severity: 'low' }),
  finding(5, { rule: 'r_shadow', severity: 'critical', status: 'shadow' }),
  finding(6, { rule: 'r_closed', severity: 'critical', activity: 'close', sequence: 1 }),
  finding(7, { rule: 'streamgauge.sink_failed', severity: 'low', detector: 'self' }),
  finding(8, { rule: 'r_critical_late', severity: 'critical', timeMs: nowMs - 20 * minuteMs }),
  finding(9, { rule: 'r_critical_old', severity: 'critical', timeMs: nowMs - 150 * minuteMs }),
];

function finding(index: number, change: Partial<Finding>): Finding {
  return { ...sampleFinding(index), id: `${app}-${index}`, timeMs: nowMs - index * 1000, ...change };
}

describe.skipIf(unavailable)('alerting', () => {
  let webhook: Webhook;
  let alertmanager: Alertmanager;
  /** The same outside of the chat's hours. */
  let nightHook: Webhook;
  let night: Alertmanager;
  let loki: Loki;
  let kafka: KafkaBroker | undefined;
  let sinks: (KafkaSink | LokiShipper)[] = [];

  beforeAll(async () => {
    webhook = await startWebhook();
    nightHook = await startWebhook();
    alertmanager = await startAlertmanager(hurried(routesText, webhook.port));
    night = await startAlertmanager(hurried(routesText, nightHook.port, inThreeDays()));
    await Promise.all([beginLoki(), beginKafka()]);
  });

  async function beginLoki(): Promise<void> {
    loki = await startLoki({
      rules: { 'streamgauge.yaml': replaced(rulesText, [['interval: 1m', 'interval: 2s']]) },
      alertmanagerUrl: `${alertmanager.url},${night.url}`,
      shipped: shipped('loki.yaml'),
    });
  }

  async function beginKafka(): Promise<void> {
    if (kafkaMissing !== undefined) return;
    kafka = await startKafka();
    await kafka.createTopics({ topic: 'findings', partitions: 3 });
  }

  afterAll(async () => {
    for (const sink of sinks) await sink.close();
    await kafka?.stop();
    await loki?.stop();
    await alertmanager?.stop();
    await night?.stop();
    await webhook?.close();
    await nightHook?.close();
  });

  /** As a run has them: the Kafka sink and the shipper behind its topic, or the shipper's own queue. */
  async function openSinks(): Promise<void> {
    if (kafka === undefined) sinks = [queuedLoki(await makeTempDir(), app, { url: loki.url })];
    else {
      const connection = { brokers: kafka.brokers, topic: 'findings' };
      const shipper = shipperFrom(createTopicLog({ ...connection, group: 'streamgauge-loki' }), app, { url: loki.url });
      sinks = [new KafkaSink(connection), shipper];
    }
    for (const sink of sinks) await sink.open();
  }

  const stored = () => loki.query(`{job="findings", app="${app}"}`, nowMs - 180 * minuteMs, Date.now() + minuteMs);
  const told = ({ received }: Webhook, receiver: string) =>
    [
      ...new Set(received.filter((one) => one.path === receiver).flatMap((one) => one.alerts.map(({ labels }) => named({ labels })))),
    ].sort();

  test('a finding goes through topic, Loki, ruler and Alertmanager, which was away, to whom it is for, and is seen at each stop', async () => {
    await alertmanager.halt();
    await openSinks();
    for (const sink of sinks) await sink.write(findings);

    if (kafka !== undefined) {
      const inTopic = await collect(kafka.brokers, 'findings');
      await expect.poll(() => inTopic.map(({ key }) => key).sort(), { timeout: 30_000 }).toEqual(findings.map(({ id }) => id).sort());
    }
    await expect
      .poll(async () => (await stored()).map(({ fields }) => fields.finding_id).sort(), { timeout: 30_000 })
      .toEqual(findings.map(({ id }) => id).sort());

    await expect.poll(() => firingInRuler(loki), { timeout: 45_000, interval: 500 }).toEqual(expectedAlerts);
    // Nobody was told, and the ruler counts that.
    const unsent = new RegExp(`prometheus_notifications_errors_total{alertmanager="${alertmanager.url}[^}]*} [1-9]`);
    const lokiMetrics = async () => (await fetch(`${loki.url}/metrics`)).text();
    await expect.poll(lokiMetrics, { timeout: 30_000, interval: 500 }).toMatch(unsent);
    expect(webhook.received).toEqual([]);
    await alertmanager.resume();
    const alerts = async () =>
      ((await (await fetch(`${alertmanager.url}/api/v2/alerts`)).json()) as { labels: Record<string, string> }[]).map(named).sort();
    await expect.poll(alerts, { timeout: 30_000 }).toEqual(expectedAlerts);

    await expect.poll(() => told(webhook, '/pager'), { timeout: 30_000 }).toEqual(pages);
    await expect.poll(() => told(webhook, '/chat'), { timeout: 30_000 }).toEqual(['HighFinding r_high']);
    await expect.poll(() => told(webhook, '/digest'), { timeout: 30_000 }).toEqual(digest);
    const page = webhook.received.find((one) => one.path === '/pager')?.alerts[0];
    expect(page?.labels).toMatchObject({ app, env: 'test', severity: 'critical', detector: 'above', rule: 'r_critical' });
    expect(page?.annotations.summary).toBe(`1 critical: r_critical on ${app} test`);
    // What the page points to finds the finding.
    expect(page?.generatorURL).toMatch(/^http:\/\/127\.0\.0\.1:3000\/explore\?.*streamgauge-loki/);
    const pointed = await loki.query(page?.annotations.description ?? '', nowMs - minuteMs, Date.now());
    expect(pointed.map(({ fields }) => fields.finding_id)).toEqual([findings[0].id]);
  }, 180_000);

  test('outside of its hours the chat is told nothing; pages go out, and the digest has what the chat did not get', async () => {
    await expect.poll(() => told(nightHook, '/pager'), { timeout: 30_000 }).toEqual(pages);
    await expect.poll(() => told(nightHook, '/digest'), { timeout: 30_000 }).toEqual(digest);
    await expect.poll(() => night.said(), { timeout: 30_000 }).toContain('route is not within active time');
    expect(told(nightHook, '/chat')).toEqual([]);
  }, 60_000);

  test('the ruler has every rule of the file, and none has an error', async () => {
    const { data } = (await loki.get('/prometheus/api/v1/rules')) as {
      data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
    };
    const loaded = data.groups.flatMap((group) => group.rules);
    expect(loaded.map(({ name }) => name)).toEqual(rules.map(({ alert }) => alert));
    for (const rule of loaded) expect(rule).toMatchObject({ health: 'ok', lastError: '' });
  });

  test.each(rules)('the query of $alert finds what it is for', async ({ expr }) => {
    const rows = await instant(loki, expr);
    expect(rows.length).toBeGreaterThan(0);
  });

  const targets = dashboard.panels.flatMap((panel) => panel.targets.map((target) => ({ title: panel.title, ...target })));
  test.each(targets)('the dashboard\u2019s "$title" has an answer', async ({ title, expr, queryType }) => {
    const filled = fill(expr);
    if (queryType === 'instant') expect((await instant(loki, filled)).length).toBeGreaterThan(0);
    else {
      const lines = await loki.query(filled, nowMs - 180 * minuteMs, Date.now() + minuteMs);
      expect(lines.length).toBeGreaterThan(0);
      if (title === 'Findings') expect(lines.length).toBe(findings.length);
    }
  });

  test('the dashboard\u2019s variables are labels that Loki has values of', async () => {
    const window = `start=${nowMs - 3_600_000}000000&end=${Date.now()}000000`;
    for (const { name, type } of dashboard.templating.list) {
      if (type !== 'query') continue;
      const { data } = (await loki.get(`/loki/api/v1/label/${name}/values?query=${encodeURIComponent('{job="findings"}')}&${window}`)) as {
        data?: string[];
      };
      expect(data?.length, name).toBeGreaterThan(0);
    }
  });
});

test('panels have ids of their own, and name no variable that the dashboard does not have', () => {
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  const known = new Set([...dashboard.templating.list.map(({ name }) => name), '__range', '__interval']);
  for (const { targets } of dashboard.panels) {
    for (const { expr } of targets) for (const [, name] of expr.matchAll(/\$(\w+)/g)) expect(known).toContain(name);
  }
});

const noAmtool = amtool('--version') === undefined;
if (noAmtool) console.log('skipping the check of the routes: no amtool (apt-get install prometheus-alertmanager)');
test.skipIf(noAmtool)('amtool takes the routes, and each alert goes where the rules say', async () => {
  const file = path.join(root, 'docs', 'deploy', 'alertmanager.yaml');
  expect(amtool('check-config', file)).toContain('SUCCESS');
  const routeOf = (...labels: string[]) => amtool('config', 'routes', 'test', `--config.file=${file}`, ...labels)?.trim();
  expect(routeOf('route=page', 'severity=critical')).toBe('pager');
  expect(routeOf('route=chat', 'severity=high')).toBe('chat');
  expect(routeOf('route=digest', 'severity=high')).toBe('digest');
  expect(routeOf('severity=low')).toBe('nobody');
  // A file with a mistake is refused, so that the check above can fail.
  const bad = path.join(await tempDir(), 'bad.yaml');
  await writeFile(bad, routesText.replace('receiver: pager', 'receiver: nowhere'));
  expect(amtool('check-config', bad)).toBeUndefined();
});

const pages = ['CriticalFinding r_critical', 'CriticalFinding r_critical_late'];
const digest = ['r_critical', 'r_critical_late', 'r_critical_old', 'r_high', 'r_medium'].map((rule) => `FindingsDigest ${rule}`);
const expectedAlerts = [...pages, ...digest, 'HighFinding r_high'];

function named({ labels }: { readonly labels: Readonly<Record<string, string>> }): string {
  return `${labels.alertname} ${labels.rule}`;
}

async function firingInRuler(loki: Loki): Promise<string[]> {
  const { data } = (await loki.get('/prometheus/api/v1/alerts')) as {
    data: { alerts: { state: string; labels: Record<string, string> }[] };
  };
  return data.alerts
    .filter(({ state }) => state === 'firing')
    .map(named)
    .sort();
}

async function instant(loki: Loki, logql: string): Promise<object[]> {
  const { data } = (await loki.get(`/loki/api/v1/query?query=${encodeURIComponent(logql)}`)) as { data: { result: object[] } };
  return data.result;
}

/** As Grafana fills them in for the last hour, with "All" everywhere. */
function fill(expr: string): string {
  return expr
    .replaceAll('$__range', '1h')
    .replaceAll('$__interval', '1m')
    .replace(/\$(app|env|severity|detector|rule)\b/g, '.*')
    .replaceAll('$search', '');
}

/** The routes with seconds for minutes, every hour of these days an hour to be told in, and the test's own receiver. */
function hurried(text: string, port: number, chatDays = 'sunday:saturday'): string {
  return replaced(text, [
    ['group_wait: 30s', 'group_wait: 1s'],
    ['group_wait: 10s', 'group_wait: 1s'],
    ['group_wait: 1m', 'group_wait: 1s'],
    ['group_interval: 5m', 'group_interval: 2s'],
    ['group_interval: 10m', 'group_interval: 2s'],
    ["[{ start_time: '09:00', end_time: '17:30' }]", "[{ start_time: '00:00', end_time: '24:00' }]"],
    ["weekdays: ['monday:friday']", `weekdays: ['${chatDays}']`],
    ["[{ start_time: '09:00', end_time: '09:15' }]", "[{ start_time: '00:00', end_time: '24:00' }]"],
    ['http://127.0.0.1:9909/', `http://127.0.0.1:${port}/`],
  ]);
}

/** A day that is not today, however long the test takes. */
function inThreeDays(): string {
  return ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'][(new Date().getUTCDay() + 3) % 7];
}

function replaced(text: string, pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`the shipped file no longer has "${from}"`);
    return changed.replaceAll(from, to);
  }, text);
}
