/** The Loki sink in a run: from a queue on disk, from the topic of findings, with Loki away when it matters. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createTopicLog } from '../../src/sink/finding-log.ts';
import { KafkaSink } from '../../src/sink/kafka.ts';
import { sampleFinding } from '../contracts/sink-laws.ts';
import { builtCommand } from '../support/build.ts';
import { Command, command } from '../support/command.ts';
import { type KafkaBroker, kafkaUnavailable, startKafka } from '../support/kafka-broker.ts';
import { produce } from '../support/kafka-topic.ts';
import { type Loki, type LokiLine, lokiUnavailable, startLoki } from '../support/loki.ts';
import { shipperFrom } from '../support/loki-shipper.ts';
import { findingsOf, manyRequests, requests, writeRule } from '../support/many-requests.ts';
import { tempDir } from '../support/temp-dir.ts';

const unavailable = lokiUnavailable({ own: true });
if (unavailable) console.log(`skipping the Loki sink in a run: ${unavailable}`);
const kafkaMissing = kafkaUnavailable();
if (kafkaMissing) console.log(`skipping the Loki sink behind a topic: ${kafkaMissing}`);

const hourMs = 3_600_000;
/** What a finding became, one by one: uid, activity and sequence. */
const names = (lines: readonly LokiLine[]) =>
  lines.map(({ line }) => JSON.parse(line)).map(({ finding_id, activity, sequence }) => `${finding_id}:${activity}:${sequence}`);

