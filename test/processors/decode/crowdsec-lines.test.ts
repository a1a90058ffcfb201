import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Harness, type Row } from './decode-lines.ts';

const suites = fileURLToPath(new URL('../../../../shared/data/crowdsec/suites/', import.meta.url));
const here = existsSync(suites);
if (!here) console.log(`skipped: the log lines of the CrowdSec suites are not at ../shared/data (open data, not part of this repository)`);

interface Expected {
  readonly ts: string;
  readonly source_ip?: string;
  readonly http_path?: string;
  readonly http_status?: string;
  readonly target_user?: string;
  readonly username?: string;
}

const fields = ['client.address', 'url.path', 'url.query', 'http.response.status_code', 'user.name'];

function decoded(suite: string): Row[] {
  const lines = readFileSync(`${suites}${suite}/raw.log`, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return new Harness({ fields }).decode(lines);
}

/** What of a row the suite's own parser gives too; the year is left out where the line has none. */
function key(time: string, address: unknown, path: unknown, status: unknown, user: unknown): string {
  return [time, address, path ?? '', status ?? '', user ?? ''].join(' ');
}

test.skipIf(!here).each([
  ['apache-http-probing', false],
  ['nginx-http-path-traversal', false],
  ['nginx-http-sensitive-files', false],
  ['nginx-http-xss-probing', false],
  ['litespeed-http-sensitive-files', false],
  ['nginx-mail-bf', false],
  ['opnsense-sshd', false],
  ['ssh-timeout', true],
  ['sshd-bad-keyexchange-bf', true],
  ['sshd-invalid-bf', true],
  ['bunkerweb-bad-user-agent', false],
  ['bunkerweb-http-path-traversal', false],
  ['CVE-2022-41697', false],
  ['http-wordpress_user-enum', false],
])('every event of %s is read from its raw line with the same time, address, path, status and user', (suite, yearless) => {
  const time = (iso: string) => (yearless ? new Date(iso).toISOString().slice(5) : new Date(iso).toISOString());
  const rows = decoded(suite);
  const seen = new Set(
    rows.map((row) => {
      const query = row.fields['url.query'];
      const path = row.fields['url.path'] === undefined ? undefined : `${row.fields['url.path']}${query === undefined ? '' : `?${query}`}`;
      return key(time(row.time), row.fields['client.address'], path, row.fields['http.response.status_code'], row.fields['user.name']);
    }),
  );
  const events = readFileSync(`${suites}${suite}/events.ndjson`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Expected);
  expect(events.length).toBeGreaterThan(0);
  for (const event of events)
    expect(seen).toContain(key(time(event.ts), event.source_ip, event.http_path, event.http_status, event.target_user ?? event.username));
});
