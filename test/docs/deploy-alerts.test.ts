/** docs/deploy/print-alerts.mjs, posted to as Alertmanager 0.25 does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { root } from '../support/build.ts';

test('it prints a line an alert: whom, firing or resolved, what; a terminal is told nothing else', async () => {
  const program = spawn(process.execPath, [join(root, 'docs/deploy/print-alerts.mjs'), '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => {
    program.kill('SIGKILL');
  });
  const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value as string;
  const url = `http://127.0.0.1:${/:(\d+)$/.exec(await line())?.[1]}`;
  const post = (path: string, body: string) => fetch(`${url}${path}`, { method: 'POST', body });
  const alert = (status: string, alertname: string, annotations: object) => ({ status, labels: { alertname, app: 'web' }, annotations });

  const alerts = [
    alert('firing', 'CriticalFinding', { summary: '1 critical: http_path_scan on shop \u001b[2J\nFAKE' }),
    alert('resolved', 'HighFinding', {}),
  ];
  expect((await post('/pager', JSON.stringify({ receiver: 'pager', status: 'firing', alerts, version: '4' }))).status).toBe(200);
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z /;
  const [first, second] = [await line(), await line()];
  expect(first).toMatch(time);
  expect(first.replace(time, '')).toBe(String.raw`pager   firing   CriticalFinding "1 critical: http_path_scan on shop \u001b[2J\nFAKE"`);
  expect(second.replace(time, '')).toBe('pager   resolved HighFinding "HighFinding"');

  // A 4xx is not sent again.
  expect((await post('/pager', 'no JSON')).status).toBe(400);
  expect((await post('/pager', JSON.stringify({ alerts: 'x'.repeat(1_000_001) }))).status).toBe(400);
  const ended = once(program, 'exit');
  program.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