describe.skipIf(unavailable)('the Loki sink in a run', () => {
  let loki: Loki;
  let kafka: KafkaBroker | undefined;
  beforeAll(async () => {
    builtCommand();
    loki = await startLoki();
    if (kafkaMissing === undefined) kafka = await startKafka();
  });
  afterAll(async () => {
    await kafka?.stop();
    await loki?.stop();
  });

  /** Stopped for as long as `task` takes. */
  async function without<T>(task: () => Promise<T>): Promise<T> {
    await loki.halt('SIGTERM');
    try {
      return await task();
    } finally {
      await loki.resume();
    }
  }

  const shopLines = (app: string, sinceMs: number) =>
    loki.query(`{job="findings", app="${app}", detector!="self"}`, sinceMs, Date.now() + hourMs);

  test('a run whose Loki is away ends as if it were there; the next one ships what waited, once', async () => {
    const cwd = await tempDir();
    const beganMs = Date.now() - hourMs;
    await writeRule(join(cwd, 'rules'), manyRequests);
    const addresses = Array.from({ length: 20 }, (_, index) => `192.0.2.${index}`);
    await writeFile(
      join(cwd, 'app.log'),
      `${addresses.flatMap((address, i) => requests(address, beganMs + i * 60_000, 12, 1)).join('\n')}\n`,
    );
    const sinks = `sinks:\n  - file: { path: ./findings.jsonl }\n  - loki: { url: "${loki.url}", labels: { app: queued } }\n`;
    await writeFile(
      join(cwd, 'streamgauge.yaml'),
      `rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\nsources:\n  - file: { path: ./app.log }\n${sinks}`,
    );
    const away = await without(async () => {
      const doctor = await command(['doctor'], { cwd });
      expect(doctor.code).toBe(3);
      expect(doctor.stdout).toMatch(new RegExp(`FAIL loki ${loki.url}: .*check \`url\``));
      return command(['run'], { cwd });
    });
    expect(away).toMatchObject({ code: 0, signal: null });
    const written = (await readFile(join(cwd, 'findings.jsonl'), 'utf8')).trimEnd().split('\n');
    const expected = written.map((line) => JSON.parse(line).metadata.uid as string);
    expect(findingsOf(written.join('\n')).length).toBeGreaterThan(addresses.length);
    expect(await shopLines('queued', beganMs)).toEqual([]);

    expect((await command(['doctor'], { cwd })).stdout).toContain(`ok   loki ${loki.url}`);
    expect(await command(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(names(await shopLines('queued', beganMs)).sort()).toEqual(expected.sort());
    // And nothing again.
    expect(await command(['run'], { cwd })).toMatchObject({ code: 0 });
    expect((await shopLines('queued', beganMs)).length).toBe(expected.length);
  }, 180_000);

  test('a run goes on finding while Loki is away, says so in health and metrics, and Loki has it all afterwards', async () => {
    const cwd = await tempDir();
    await writeRule(join(cwd, 'rules'), manyRequests);
    await writeFile(
      join(cwd, 'streamgauge.yaml'),
      `rules: [./rules]\nhttp: { listen: "127.0.0.1:0" }\ntime: { idle: 1h }\nsources:\n  - drain: { path: /drain/json, dataset: app }\nsinks:\n  - loki: { url: "${loki.url}", labels: { app: live } }\n`,
    );
    const run = Command.start(['run'], { cwd });
    const address = await run.address();
    const sinceMs = Date.now() - hourMs;
    const send = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        const body = requests(`192.0.2.${i}`, sinceMs + i * 60_000, 12, 1).join('\n');
        expect((await fetch(`${address}/drain/json`, { method: 'POST', body })).status).toBe(200);
      }
    };
    const health = async () => (await fetch(`${address}/healthz`)).json();
    const metric = async (name: string) =>
      Number(
        new RegExp(`^streamgauge_${name}{sink="loki:${loki.url}"} (.*)$`, 'm').exec(await (await fetch(`${address}/metrics`)).text())?.[1],
      );
    // The last one's pane stays open: nothing newer comes.
    const opened = async () =>
      (await shopLines('live', sinceMs)).filter(({ fields }) => fields.activity === 'open').map(({ fields }) => fields.key_client_address);
    await send(0, 5);
    await expect.poll(async () => (await opened()).length, { timeout: 20_000 }).toBeGreaterThan(2);
    await without(async () => {
      await send(5, 15);
      await expect.poll(() => metric('sink_waiting_findings'), { timeout: 20_000 }).toBeGreaterThan(8);
      await expect.poll(health, { timeout: 30_000 }).toMatchObject({ status: 'degraded', reasons: [{ reason: 'sink_failing' }] });
      expect(await metric('sink_up')).toBe(0);
    });
    await send(15, 20);
    await expect.poll(() => metric('sink_waiting_findings'), { timeout: 60_000 }).toBe(0);
    await expect.poll(async () => (await opened()).length, { timeout: 30_000 }).toBe(19);
    expect(new Set(await opened()).size).toBe(19);
    expect(await health()).toMatchObject({ status: 'ok' });
    expect(await run.stop()).toMatchObject({ code: 0 });
  }, 180_000);

  describe.skipIf(kafkaMissing)('behind the topic of findings', () => {
    const brokers = () => (kafka as KafkaBroker).brokers;
    const shipper = (topic: string, group: string, app: string, driver: 'auto' | 'kafkajs' = 'auto') =>
      shipperFrom(createTopicLog({ brokers: brokers(), topic, group, driver }), app, { url: loki.url, retryForMs: 300 });

    // `auto` takes rdkafka where it is built: the partitions come in another order then.
    test.each(['kafkajs', 'auto'] as const)(
      'ten hours of findings in three partitions, written while Loki was away, all come, once, over a restart (%s)',
      async (driver) => {
        const app = `away-${driver}`;
        await kafka?.createTopics({ topic: app, partitions: 3 });
        const endMs = Date.now();
        // Few an hour: one partition read to its end would leave the others hours behind.
        const findings = Array.from({ length: 300 }, (_, i) => ({ ...sampleFinding(i), timeMs: endMs - 10 * hourMs + i * 120_000 }));
        const sink = new KafkaSink({ brokers: brokers(), topic: app });
        onTestFinished(() => sink.close());
        await sink.open();
        const last = await without(async () => {
          const first = shipper(app, `${app}-loki`, app, driver);
          await first.open();
          await sink.write(findings.slice(0, 150));
          await expect.poll(() => first.health(), { timeout: 60_000 }).toMatchObject({ ok: false, kept: true });
          await first.close();
          await sink.write(findings.slice(150));
          const second = shipper(app, `${app}-loki`, app, driver);
          onTestFinished(() => second.close());
          await second.open();
          await expect.poll(() => second.health(), { timeout: 60_000 }).toMatchObject({ ok: false, kept: true });
          return second;
        });
        const stored = async () =>
          (await loki.query(`{job="findings", app="${app}", detector!="self"}`, endMs - 11 * hourMs, endMs + hourMs)).map(
            ({ fields }) => fields.finding_id,
          );
        await expect.poll(async () => (await stored()).length, { timeout: 90_000 }).toBe(findings.length);
        expect(await stored()).toEqual(findings.map(({ id }) => id));
        expect(last.health()).toMatchObject({ ok: true, dropped: {} });
        // And the outage, once all of them are there.
        const told = async () => loki.query(`{job="findings", app="${app}", detector="self"}`, endMs, Date.now() + hourMs);
        await expect
          .poll(async () => (await told()).map(({ fields }) => fields.rule), { timeout: 30_000 })
          .toEqual(['streamgauge.sink_failed']);
      },
      240_000,
    );

    test('what is committed is not shipped again; what is no finding, or was gone before it was shipped, is counted', async () => {
      await kafka?.createTopics({ topic: 'mixed' });
      const sink = new KafkaSink({ brokers: brokers(), topic: 'mixed' });
      onTestFinished(() => sink.close());
      await sink.open();
      const at = (index: number) => ({ ...sampleFinding(index), timeMs: Date.now() });
      await produce(brokers(), 'mixed', [{ partition: 0, value: '{"not":"ours"}', timestampMs: Date.now() }]);
      await sink.write([at(1)]);
      const first = shipper('mixed', 'mixed-loki', 'mixed');
      await first.open();
      const stored = () => loki.query('{app="mixed"}', Date.now() - hourMs, Date.now() + 60_000);
      await expect.poll(async () => (await stored()).length, { timeout: 60_000 }).toBe(1);
      expect(first.health().dropped).toEqual({ not_a_finding: 1 });
      await first.close();
      // While nobody ships, retention takes the next one.
      await sink.write([at(2), at(3)]);
      await kafka?.admin(async (admin) => {
        // kafkajs deletes only in topics it has looked at.
        await admin.fetchTopicOffsets('mixed');
        await admin.deleteTopicRecords({ topic: 'mixed', partitions: [{ partition: 0, offset: '3' }] });
      });
      const second = shipper('mixed', 'mixed-loki', 'mixed');
      onTestFinished(() => second.close());
      await second.open();
      await expect.poll(async () => (await stored()).length, { timeout: 60_000 }).toBe(2);
      expect((await stored()).map(({ fields }) => fields.finding_id)).toEqual([1, 3].map((index) => sampleFinding(index).id));
      // Read from the commit on: the stranger was not met again.
      expect(second.health().dropped).toEqual({ expired: 1 });
    }, 120_000);
  });
});
