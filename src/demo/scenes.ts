/**
 * The day's plot: attacks and outages that must be found, each with the rule, key and time it must be found under, and near misses that
 * must not. Both are data, so that the demo can say what it found, what it missed and what it rightly left alone.
 */
import { type Incidents, rejection, wrongUser } from './backstage.ts';
import { type Day, minute, second } from './day.ts';
import { appLine, type Line, routerLine, syslogLine } from './lines.ts';
import { Random } from './random.ts';

export interface DemoLabel {
  readonly rule: string;
  /** As in a finding: field names to values, `{}` for `all`. */
  readonly key: Readonly<Record<string, string>>;
  /** The first and the last moment of it. */
  readonly startMs: number;
  readonly endMs: number;
  readonly what: string;
}

export interface Scenes {
  /** What must be found. */
  readonly labels: readonly DemoLabel[];
  /** What must not, although it comes close. */
  readonly nearMisses: readonly DemoLabel[];
  readonly incidents: Incidents;
  /** The lines that only the scenes write, in no order. */
  readonly lines: readonly Line[];
}

/** One scene's cast: where it adds its lines and its label. */
interface Stage {
  readonly day: Day;
  readonly random: Random;
  readonly lines: Line[];
}

/** Sets the scenes of a day. */
export function setScenes(day: Day, seed: number): Scenes {
  const lines: Line[] = [];
  const stage = (name: string): Stage => ({ day, random: Random.of(seed, name), lines });
  const slow = [
    { startMs: day.at('13:20'), endMs: day.at('13:58') },
    { startMs: day.at('02:00'), endMs: day.at('02:07') },
  ];
  const silent = [
    { startMs: day.at('17:10'), endMs: day.at('17:57') },
    { startMs: day.at('12:20'), endMs: day.at('12:44') },
  ];
  return {
    labels: [
      passkeyList(stage('passkey list')),
      passkeyPatient(stage('passkey patient')),
      pathScan(stage('path scan')),
      pathScanPatient(stage('path scan patient')),
      sshList(stage('ssh list')),
      sshPatient(stage('ssh patient')),
      { rule: 'redis_scan_slow', key: {}, ...slow[0], what: 'the keyspace has outgrown its scans: 230 ms where 12 ms were usual' },
      cacheOverflow(stage('cache overflow')),
      {
        rule: 'data_audit_log_gap_window',
        key: { 'service.name': 'accounts' },
        ...silent[0],
        what: 'the audit writer is stuck for 47 minutes of the afternoon',
      },
    ],
    nearMisses: [
      officeNat(stage('office')),
      searchCrawler(stage('crawler')),
      monitoringHost(stage('monitoring')),
      forgetfulAdmin(stage('forgetful')),
      { rule: 'redis_scan_slow', key: {}, ...slow[1], what: 'a backup slows the scans for seven minutes' },
      cacheAfterDeploy(stage('cache deploy')),
      { rule: 'data_audit_log_gap_window', key: { 'service.name': 'accounts' }, ...silent[1], what: 'a lunch lull of 24 minutes' },
    ],
    incidents: { slowScans: slow, auditSilences: silent },
    lines,
  };
}

function passkey(stage: Stage, atMs: number, address: string, email: string): void {
  const dyno = stage.random.chance(0.5) ? 'web.1' : 'web.2';
  const request = { method: 'POST', path: '/passkey/begin', address, status: 200, serviceMs: 21, bytes: 340, dyno };
  stage.lines.push(
    appLine(atMs, dyno, 30, { 'event.name': 'passkey.begin', 'user.email': email, 'client.address': address, msg: 'passkey' }),
  );
  stage.lines.push(routerLine(atMs + 21, request, stage.random));
}

function notFound(stage: Stage, atMs: number, address: string, path: string, status = 404): void {
  stage.lines.push(routerLine(atMs, { method: 'GET', path, address, status, serviceMs: 4, bytes: 162, dyno: 'web.1' }, stage.random));
}

function passkeyList(stage: Stage): DemoLabel {
  const startMs = stage.day.at('03:17');
  for (let i = 0; i < 240; i++)
    passkey(stage, startMs + i * 3000 + stage.random.between(0, 900), '203.0.113.9', `m.${stage.random.hex(6)}@example.net`);
  return label(
    'auth_passkey_enumeration',
    '203.0.113.9',
    startMs,
    startMs + 240 * 3000,
    'works through a list of 240 e-mail addresses by night',
  );
}

function passkeyPatient(stage: Stage): DemoLabel {
  const startMs = stage.day.at('15:40');
  for (let i = 0; i < 60; i++)
    passkey(stage, startMs + i * 20 * second + stage.random.between(0, 5000), '198.51.100.99', `team${i}@example.org`);
  return label(
    'auth_passkey_enumeration',
    '198.51.100.99',
    startMs,
    startMs + 60 * 20 * second,
    'three a minute, in the busiest part of the afternoon',
  );
}

/** 46 people sign in from one address within forty minutes: never more than fourteen in ten. */
function officeNat(stage: Stage): DemoLabel {
  const startMs = stage.day.at('08:30');
  for (let i = 0; i < 46; i++) {
    const atMs = startMs + i * 50 * second + stage.random.between(0, 60_000);
    passkey(stage, atMs, '198.51.100.10', `staff${i}@example.com`);
    if (i % 5 === 0) passkey(stage, atMs + 9000, '198.51.100.10', `staff${i}@example.com`);
  }
  return label(
    'auth_passkey_enumeration',
    '198.51.100.10',
    startMs,
    startMs + 47 * 50 * second,
    'an office behind one address comes to work',
  );
}

