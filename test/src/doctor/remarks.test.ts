import { expect, test } from 'vitest';
import { type DrainSourceConfig, Secret } from '../../../src/config.ts';
import { clockRemarks, newestRecordRemarks } from '../../../src/doctor/clock.ts';
import { roomRemarks } from '../../../src/doctor/disk.ts';
import { drainRemarks } from '../../../src/doctor/drain.ts';
import { longestReach, readRemarks, writtenRemarks } from '../../../src/doctor/topic-remarks.ts';
import { ruleOf } from '../../support/rules.ts';

const dayMs = 86_400_000;

test('the longest that rules look back is a window, a hold or a silence, with its lateness', () => {
  const rule = (id: string, window: string, detect: string) =>
    ruleOf(`id: ${id}\nkey: all\nmeasure: count\nwindow: ${window}\ndetect: ${detect}`);
  const hour = rule('hour', '1h', '{ above: 5 }');
  const held = rule('held', '{ size: 50m, lateness: 30s }', '{ above: 5, for: 20m }');
  const silent = rule('silent', '10m', '{ silence: { after: 2h } }');
  expect(longestReach([])).toBeUndefined();
  expect(longestReach([hour])).toEqual({ rule: 'hour', ms: 3_610_000 });
  expect(longestReach([hour, held])).toEqual({ rule: 'held', ms: 4_230_000 });
  expect(longestReach([hour, held, silent])).toEqual({ rule: 'silent', ms: 7_210_000 });
});

test('a topic that keeps less than an outage or the longest window needs is told, with what to set', () => {
  const reach = { rule: 'weekly', ms: 7 * dayMs };
  const settings = (more: object) => ({ 'retention.ms': String(8 * dayMs), 'retention.bytes': '-1', 'cleanup.policy': 'delete', ...more });
  expect(readRemarks(settings({}), reach)).toEqual([]);
  expect(readRemarks(settings({ 'retention.ms': '-1' }), reach)).toEqual([]);
  expect(readRemarks({}, reach)).toEqual([]);
  expect(readRemarks(settings({ 'retention.ms': String(2 * dayMs) }), reach)).toEqual([
    expect.stringMatching(/^retention\.ms is 172800000, and rule weekly looks 604800000 ms back: .*raise it to at least that$/),
  ]);
  expect(readRemarks(settings({ 'retention.ms': '3600000' }), reach)).toHaveLength(2);
  expect(readRemarks(settings({ 'retention.bytes': '1000' }), reach)).toEqual([
    expect.stringMatching(/^retention\.bytes is 1000 a partition.*-1$/),
  ]);
  expect(readRemarks(settings({ 'cleanup.policy': 'compact', 'retention.ms': '1' }), reach)).toEqual([
    expect.stringMatching(/compacts it.*use delete/),
  ]);
});

test('a findings topic that forgets openings or refuses long ones is told', () => {
  expect(writtenRemarks({ 'cleanup.policy': 'delete', 'max.message.bytes': '1048588', 'retention.ms': '604800000' })).toEqual([]);
  expect(writtenRemarks({ 'cleanup.policy': 'compact,delete' })).toEqual([expect.stringMatching(/only the last word.*use delete$/)]);
  expect(writtenRemarks({ 'max.message.bytes': '1000', 'retention.ms': '60000' })).toEqual([
    expect.stringMatching(/^max\.message\.bytes is 1000: .*raise it/),
    expect.stringMatching(/^retention\.ms is 60000: .*raise it/),
  ]);
});

test('clocks that differ are told, from either side; an old record says nothing', () => {
  expect(clockRemarks('Loki', 3_000)).toEqual([]);
  expect(clockRemarks('Loki', Number.NaN)).toEqual([]);
  expect(clockRemarks('Loki', 61_000)).toEqual([
    expect.stringMatching(/^the clock of Loki is 61 s ahead of ours: see that both follow NTP/),
  ]);
  expect(clockRemarks('Loki', -61_000)).toEqual([expect.stringMatching(/^the clock of Loki is 61 s behind ours/)]);
  expect(newestRecordRemarks(Number.NaN, 0, 300_000)).toEqual([]);
  expect(newestRecordRemarks(1_000_000, 2_000_000, 300_000)).toEqual([]);
  expect(newestRecordRemarks(2_090_000, 2_000_000, 300_000)).toEqual([expect.stringMatching(/dated 90 s ahead .*more than 300 s ahead/)]);
});

test('credentials that can be guessed are told by their place, and never shown', () => {
  const drain = (...pairs: string[]) =>
    ({ kind: 'drain', path: '/d', credentials: pairs.map((pair) => new Secret(pair)) }) as unknown as DrainSourceConfig;
  const strong = 'app:9f8e7d6c5b4a39281706f5e4d3c2b1a0';
  expect(drainRemarks(drain(strong), '127.0.0.1', true)).toEqual([]);
  const remarks = drainRemarks(
    drain(strong, 'app:hunter2', 'heroku:heroku', 'app:Password1', 'app:abababababababababab'),
    '127.0.0.1',
    true,
  );
  expect(remarks).toEqual([
    expect.stringMatching(/^the password of credentials\[1\] has 7 characters: use 16 or more at random/),
    expect.stringMatching(/^the password of credentials\[2\] is one that everybody tries first/),
    expect.stringMatching(/^the password of credentials\[3\] is one that everybody tries first/),
    expect.stringMatching(/^the password of credentials\[4\] is a few characters over and over/),
  ]);
  expect(remarks.join()).not.toMatch(/hunter2|Password1|abab/);
  expect(drainRemarks(drain(), '127.0.0.1', true)).toEqual([expect.stringMatching(/^it has no credentials: .*set `credentials`$/)]);
  expect(drainRemarks(drain(strong), '0.0.0.0', false)).toEqual([expect.stringMatching(/clear text to 0\.0\.0\.0: let a proxy end TLS/)]);
});

test('a disk without room for what a run may keep is told', () => {
  expect(roomRemarks('/data', 2 ** 31, 2 ** 31)).toEqual([]);
  expect(roomRemarks('/data', 2 ** 30, 2 ** 31)).toEqual([
    expect.stringMatching(/^1024 MiB are free in \/data, .*up to 2048 MiB: make room, or lower `memory`$/),
  ]);
});