function pathScan(stage: Stage): DemoLabel {
  const startMs = stage.day.at('10:12');
  const roots = ['wp-admin', 'wp-content/plugins', 'phpmyadmin', '.git', 'backup', 'admin', 'vendor', 'cgi-bin'];
  for (let i = 0; i < 320; i++) {
    const path = `/${roots[i % roots.length]}/${stage.random.hex(5)}.${i % 3 === 0 ? 'php' : 'bak'}`;
    notFound(stage, startMs + i * 400, '203.0.113.77', path, i % 11 === 0 ? 403 : 404);
  }
  return label('http_path_scan', '203.0.113.77', startMs, startMs + 320 * 400, 'a scanner asks for 320 paths in two minutes');
}

function pathScanPatient(stage: Stage): DemoLabel {
  const startMs = stage.day.at('21:05');
  for (let i = 0; i < 150; i++)
    notFound(stage, startMs + i * 4800 + stage.random.between(0, 900), '203.0.113.201', `/api/v${i % 4}/internal/${stage.random.hex(6)}`);
  return label('http_path_scan', '203.0.113.201', startMs, startMs + 150 * 4800, 'guesses at the API, one every five seconds');
}

/** One dead link every nine seconds is 34 in five minutes. */
function searchCrawler(stage: Stage): DemoLabel {
  const startMs = stage.day.at('06:00');
  for (let i = 0; i < 1200; i++) {
    const atMs = startMs + i * 9000 + stage.random.between(0, 700);
    notFound(stage, atMs, '192.0.2.66', `/archive/${2012 + (i % 9)}/${i}`);
    const found = {
      method: 'GET',
      path: `/products/${i % 900}`,
      address: '192.0.2.66',
      status: 200,
      serviceMs: 30,
      bytes: 9000,
      dyno: 'web.2',
    };
    stage.lines.push(routerLine(atMs + 3000, found, stage.random));
  }
  return label('http_path_scan', '192.0.2.66', startMs, startMs + 1200 * 9000, 'a search crawler with an old index of the site');
}

function sshList(stage: Stage): DemoLabel {
  const startMs = stage.day.at('04:05');
  const names = [
    'admin',
    'oracle',
    'postgres',
    'ubuntu',
    'test',
    'deploy',
    'git',
    'jenkins',
    'nagios',
    'ftpuser',
    'pi',
    'minecraft',
    'hadoop',
    'tomcat',
  ];
  for (let i = 0; i < 56; i++) {
    const user = `${names[i % names.length]}${i < names.length ? '' : Math.floor(i / names.length)}`;
    stage.lines.push(...wrongUser(startMs + i * 5000, '192.0.2.77', user, stage.random));
  }
  return label('ssh_user_enumeration', '192.0.2.77', startMs, startMs + 56 * 5000, 'tries 56 user names in five minutes');
}

function sshPatient(stage: Stage): DemoLabel {
  const startMs = stage.day.at('18:22');
  const names = ['backup', 'www-data', 'ansible', 'vagrant', 'centos', 'ec2-user', 'redis', 'mysql', 'zabbix', 'kafka', 'elastic', 'svc'];
  names.forEach((user, i) => {
    stage.lines.push(...wrongUser(startMs + i * 70 * second, '203.0.113.150', user, stage.random));
  });
  return label('ssh_user_enumeration', '203.0.113.150', startMs, startMs + names.length * 70 * second, 'a new user name every 70 seconds');
}

function monitoringHost(stage: Stage): DemoLabel {
  const { startMs, endMs } = stage.day;
  for (let atMs = startMs + 30 * second; atMs < endMs - minute; atMs += minute)
    stage.lines.push(...wrongUser(atMs, '10.0.5.9', 'nagios', stage.random));
  return label('ssh_user_enumeration', '10.0.5.9', startMs, endMs, 'a monitoring host with one wrong user name, every minute of the day');
}

function forgetfulAdmin(stage: Stage): DemoLabel {
  const startMs = stage.day.at('09:31');
  ['grace', 'ghopper', 'hopper', 'grace.hopper', 'admin'].forEach((user, i) => {
    stage.lines.push(...wrongUser(startMs + i * 25 * second, '10.0.5.31', user, stage.random));
  });
  const text = 'Accepted publickey for grace from 10.0.5.31 port 51000 ssh2';
  stage.lines.push(syslogLine(startMs + 150 * second, 'sshd', 4242, text));
  return label(
    'ssh_user_enumeration',
    '10.0.5.31',
    startMs,
    startMs + 150 * second,
    'someone who forgot the name of the account tries five',
  );
}

function cacheOverflow(stage: Stage): DemoLabel {
  const startMs = stage.day.at('16:05');
  for (let i = 0; i < 130; i++) stage.lines.push(rejection(startMs + i * 7000 + stage.random.between(0, 3000), 'web.2', stage.random));
  return {
    rule: 'cache_value_rejections',
    key: {},
    startMs,
    endMs: startMs + 130 * 7000,
    what: 'a catalogue page has grown past what the cache takes',
  };
}

function cacheAfterDeploy(stage: Stage): DemoLabel {
  const startMs = stage.day.at('10:31');
  for (let i = 0; i < 7; i++) stage.lines.push(rejection(startMs + i * 25 * second, 'web.1', stage.random));
  return {
    rule: 'cache_value_rejections',
    key: {},
    startMs,
    endMs: startMs + 7 * 25 * second,
    what: 'seven rejections while the caches warm up after a deploy',
  };
}

function label(rule: string, address: string, startMs: number, endMs: number, what: string): DemoLabel {
  return { rule, key: { 'client.address': address }, startMs, endMs, what };
}
